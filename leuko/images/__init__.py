"""Images: the only door for bytes, and what can be said of a picture before any network looks at it."""

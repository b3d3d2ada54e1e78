"""Image formats: what is needed to decode each of them, within limits."""

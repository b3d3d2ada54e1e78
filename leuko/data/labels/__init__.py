"""Class names: their meaning, and whether file names agree with them."""

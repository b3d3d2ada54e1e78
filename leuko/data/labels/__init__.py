"""Class names: what they mean, and whether file names agree with them."""

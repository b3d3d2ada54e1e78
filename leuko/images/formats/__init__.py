"""Image formats: decoding of each format within limits of size and cost."""

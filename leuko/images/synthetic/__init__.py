"""Synthetic smears with exact masks, for tests, examples and demonstrations."""

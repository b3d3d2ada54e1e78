"""Data sets: how they are loaded and split."""

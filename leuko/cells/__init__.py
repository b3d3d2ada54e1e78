"""Cells: where they are, what they look like, and how many there are."""

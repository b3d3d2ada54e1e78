"""Stain: its profile, its normalisation, and colour statistics."""

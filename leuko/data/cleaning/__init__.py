"""Cleaning: damaged images, duplicates, overlaps and possible label errors."""

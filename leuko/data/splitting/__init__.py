"""Splitting: groups, grouped splits, cross-validation and balancing."""

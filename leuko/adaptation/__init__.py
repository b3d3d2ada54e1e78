"""Adaptation of a model to one laboratory."""

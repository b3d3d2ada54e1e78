"""Segmentation of a smear image into white cells with their nuclei, red cells and platelets."""

from leuko.cells.segmentation.pipeline import METHODS, Segmentation, segment

__all__ = ["METHODS", "Segmentation", "segment"]

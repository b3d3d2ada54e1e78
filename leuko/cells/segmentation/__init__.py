"""Segmentation of a smear image into white cells with their nuclei, red cells, platelets and smudge cells."""

from leuko.cells.segmentation.pipeline import DEFAULT_METHOD, METHODS, segment
from leuko.cells.segmentation.result import Segmentation

__all__ = ["DEFAULT_METHOD", "METHODS", "Segmentation", "segment"]

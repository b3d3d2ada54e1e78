"""Segmentation of a smear image into white cells with their nuclei, red cells and platelets."""

from leuko.cells.segmentation.clustering import METHODS
from leuko.cells.segmentation.pipeline import segment
from leuko.cells.segmentation.result import Segmentation

__all__ = ["METHODS", "Segmentation", "segment"]

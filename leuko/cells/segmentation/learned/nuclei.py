"""Nuclei at full resolution: where colours part nucleus and cytoplasm inside a cell, near what the network says.

The network's maps have half the working resolution. Inside one cell two clusters of colours are all that is needed, and
their border is as fine as the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.clustering import fuzzy_c_means
from leuko.cells.segmentation.white_cells import find_nucleus


@dataclass(frozen=True)
class NucleusParameters:
    """How nuclei are refined; chosen on even-numbered JTSC and BCCD files.

    Attributes:
        max_side_px: of a cell's window; larger ones are reduced, which costs no accuracy.
        smoothing_px: standard deviation; sensor noise and compression are finer.
        colour_weight: of the colours, 0 to 1; the rest is the network's.
        border: width of the border between both clusters, in diameters of the cell, within which the network counts.
    """

    max_side_px: int = 96
    smoothing_px: float = 0.7
    colour_weight: float = 0.65
    border: float = 0.015


PARAMETERS = NucleusParameters()


def refine_nuclei(image: np.ndarray, cells: np.ndarray, evidence: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The nuclei of white cells.

    Args:
        image: uint8, H × W × 3, RGB.
        cells: int32, H × W: labels of white cells.
        evidence: float32, H × W, −1 to 1: share of nucleus less share of cytoplasm, by the network.
        background: float, 3: RGB of the empty background, at least 1.

    Returns:
        bool, H × W.
    """
    nuclei = np.zeros(cells.shape, bool)
    weight = PARAMETERS.colour_weight
    for number, window in enumerate(ndimage.find_objects(cells), start=1):
        if window is None:
            continue
        cell = cells[window] == number
        found = _by_colour(image[window], cell, background).astype(np.float32)
        sigma = max(PARAMETERS.border * 2 * np.sqrt(np.count_nonzero(cell) / np.pi), 0.5)
        by_colour = 2 * cv2.GaussianBlur(found, (0, 0), sigma) - 1
        nuclei[window][cell] = (weight * by_colour + (1 - weight) * evidence[window] > 0)[cell]
    return nuclei


def _by_colour(image: np.ndarray, cell: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The darker and more violet cluster of a cell's colours, bool, h × w."""
    height, width = cell.shape
    factor = min(1.0, PARAMETERS.max_side_px / max(height, width))
    size = max(round(factor * width), 1), max(round(factor * height), 1)
    light: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA) / background.astype(np.float32)
    light = cv2.GaussianBlur(np.clip(light, np.float32(1 / 255), 1), (0, 0), PARAMETERS.smoothing_px)
    small = cv2.resize(cell.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if not small.any():
        return np.zeros_like(cell)
    nucleus = find_nucleus(light[..., 1], cv2.cvtColor(light, cv2.COLOR_RGB2LAB), small, fuzzy_c_means)
    return cv2.resize(nucleus.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5

"""What the network takes for a white cell, and has the colour of the field's red cells: a red cell or a smudge cell.

In a stain that the network never saw, some red cells look like nuclei to it. Beside the red cells and the nuclei of the
same field they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS, RED_CELL, SMUDGE


@dataclass(frozen=True)
class FalseWhiteCellParameters:
    """When a white cell is none. Colours are optical densities of red, green and blue light.

    Chosen on every seventh field of Aria, and on Raabin and BCCD with networks that were trained without them.

    Attributes:
        max_position: of its nucleus, on the way from the colour of red cells (0) to that of nuclei (1).
        max_distance: of its nucleus from the colour of red cells, over the density of these.
        min_distance: less is the colour of red cells itself, wherever the other nuclei are.
        max_red_cell: area in red cells' areas; what is larger is a smudge cell.
    """

    max_position: float = 0.42
    max_distance: float = 1.0
    min_distance: float = 0.15
    max_red_cell: float = 2.2


PARAMETERS = FalseWhiteCellParameters()


def correct(
    shares: np.ndarray, labels: np.ndarray, image: np.ndarray, background: np.ndarray, red_area: float
) -> np.ndarray:
    """Give the pixels of false white cells to the class that they belong to.

    Args:
        shares: float32, classes × h × w: the network's map.
        labels: int, h × w: the white cells in it.
        image: uint8, h × w × 3, RGB.
        background: float, 3: RGB of the empty background, at least 1.
        red_area: of a typical red cell, px.

    Returns:
        The map, corrected; the same array where every white cell is one.
    """
    kind = shares.argmax(axis=0)
    in_nucleus, in_red = (kind == NUCLEUS) & (labels > 0), kind == RED_CELL
    if not in_red.any() or not in_nucleus.any():
        return shares
    red = _typical_density(image[in_red], background)
    way = _typical_density(image[in_nucleus], background) - red
    areas = np.bincount(labels.ravel())
    corrected = shares
    for number in np.unique(labels[in_nucleus]):
        cell = labels == number
        away = _typical_density(image[cell & in_nucleus], background) - red
        position, distance = away @ way / max(way @ way, 1e-6), np.linalg.norm(away) / max(np.linalg.norm(red), 1e-3)
        near = position < PARAMETERS.max_position and distance < PARAMETERS.max_distance
        if not near and distance >= PARAMETERS.min_distance:
            continue
        if corrected is shares:
            corrected = shares.copy()
        true = RED_CELL if areas[number] < PARAMETERS.max_red_cell * red_area else SMUDGE
        corrected[true, cell] += corrected[CYTOPLASM, cell] + corrected[NUCLEUS, cell]
        corrected[CYTOPLASM, cell] = corrected[NUCLEUS, cell] = 0
    return corrected


def _typical_density(pixels: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Optical density, float, 3, of the median of pixels, uint8, N × 3."""
    return -np.log(np.maximum(np.median(pixels, axis=0), 4) / background)

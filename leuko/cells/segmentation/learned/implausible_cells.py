"""Cells that cannot be what the network takes them for, by their colour or size beside the others of the field.

In a stain that the network never saw, some red cells and smudge cells look like white cells to it; beside the red cells
and the nuclei of the same field they do not. And a small dark lymphocyte may look like a platelet, but is larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.cells.segmentation.masks import components, solidity


@dataclass(frozen=True)
class ImplausibleCellParameters:
    """When a white cell or a platelet is none. Colours are optical densities of red, green and blue light.

    Chosen on every seventh field of Aria. In Raabin and BCCD, with networks that were trained without them, positions
    from 0.45 to 0.6 would serve as well.

    Attributes:
        max_position: of its nucleus, on the way from the colour of red cells (0) to that of nuclei (1).
        max_distance: of its nucleus from the colour of red cells, over the density of these.
        min_distance: less is the colour of red cells itself, wherever the other nuclei are.
        max_red_cell: area of a red cell, in red cells' areas; a false white cell that is larger is a smudge cell, and
            what is partly platelet and larger is several cells.
        max_platelet: area of a platelet, in red cells' areas, if it is as compact as a cell,
        min_solidity: which has at least this,
        sure_platelet: and the network is not surer than this; it knows giant platelets.
    """

    max_position: float = 0.42
    max_distance: float = 1.0
    min_distance: float = 0.15
    max_red_cell: float = 2.2
    max_platelet: float = 0.7
    min_solidity: float = 0.9
    sure_platelet: float = 0.8


PARAMETERS = ImplausibleCellParameters()


def correct_platelets(shares: np.ndarray, red_area: float) -> np.ndarray:
    """Give platelets that are as large and compact as a small lymphocyte to its nucleus, unless the network is sure.

    Args:
        shares: float32, classes × h × w: the network's map.
        red_area: of a typical red cell, px.

    Returns:
        The map, corrected; the same array where no platelet is too large.
    """
    kind = shares.argmax(axis=0)
    corrected = shares
    for component in components(np.isin(kind, (PLATELET, CYTOPLASM, NUCLEUS)), PARAMETERS.max_platelet * red_area):
        platelet = component.mask & (kind[component.window] == PLATELET)
        single = component.area < PARAMETERS.max_red_cell * red_area and platelet.any()
        sure = single and shares[PLATELET][component.window][platelet].mean() > PARAMETERS.sure_platelet
        if not single or sure or solidity(component.mask) < PARAMETERS.min_solidity:
            continue
        if corrected is shares:
            corrected = shares.copy()
        window = corrected[:, *component.window]
        window[NUCLEUS][platelet] += window[PLATELET][platelet]
        window[PLATELET][platelet] = 0
    return corrected


def correct_white_cells(
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
    corrected = shares
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None or not (nucleus := in_nucleus[window] & (cell := labels[window] == number)).any():
            continue
        away = _typical_density(image[window][nucleus], background) - red
        position = away @ way / max(float(way @ way), 1e-6)
        distance = np.linalg.norm(away) / max(float(np.linalg.norm(red)), 1e-3)
        near = position < PARAMETERS.max_position and distance < PARAMETERS.max_distance
        if not near and distance >= PARAMETERS.min_distance:
            continue
        if corrected is shares:
            corrected = shares.copy()
        true = RED_CELL if np.count_nonzero(cell) < PARAMETERS.max_red_cell * red_area else SMUDGE
        part = corrected[:, *window]
        part[true, cell] += part[CYTOPLASM, cell] + part[NUCLEUS, cell]
        part[CYTOPLASM, cell] = part[NUCLEUS, cell] = 0
    return corrected


def _typical_density(pixels: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Optical density, float, 3, of the median of pixels, uint8, N × 3."""
    return -np.log(np.maximum(np.median(pixels, axis=0), 4) / background)

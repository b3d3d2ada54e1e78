"""White cells that touch and vote for one middle: divided where each has a large nucleus of its own.

Blasts often lie in clumps. The lobes of one nucleus are smaller, and hang together more closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.masks import distance_to_outside, fill_holes, solidity


@dataclass(frozen=True)
class DivisionParameters:
    """When a white cell is several; areas and radii are of a red cell.

    Chosen on every 40th field of Aria, and so that no white cell of Raabin and of even-numbered BCCD files is divided.

    Attributes:
        min_area: of each nucleus.
        min_share: of the nuclei in the cell; two lobes in much cytoplasm are one cell's.
        min_radius: of the largest circle in each nucleus.
        max_neck: width of the neck between two nuclei over that of the narrower one.
        min_solidity: of each nucleus.
        max_hole: area of a hole in a nucleus; a larger one lies between nuclei.
        smoothing: standard deviation by which distances are smoothed.
        levels: at which necks are looked for, as shares of the largest distance.
    """

    min_area: float = 1.0
    min_share: float = 0.6
    min_radius: float = 0.75
    max_neck: float = 0.8
    min_solidity: float = 0.85
    max_hole: float = 0.05
    smoothing: float = 0.08
    levels: tuple[float, ...] = tuple(np.linspace(0.25, 1, 16).tolist())


PARAMETERS = DivisionParameters()


def divide_clumps(labels: np.ndarray, in_nucleus: np.ndarray, red_area: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide white cells that have several large nuclei.

    Args:
        labels: int32, H × W: white cells.
        in_nucleus: bool, H × W: their nuclei.
        red_area: of a typical red cell, px.

    Returns:
        Labels, int32, H × W, the same array where nothing is divided; and for each of their ids, from 0, the id in the
        given labels.
    """
    divided, origins = labels, list(range(int(labels.max(initial=0)) + 1))
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        cell = labels[window] == number
        nucleus = cell & in_nucleus[window]
        least = max(2 * PARAMETERS.min_area * red_area, PARAMETERS.min_share * np.count_nonzero(cell))
        if np.count_nonzero(nucleus) < least:
            continue
        parts = _parts(cell, nucleus, red_area)
        for part in range(1, int(parts.max(initial=0))):  # the first part keeps the id
            if divided is labels:
                divided = labels.copy()
            divided[window][cell & (parts == part + 1)] = len(origins)
            origins.append(number)
    return divided, np.array(origins)


def _parts(cell: np.ndarray, nucleus: np.ndarray, red_area: float) -> np.ndarray:
    """Which nucleus each pixel of a cell belongs to, int, h × w, from 1; zeros where the cell is one."""
    one = np.zeros(cell.shape, np.int32)
    red_radius = np.sqrt(red_area / np.pi)
    filled = np.pad(fill_holes(nucleus, PARAMETERS.max_hole * red_area), 1)
    distance = distance_to_outside(filled)
    distance = cv2.GaussianBlur(distance, (0, 0), max(PARAMETERS.smoothing * red_radius, 0.5))[1:-1, 1:-1]
    middles = _middles(distance, PARAMETERS.min_radius * red_radius)
    if middles is None:
        return one
    parts = cv2.distanceTransformWithLabels((~middles).astype(np.uint8), cv2.DIST_L2, 5)[1]
    for part in range(1, parts.max() + 1):
        own = nucleus & (parts == part)
        if np.count_nonzero(own) < PARAMETERS.min_area * red_area or solidity(own) < PARAMETERS.min_solidity:
            return one
    return np.where(cell, parts, 0)


def _middles(distance: np.ndarray, min_radius: float) -> np.ndarray | None:
    """The middles of thick parts with thin necks between them, bool, h × w, as many as possible; None for one part."""
    best, most = None, 1
    for level in np.array(PARAMETERS.levels) * distance.max():
        count, regions = cv2.connectedComponents((distance > level).astype(np.uint8))
        if count - 1 <= most:
            continue
        tops = np.asarray(ndimage.maximum(distance, regions, np.arange(1, count)))
        thick = np.flatnonzero((tops >= min_radius) & (level <= PARAMETERS.max_neck * tops)) + 1
        if len(thick) > most:
            best, most = np.isin(regions, thick), len(thick)
    return best

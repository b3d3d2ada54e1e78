"""Lobes of a nucleus: how many rounded parts it has."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.masks import max_per_label

_KERNEL = np.ones((3, 3), np.uint8)  # of the morphological reconstruction: one pixel in every direction


@dataclass(frozen=True)
class LobeParameters:
    """How the lobes of a nucleus are counted.

    Attributes:
        diameter_px: equivalent diameter to which a nucleus is resized; lobes are then several pixels thick.
        max_zoom: scattered debris must not become a huge image.
        min_rise: of that diameter, by which a lobe is thicker (from its centre to the edge) than the neck beside it.
        steps_per_check: reconstruction steps between two checks for changes, which cost as much as a step.
    """

    diameter_px: float = 48
    max_zoom: float = 4
    min_rise: float = 0.04
    steps_per_check: int = 5


LOBES = LobeParameters()


def count_lobes(nucleus: np.ndarray) -> int:
    """Number of lobes of a nucleus, in one part or several.

    A lobe is a peak of the distance to the edge that rises by at least 4 % of the nucleus' equivalent diameter above
    any way to a higher one (an h-maximum; Soille, *Morphological Image Analysis*, 2004, doi:10.1007/978-3-662-05088-0):
    at the neck, the nucleus must be that much thinner on either side. Parts too thin to rise so far are no lobes.

    Args:
        nucleus: uint8, H × W, 0 outside.

    Returns:
        0 for an empty mask, else at least 1.
    """
    size = np.count_nonzero(nucleus)
    if not size:
        return 0
    diameter = np.sqrt(4 * size / np.pi)
    zoom = min(LOBES.diameter_px / diameter, LOBES.max_zoom)
    shape = [max(1, round(side * zoom)) for side in nucleus.shape[::-1]]
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(np.where(nucleus > 0, 255, 0).astype(np.uint8), shape, interpolation=interpolation)
    inside = cv2.copyMakeBorder((resized > 127).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rise = LOBES.min_rise * zoom * diameter
    # Morphological reconstruction: the peaks, cut off by the rise, flood down to where they meet.
    flooded, previous = distance - rise, None
    while previous is None or not np.array_equal(flooded, previous):
        previous = flooded
        for _ in range(LOBES.steps_per_check):
            flooded = np.minimum(cv2.dilate(flooded, _KERNEL), distance)
    domes = distance - flooded
    count, labels = cv2.connectedComponents((domes > 1e-4).astype(np.uint8))
    heights = max_per_label(domes, labels, count)[1:]
    return max(1, int((heights >= rise - 1e-4).sum()))

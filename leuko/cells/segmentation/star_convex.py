"""The best outlines that are star-shaped: seen whole from a point within, as cells are and their leaks are not."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

ANGLES = 64
RADII = 48
STEEP = 2  # steps of the radius by which an outline may change from one angle to the next
SMOOTH = 0.3  # gain lost for each of these steps, in units of an even ring


def star_shaped(gains: Sequence[np.ndarray], centres: np.ndarray, reaches: np.ndarray) -> list[np.ndarray]:
    """For every thing the star-shaped region with the greatest sum of gains.

    Each region is found exactly, by dynamic programming over the radius at every angle, as in Malon & Cosatto's search
    for nuclei ("Dynamic radial contour extraction by splitting homogeneous areas", 2013,
    doi:10.1007/978-3-642-40261-6_32).

    Args:
        gains: for each of N things what a pixel adds if it lies inside, float32, H × W, about −1 to 1; beyond its
            window nothing is gained or lost.
        centres: float, N × 2, row and column of a point inside.
        reaches: float, N, greatest radius in pixels.

    Returns:
        Masks, bool, of the size of the gains.
    """
    if not len(gains):
        return []
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    shares = (np.arange(RADII, dtype=np.float32) + 0.5) / RADII
    rays = np.empty((len(gains), ANGLES, RADII), np.float32)
    for ray, gain, (y, x), reach in zip(rays, gains, centres, reaches, strict=True):
        rows = (y + reach * np.outer(np.sin(angles), shares)).astype(np.float32)
        columns = (x + reach * np.outer(np.cos(angles), shares)).astype(np.float32)
        ray[:] = cv2.remap(gain, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    best = _best_radii(np.cumsum(rays * shares, axis=2))
    masks = []
    for gain, (y, x), reach, radius in zip(gains, centres, reaches, best, strict=True):
        away = (radius + 1) / RADII * reach
        points = np.stack([x + away * np.cos(angles), y + away * np.sin(angles)], axis=1)
        mask = np.zeros(gain.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
        masks.append(mask > 0)
    return masks


def _best_radii(sums: np.ndarray) -> np.ndarray:
    """Index of the radius at every angle: int, N × angles, of sums of gains, N × angles × radii.

    The round is walked twice, so that in the middle of the walk its beginning no longer matters.
    """
    number, angles, radii = sums.shape
    walk = np.concatenate([sums, sums], axis=1)
    moves = np.arange(-STEEP, STEEP + 1)
    cost = (SMOOTH * np.abs(moves)).astype(np.float32)
    totals = np.full((2 * angles, number, radii + 2 * STEEP), -np.inf, np.float32)
    inner = totals[..., STEEP:-STEEP]
    steps = np.moveaxis(sliding_window_view(totals, len(moves), axis=2), 3, 1)  # angles × moves × number × radii
    inner[0] = walk[:, 0]
    for angle in range(1, 2 * angles):
        inner[angle] = (steps[angle - 1] - cost[:, None, None]).max(axis=0) + walk[:, angle]
    path = np.empty((number, 2 * angles), int)
    path[:, -1] = inner[-1].argmax(axis=1)
    each = np.arange(number)
    for angle in range(2 * angles - 1, 0, -1):
        radius = path[:, angle]
        path[:, angle - 1] = radius + moves[(steps[angle - 1][:, each, radius] - cost[:, None]).argmax(axis=0)]
    half = angles // 2
    middle = path[:, half : half + angles]
    return np.concatenate([middle[:, half:], middle[:, :half]], axis=1)

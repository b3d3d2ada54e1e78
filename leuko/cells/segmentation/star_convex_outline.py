"""Star-convex outlines: regions that are seen whole from a point within, as cells are and their leaks are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


@dataclass(frozen=True)
class StarConvexParameters:
    """Parameters of the outlines.

    Attributes:
        angles: number of rays; at a cell's radius of 32 px they are about 3 px apart.
        radii: number of steps of each ray; of a cell with little cytoplasm a step is about a pixel.
        max_step: steps by which the outline may change from one ray to the next: cells have no spikes.
        step_cost: cost of each of these steps, in units of an even ring's gain.
    """

    angles: int = 64
    radii: int = 48
    max_step: int = 2
    step_cost: float = 0.3


DEFAULTS = StarConvexParameters()


def star_convex_regions(
    gains: Sequence[np.ndarray],
    centres: np.ndarray,
    reaches: np.ndarray,
    parameters: StarConvexParameters = DEFAULTS,
) -> list[np.ndarray]:
    """For every object the star-convex region with the greatest sum of gains.

    Each region is found exactly, by dynamic programming over the radius at every angle, as in Malon & Cosatto's search
    for nuclei ("Dynamic radial contour extraction by splitting homogeneous areas", 2013,
    doi:10.1007/978-3-642-40261-6_32).

    Args:
        gains: for each of N objects what a pixel adds if it lies inside, float32, H × W, about −1 to 1; beyond its
            window nothing is gained or lost.
        centres: float, N × 2, row and column of a point inside.
        reaches: float, N, greatest radius in pixels.
        parameters: of the outlines.

    Returns:
        Masks, bool, of the size of the gains.
    """
    if not len(gains):
        return []
    angles = np.arange(parameters.angles) * (2 * np.pi / parameters.angles)
    shares = (np.arange(parameters.radii, dtype=np.float32) + 0.5) / parameters.radii
    rays = np.empty((len(gains), parameters.angles, parameters.radii), np.float32)
    for ray, gain, (y, x), reach in zip(rays, gains, centres, reaches, strict=True):
        rows = (y + reach * np.outer(np.sin(angles), shares)).astype(np.float32)
        columns = (x + reach * np.outer(np.cos(angles), shares)).astype(np.float32)
        ray[:] = cv2.remap(gain, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    best = _best_radii(np.cumsum(rays * shares, axis=2), parameters)
    masks = []
    for gain, (y, x), reach, radius in zip(gains, centres, reaches, best, strict=True):
        distance = (radius + 1) / parameters.radii * reach
        points = np.stack([x + distance * np.cos(angles), y + distance * np.sin(angles)], axis=1)
        mask = np.zeros(gain.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], (1,), shift=4)
        masks.append(mask > 0)
    return masks


def _best_radii(sums: np.ndarray, parameters: StarConvexParameters) -> np.ndarray:
    """Index of the best radius at every angle: int, N × angles, of sums of gains, N × angles × radii.

    The circle is walked twice, so that in the middle of the walk its start no longer matters.
    """
    number, angles, radii = sums.shape
    max_step = parameters.max_step
    walk = np.concatenate([sums, sums], axis=1)
    moves = np.arange(-max_step, max_step + 1)
    cost = (parameters.step_cost * np.abs(moves)).astype(np.float32)
    totals = np.full((2 * angles, number, radii + 2 * max_step), -np.inf, np.float32)
    inner = totals[..., max_step:-max_step]
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

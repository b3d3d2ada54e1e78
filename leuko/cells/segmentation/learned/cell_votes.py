"""Cells from votes: every pixel votes for the middle of its cell, and where many votes meet is a cell.

After Panoptic-DeepLab (Cheng et al. 2020, arXiv:1911.10194). Touching cells are parted without looking at colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class VoteParameters:
    """How votes are counted; lengths in diameters of a red cell, areas in red cells' areas.

    Attributes:
        spread: standard deviation of the votes for one middle.
        apart: least distance between two middles.
        min_area: votes that a cell needs,
        near: of which lie so close to its middle.
        outside: how far beyond the image middles may lie.
    """

    spread: float
    apart: float
    min_area: float
    near: float
    outside: float = 0.3


WHITE_CELLS = VoteParameters(spread=0.22, apart=0.8, min_area=0.25, near=0.5)
SMUDGES = VoteParameters(spread=0.15, apart=0.6, min_area=0.3, near=0.8)


@dataclass(frozen=True)
class Votes:
    """Cells of one kind.

    Attributes:
        labels: int32, h × w, ids from 1.
        unity: float, one per cell: share of its pixels that vote for about the same middle, 0 to 1.
    """

    labels: np.ndarray
    unity: np.ndarray


def gather(mask: np.ndarray, offsets: np.ndarray, red_diameter: float, parameters: VoteParameters) -> Votes:
    """Part the pixels of one kind into cells.

    Args:
        mask: bool, h × w: pixels of the kind.
        offsets: float32, 2 × h × w: to the middle of the cell, px.
        red_diameter: px.
        parameters: how votes are counted.
    """
    height, width = mask.shape
    labels = np.zeros(mask.shape, np.int32)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return Votes(labels, np.zeros(0))
    margin = int(parameters.outside * red_diameter) + 1
    shape = height + 2 * margin, width + 2 * margin
    y, x = (
        np.clip(np.rint(place + offsets[axis][mask]).astype(np.intp) + margin, 0, side - 1)
        for axis, (place, side) in enumerate(zip((rows, columns), shape, strict=True))
    )
    votes = np.bincount(y * shape[1] + x, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float32)
    density = cv2.GaussianBlur(
        votes, (0, 0), max(parameters.spread * red_diameter, 0.7), borderType=cv2.BORDER_CONSTANT
    )
    reach = 2 * max(round(parameters.apart * red_diameter), 1) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    peaks = (density == cv2.dilate(density, disc)) & (density > 0.02)
    middles = _one_each(peaks)
    if not len(middles):
        return Votes(labels, np.zeros(0))
    owner = _nearest(middles, shape)[y, x]
    away = np.hypot(y - middles[owner, 0], x - middles[owner, 1])
    near = away <= parameters.near * red_diameter
    support = np.bincount(owner[near], minlength=len(middles))
    strong = support >= parameters.min_area * np.pi / 4 * red_diameter**2
    if not strong.any():
        return Votes(labels, np.zeros(0))
    middles = middles[strong]
    owner = _nearest(middles, shape)[y, x]
    away = np.hypot(y - middles[owner, 0], x - middles[owner, 1])
    sizes = np.bincount(owner, minlength=len(middles))
    unity = np.bincount(owner, away <= parameters.near * red_diameter, minlength=len(middles)) / np.maximum(sizes, 1)
    labels[rows, columns] = owner + 1
    return Votes(labels, unity)


def _one_each(peaks: np.ndarray) -> np.ndarray:
    """One place for each connected group of pixels: int, N × 2."""
    count, _, _, middles = cv2.connectedComponentsWithStats(peaks.astype(np.uint8), connectivity=8)
    return np.rint(middles[1:count, ::-1]).astype(np.intp)


def _nearest(middles: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """For every place the number of the middle nearest to it, int, from 0."""
    free = np.ones(shape, np.uint8)
    free[tuple(middles.T)] = 0
    numbers = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    order = np.zeros(numbers.max() + 1, np.intp)
    order[numbers[tuple(middles.T)]] = np.arange(len(middles))
    return order[numbers]

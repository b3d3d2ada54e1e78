"""Shapes in masks: parts, holes, and touching things parted where they are narrow. Masks are bool, H × W."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.segmentation import watershed

NECK = 0.8  # a way between two middles that is narrower than this share of the thinner one parts them
BULK = 1.6  # radius of a disc as large as one thing, over its thickness, at most: a nucleus of lobes has less
USUAL = 0.3  # share of the area of all that lies below the usual area


@dataclass(frozen=True)
class Part:
    """One connected part of a mask.

    Attributes:
        window: where it lies in the mask, with a margin of one pixel but at the mask's border: what touches the
            window's edge goes on beyond the image.
        mask: bool, of the window's size.
        area: pixels.
        cut: whether it touches the border of the mask it came from.
    """

    window: tuple[slice, slice]
    mask: np.ndarray
    area: int
    cut: bool


def parts(mask: np.ndarray, least: float = 1) -> Iterator[Part]:
    """The connected parts (diagonals count) of at least `least` pixels."""
    height, width = mask.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for label, (x, y, w, h, area) in enumerate(stats[1:].tolist(), start=1):
        if area >= least:
            window = slice(max(y - 1, 0), y + h + 1), slice(max(x - 1, 0), x + w + 1)
            yield Part(window, labels[window] == label, area, x == 0 or y == 0 or x + w == width or y + h == height)


def labelled(mask: np.ndarray, connectivity: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The connected parts as labels, int32, H × W, from 1, and how many pixels have each label, from 0 on.

    It takes half the time of `parts`, which gives windows too.
    """
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)
    areas = np.bincount(labels[mask], minlength=count)  # of few pixels: the rest is 0
    areas[0] = mask.size - areas.sum()
    return labels, areas


def single_areas(mask: np.ndarray) -> np.ndarray:
    """The areas of a mask's parts, float, pixels; of heaps no more than one thing as thick as they are can have."""
    labels, areas = labelled(mask)
    thick = highest(distance(mask), labels, len(areas))[1:]
    return np.minimum(areas[1:], np.pi * (BULK * thick) ** 2)


def highest(values: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The highest value of each label from 0 on, float32, `count`; labels and values, 0 and more, have the same shape.

    SciPy's `maximum` sorts all pixels for it, which takes fifty times as long.
    """
    found = np.zeros(count, np.float32)
    inside = labels > 0
    np.maximum.at(found, labels[inside], values[inside])
    return found


def usual_area(mask: np.ndarray) -> float:
    """Area of a part of a mask that is not empty, in pixels: the mean over the area, so that crumbs count little."""
    areas = single_areas(mask)
    return float((areas**2).sum() / areas.sum())


def usual(areas: np.ndarray) -> float:
    """What is usual among areas: `USUAL` of them all lies below, so that neither crumbs nor heaps count much."""
    areas = np.sort(areas)
    return float(areas[np.searchsorted(np.cumsum(areas), USUAL * areas.sum())])


def keep(mask: np.ndarray, least: float) -> np.ndarray:
    """The mask without parts under `least` pixels."""
    labels, areas = labelled(mask)
    large = areas >= least
    large[0] = False
    return large[labels]


def fill(mask: np.ndarray, most: float = np.inf) -> np.ndarray:
    """The mask with its holes of under `most` pixels filled; what opens to the border is no hole."""
    labels, areas = labelled(~mask, connectivity=4)
    hole = areas < most
    hole[0] = False
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        hole[side] = False
    return mask | hole[labels] if hole.any() else mask


def opened(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask without what is narrower than a disc (morphological opening); things beyond the border go on."""
    return _morph(mask, cv2.MORPH_OPEN, radius)


def closed(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask with gaps closed that are narrower than a disc (morphological closing)."""
    return _morph(mask, cv2.MORPH_CLOSE, radius)


def _morph(mask: np.ndarray, operation: int, radius: float) -> np.ndarray:
    r = max(1, round(radius))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), r, r, r, r, cv2.BORDER_REPLICATE)
    return cv2.morphologyEx(padded, operation, disc)[r:-r, r:-r] > 0


def around(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The connected parts of a mask that share pixels with a seed."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    shared = np.bincount(labels[seed], minlength=count) > 0
    shared[0] = False
    return shared[labels]


def solidity(mask: np.ndarray) -> float:
    """Area over that of the convex hull, 0 to 1, of the largest part."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    return cv2.contourArea(outline) / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)


def distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel outside, float32; the image's border is not outside.

    Where nothing is outside, it is the longer side of the mask.
    """
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return np.minimum(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32(max(mask.shape)))


def split(mask: np.ndarray, least_radius: float) -> np.ndarray:
    """Part a connected mask where it is narrow: a watershed of the distance to its edge.

    Two middles stand for two things if the straight way between them is at some place narrower than `NECK` of the
    thinner one.

    Args:
        mask: one connected part.
        least_radius: px; what is thinner is no thing of its own.

    Returns:
        int32, H × W: 1, 2, … inside, 0 outside.
    """
    depth = cv2.GaussianBlur(distance(mask), (0, 0), max(least_radius / 4, 0.5))
    peaks = (depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth >= least_radius) & mask
    candidates = np.argwhere(peaks)
    candidates = candidates[np.argsort(-depth[peaks])]
    middles: list[np.ndarray] = []
    for point in candidates:
        if all(_narrowest(depth, point, other) < NECK * depth[tuple(point)] for other in middles):
            middles.append(point)
    if len(middles) < 2:
        return mask.astype(np.int32)
    markers = np.zeros(mask.shape, np.int32)
    for number, (y, x) in enumerate(middles, start=1):
        markers[y, x] = number
    return watershed(-depth, markers, mask=mask).astype(np.int32)


def _narrowest(depth: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    steps = max(int(np.abs(one - other).max()), 1)
    way = np.linspace(one, other, steps + 1).round().astype(int)
    return float(depth[way[:, 0], way[:, 1]].min())

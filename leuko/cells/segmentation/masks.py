"""Shapes in masks: connected components, holes, and touching objects split at their necks. Masks are bool, H × W."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.segmentation import watershed


@dataclass(frozen=True)
class ShapeParameters:
    """How objects are told from clumps by their shapes.

    Attributes:
        neck: a path between two centres that is somewhere narrower than this share of the thinner object splits them;
            nuclei with a shallow dent stay whole, touching ones have deeper dents.
        max_bulk: radius of a disc of the same area over the greatest thickness, at most, for one object; nuclei of
            several lobes have less, clumps have more.
        typical_quantile: share of the total area that lies in objects below the typical area: below the median, since
            clumps hold much of the area.
    """

    neck: float = 0.8
    max_bulk: float = 1.6
    typical_quantile: float = 0.3


DEFAULTS = ShapeParameters()


@dataclass(frozen=True)
class Component:
    """One connected component of a mask.

    Attributes:
        window: its bounding box in the mask with a margin of one pixel, except at the mask's border: what touches the
            window's edge continues beyond the image.
        mask: bool, of the window's size.
        area: pixels.
        touches_border: whether it touches the border of the mask it came from.
    """

    window: tuple[slice, slice]
    mask: np.ndarray
    area: int
    touches_border: bool


def components(mask: np.ndarray, min_area: float = 1) -> Iterator[Component]:
    """The connected components (8-connected) of at least `min_area` pixels."""
    height, width = mask.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for label, (x, y, w, h, area) in enumerate(stats[1:].tolist(), start=1):
        if area >= min_area:
            window = slice(max(y - 1, 0), y + h + 1), slice(max(x - 1, 0), x + w + 1)
            touches = x == 0 or y == 0 or x + w == width or y + h == height
            yield Component(window, labels[window] == label, area, touches)


def label_components(mask: np.ndarray, connectivity: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Connected components as labels, int32, H × W, from 1, and the number of pixels of each label, from 0 on.

    It takes half the time of `components`, which gives windows too.
    """
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)
    areas = np.bincount(labels[mask], minlength=count)  # of the few pixels of the mask: the rest is 0
    areas[0] = mask.size - areas.sum()
    return labels, areas


def single_object_areas(mask: np.ndarray) -> np.ndarray:
    """The components' areas, float, pixels; of clumps at most the area of one object of the same thickness."""
    labels, areas = label_components(mask)
    thickness = max_per_label(distance_to_outside(mask), labels, len(areas))[1:]
    return np.minimum(areas[1:], np.pi * (DEFAULTS.max_bulk * thickness) ** 2)


def max_per_label(values: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The largest value of each label from 0 on, float32, `count`; labels and values (0 or more) have the same shape.

    SciPy's `maximum` sorts all pixels for this, which takes fifty times as long.
    """
    largest = np.zeros(count, np.float32)
    inside = labels > 0
    np.maximum.at(largest, labels[inside], values[inside])
    return largest


def mean_area_by_area(mask: np.ndarray) -> float:
    """Typical component area of a mask that is not empty, in pixels: the area-weighted mean, so that debris counts
    little."""
    areas = single_object_areas(mask)
    return float((areas**2).sum() / areas.sum())


def typical_area(areas: np.ndarray) -> float:
    """The typical one of some areas, robust against debris and clumps: a low quantile weighted by area."""
    areas = np.sort(areas)
    return float(areas[np.searchsorted(np.cumsum(areas), DEFAULTS.typical_quantile * areas.sum())])


def remove_small(mask: np.ndarray, min_area: float) -> np.ndarray:
    """The mask without components under `min_area` pixels."""
    labels, areas = label_components(mask)
    large = areas >= min_area
    large[0] = False
    return large[labels]


def fill_holes(mask: np.ndarray, max_area: float = np.inf) -> np.ndarray:
    """The mask with its holes of under `max_area` pixels filled; what is open to the border is no hole."""
    labels, areas = label_components(~mask, connectivity=4)
    hole = areas < max_area
    hole[0] = False
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        hole[side] = False
    return mask | hole[labels] if hole.any() else mask


def open_mask(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask without what is narrower than a disc (morphological opening); objects continue beyond the border."""
    return _morph(mask, cv2.MORPH_OPEN, radius)


def close_mask(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask with gaps closed that are narrower than a disc (morphological closing)."""
    return _morph(mask, cv2.MORPH_CLOSE, radius)


def _morph(mask: np.ndarray, operation: int, radius: float) -> np.ndarray:
    r = max(1, round(radius))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), r, r, r, r, cv2.BORDER_REPLICATE)
    return cv2.morphologyEx(padded, operation, disc)[r:-r, r:-r] > 0


def components_touching(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The connected components of a mask that share pixels with a seed."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    shared = np.bincount(labels[seed], minlength=count) > 0
    shared[0] = False
    return shared[labels]


def solidity(mask: np.ndarray) -> float:
    """Area over convex area, 0 to 1, of the largest component."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    return cv2.contourArea(outline) / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)


def distance_to_outside(mask: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel outside the mask, float32; the image's border does not count as outside.

    Where nothing is outside, it is the longer side of the mask.
    """
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return np.minimum(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32(max(mask.shape)))


def split_at_necks(mask: np.ndarray, min_radius: float) -> np.ndarray:
    """Split a connected mask where it is narrow: a watershed of the distance to its edge.

    Two peaks of the distance are two objects if the straight path between them is somewhere narrower than
    `ShapeParameters.neck` of the thinner one.

    Args:
        mask: one connected component.
        min_radius: px; what is thinner is no object of its own.

    Returns:
        int32, H × W: 1, 2, … inside, 0 outside.
    """
    depth = cv2.GaussianBlur(distance_to_outside(mask), (0, 0), max(min_radius / 4, 0.5))
    peaks = (depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth >= min_radius) & mask
    candidates = np.argwhere(peaks)
    candidates = candidates[np.argsort(-depth[peaks])]
    centres: list[np.ndarray] = []
    for point in candidates:
        if all(_narrowest(depth, point, other) < DEFAULTS.neck * depth[tuple(point)] for other in centres):
            centres.append(point)
    if len(centres) < 2:
        return mask.astype(np.int32)
    markers = np.zeros(mask.shape, np.int32)
    for number, (y, x) in enumerate(centres, start=1):
        markers[y, x] = number
    return watershed(-depth, markers, mask=mask).astype(np.int32)


def _narrowest(depth: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """The smallest distance to the edge on the straight path between two points."""
    steps = max(int(np.abs(one - other).max()), 1)
    path = np.linspace(one, other, steps + 1).round().astype(int)
    return float(depth[path[:, 0], path[:, 1]].min())

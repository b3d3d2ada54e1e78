"""Agreement of found cells with true ones: overlap of masks, and boxes matched by their intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in px

LEAST_IOU = 0.5
BORDER_FRAGMENT = 1 / 3  # of a red cell's diameter: what the border shows of a cell
AT_BORDER = 0.01  # of the image's side: boxes drawn by hand end a little before the border


class Agreement(NamedTuple):
    """How many cells agree, in one image.

    Attributes:
        hits: true cells that were found.
        true: true cells.
        found: cells that were found.
        cut: found cells without a true one that the border cuts.
    """

    hits: int
    true: int
    found: int
    cut: int


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Dice coefficient of two masks; 0 where both are empty."""
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; 0 where a box has no area, as two of BCCD."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both) if areas > both else 0.0


def boxes_of(labels: np.ndarray) -> list[Box]:
    """The boxes of a label map, int, H × W, in the order of ids."""
    return [
        (columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in filter(None, ndimage.find_objects(labels))
    ]


def match(found: Sequence[Box], true: Sequence[Box]) -> dict[int, int]:
    """Pairs of a found and a true box of `LEAST_IOU`, each used once; the best pairs first."""
    overlaps = [(box_iou(one, other), i, j) for i, one in enumerate(found) for j, other in enumerate(true)]
    pairs: dict[int, int] = {}
    for overlap, i, j in sorted(overlaps, key=lambda pair: (-pair[0], pair[1:])):
        if overlap >= LEAST_IOU and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def at_border(box: Box, shape: tuple[int, ...], tolerance: float = 0.0) -> bool:
    """Whether a box touches the border of an image of a shape (height, width, …), up to a share of its sides."""
    height, width = shape[:2]
    return bool(min(box[0], width - box[2]) <= tolerance * width or min(box[1], height - box[3]) <= tolerance * height)


def white_agreement(found: Sequence[Box], true: Sequence[Box], shape: tuple[int, ...]) -> Agreement:
    """Agreement of white cells. A cell that the border cuts counts as any other; those without a box are named."""
    pairs = match(found, true)
    cut = sum(i not in pairs and at_border(box, shape) for i, box in enumerate(found))
    return Agreement(len(pairs), len(true), len(found), cut)


def red_agreement(found: Sequence[Box], true: Sequence[Box], shape: tuple[int, ...]) -> Agreement:
    """Agreement of red cells, without border fragments.

    Some of the cells of which the border shows little have a box and some have none. A border fragment touches the
    border, and its shorter side is under a third of a red cell's diameter, the median longer side of the true boxes. A
    true border fragment is not counted as missed or as hit. What is found there is not counted, and a border fragment
    that is found without a true box is not counted. All other cells that the border cuts count as any other.
    """
    diameter = float(np.median([max(box[2] - box[0], box[3] - box[1]) for box in true])) if true else 0.0

    def is_fragment(box: Box) -> bool:
        return at_border(box, shape, AT_BORDER) and min(box[2] - box[0], box[3] - box[1]) < BORDER_FRAGMENT * diameter

    pairs = match(found, true)
    ignored = [is_fragment(true[pairs[i]]) if i in pairs else is_fragment(box) for i, box in enumerate(found)]
    hits = sum(not ignored[i] for i in pairs)
    cut = sum(not out and i not in pairs and at_border(found[i], shape) for i, out in enumerate(ignored))
    return Agreement(hits, sum(not is_fragment(box) for box in true), len(found) - sum(ignored), cut)

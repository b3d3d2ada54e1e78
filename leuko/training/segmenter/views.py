"""Random views for training: parts of examples at random scales and in random colours, on canvases of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.learned.classes import BACKGROUND, OFFSET_UNIT_PX
from leuko.cells.segmentation.learned.network import GREY
from leuko.images import scale_bar
from leuko.training.segmenter.colour_changes import change
from leuko.training.segmenter.example import UNKNOWN, Example

Rng = np.random.Generator


@dataclass(frozen=True)
class ViewParameters:
    """Sizes of views.

    Attributes:
        side: px of a canvas; a multiple of 16.
        diameter: of a red cell, px, from and to: what the second look sees, and a margin.
        first_look: of a red cell, px, from and to: what the first look may see.
        first_look_share: share of such views.
        max_enlargement: more adds no detail.
        max_offset_diameter: px: at larger scales cells are larger than what a place of the network sees.
        min_place: px of a canvas that another example is worth.
        gap: px between two examples, which stays grey.
        aspect: largest ratio of the scales of the two axes.
        caption: probability of a burned-in scale bar.
        ink: difference of grey values from which a pixel belongs to it.
    """

    side: int = 256
    diameter: tuple[float, float] = (15.0, 46.0)
    first_look: tuple[float, float] = (5.0, 100.0)
    first_look_share: float = 0.2
    max_enlargement: float = 1.7
    max_offset_diameter: float = 60.0
    min_place: int = 80
    gap: int = 16
    aspect: float = 1.12
    caption: float = 0.1
    ink: int = 30


PARAMETERS = ViewParameters()


@dataclass(frozen=True)
class View:
    """What the network sees and should answer.

    Attributes:
        image: uint8, side × side × 3, RGB; grey where there is nothing.
        classes: uint8, side × side.
        offsets: float32, 2 × side/2 × side/2: rows and columns to the middle of the cell, in `OFFSET_UNIT_PX`; NaN
            where unknown.
        diameter: float32, side/16 × side/16: logarithm of a red cell's diameter in px; NaN where there is no cell.
    """

    image: np.ndarray
    classes: np.ndarray
    offsets: np.ndarray
    diameter: np.ndarray


def draw(examples: Sequence[Example], rng: Rng) -> View:
    """A canvas with one example, or with several where they are small.

    Args:
        examples: to draw from, one after the other.
        rng: source of all random choices.
    """
    side = PARAMETERS.side
    view = View(
        np.full((side, side, 3), int(GREY), np.uint8),
        np.full((side, side), UNKNOWN, np.uint8),
        np.full((2, side // 2, side // 2), np.nan, np.float32),
        np.full((side // 16, side // 16), np.nan, np.float32),
    )
    places = [(0, 0, side, side)]
    for example in examples:
        if not places:
            break
        top, left, height, width = places.pop(0)
        used_height, used_width = _place(view, example, (top, left, height, width), rng)
        gap, least = PARAMETERS.gap, PARAMETERS.min_place
        right, below = left + _up(used_width + gap), top + _up(used_height + gap)
        if left + width - right >= least:
            places.append((top, right, height, left + width - right))
        if top + height - below >= least:
            places.append((below, left, top + height - below, min(used_width, width)))
    return view


def _up(value: int) -> int:
    """The next multiple of 16."""
    return -(-value // 16) * 16


def _diameter(example: Example, rng: Rng) -> float:
    """A random diameter of a red cell, px."""
    wide = rng.random() < PARAMETERS.first_look_share
    low, high = PARAMETERS.first_look if wide else PARAMETERS.diameter
    most = min(high, PARAMETERS.max_enlargement * example.red_diameter)
    return float(np.exp(rng.uniform(np.log(min(low, most)), np.log(most))))


def _place(view: View, example: Example, place: tuple[int, int, int, int], rng: Rng) -> tuple[int, int]:
    """Draw a part of an example into a place (top, left, height, width) of the canvas; the height and width used."""
    top, left, height, width = place
    diameter = _diameter(example, rng)
    factor = diameter / example.red_diameter
    stretch = PARAMETERS.aspect ** rng.uniform(-0.5, 0.5)
    factors = factor * stretch, factor / stretch
    shape = example.classes.shape
    if turned := rng.random() < 0.5:
        height, width = width, height
    taken = [min(int(limit / f), side) for limit, f, side in zip((height, width), factors, shape, strict=True)]
    start = [int(rng.integers(0, side - t + 1)) for side, t in zip(shape, taken, strict=True)]
    window = tuple(slice(s, s + t) for s, t in zip(start, taken, strict=True))
    size = [max(min(round(t * f), limit), 8) for t, f, limit in zip(taken, factors, (height, width), strict=True)]
    image, classes, instances = example.image[window], example.classes[window], example.instances[window]
    shrink = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    image = cv2.resize(image, size[::-1], interpolation=shrink)
    classes = cv2.resize(classes, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    instances = cv2.resize(instances, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    image = change(image, classes, diameter, rng)
    if min(size) >= PARAMETERS.min_place and rng.random() < PARAMETERS.caption:
        burned = scale_bar.burn(image, rng)
        ink = cv2.absdiff(burned, image).max(axis=2) > PARAMETERS.ink
        image, classes, instances = burned, np.where(ink, BACKGROUND, classes), np.where(ink, 0, instances)
    layers = [image, classes, instances]
    if turned:
        layers = [np.swapaxes(layer, 0, 1) for layer in layers]
    for axis in (0, 1):
        if rng.random() < 0.5:
            layers = [np.flip(layer, axis) for layer in layers]
    image, classes, instances = layers
    used = classes.shape
    at = np.s_[top : top + used[0], left : left + used[1]]
    view.image[at], view.classes[at] = image, classes
    if diameter <= PARAMETERS.max_offset_diameter:
        offsets = _offsets(np.ascontiguousarray(instances[::2, ::2]))
        view.offsets[:, top // 2 : top // 2 + offsets.shape[1], left // 2 : left // 2 + offsets.shape[2]] = offsets
    cells = cv2.resize(
        ((classes > 0) & (classes != UNKNOWN)).astype(np.float32),
        (max(used[1] // 16, 1), max(used[0] // 16, 1)),
        interpolation=cv2.INTER_AREA,
    )
    known = np.where(cells > 0.15, np.log(diameter), np.nan)[: view.diameter.shape[0], : view.diameter.shape[1]]
    rows, columns = top // 16, left // 16
    known = known[: view.diameter.shape[0] - rows, : view.diameter.shape[1] - columns]
    view.diameter[rows : rows + known.shape[0], columns : columns + known.shape[1]] = known
    return used


def _offsets(instances: np.ndarray) -> np.ndarray:
    """To the middle of what is visible of a cell: float32, 2 × h × w, at half resolution; NaN outside cells."""
    rows, columns = np.indices(instances.shape, np.float32)
    flat = instances.ravel()
    sizes = np.maximum(np.bincount(flat), 1)
    middles = [(np.bincount(flat, axis.ravel()) / sizes).astype(np.float32)[instances] for axis in (rows, columns)]
    offsets = np.stack([middles[0] - rows, middles[1] - columns]) * (2 / OFFSET_UNIT_PX)
    offsets[:, instances == 0] = np.nan
    return offsets

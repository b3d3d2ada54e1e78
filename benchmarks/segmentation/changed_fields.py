"""White cells of BCCD in other colours, brightness and sizes, in crops and in larger fields.

`changes` measures odd-numbered fields under single changes of two strengths. `views`, for choosing parameters, measures
even-numbered fields, also combined changes and crops. In a crop a box counts if at least 15 % of it remains; a cell at
the border is often found with a box that differs from the rest of the true box, so figures of crops are lower for all
methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.segmentation import estimators, truth
from benchmarks.segmentation.estimators import Figures
from benchmarks.segmentation.known_cells import Field, compare_field
from benchmarks.segmentation.run import Run, Segmenter, columns
from leuko.images.decode import decode


class Change(NamedTuple):
    """A change of a field: hue in degrees, and factors of saturation, brightness (HSV, clipped) and size."""

    hue: float = 0
    saturation: float = 1
    brightness: float = 1
    size: float = 1


CHANGES = {
    "hue −15°": Change(hue=-15),
    "hue +15°": Change(hue=15),
    "saturation × 0.6": Change(saturation=0.6),
    "saturation × 1.4": Change(saturation=1.4),
    "brightness × 0.8": Change(brightness=0.8),
    "brightness × 1.2": Change(brightness=1.2),
    "size × 0.5": Change(size=0.5),
    "size × 3": Change(size=3),
}
# Each of the above doubled. Sizes leave red cells of BCCD with 24 px and with 600 px.
DOUBLED = {
    "hue −30°": Change(hue=-30),
    "hue +30°": Change(hue=30),
    "saturation × 0.2": Change(saturation=0.2),
    "saturation × 1.8": Change(saturation=1.8),
    "brightness × 0.6": Change(brightness=0.6),
    "brightness × 1.4": Change(brightness=1.4),
    "size × 0.25": Change(size=0.25),
    "size × 6": Change(size=6),
}
COMBINED = {
    "hue +15°, saturation × 1.4": Change(hue=15, saturation=1.4),
    "hue −15°, saturation × 0.6": Change(hue=-15, saturation=0.6),
    "size × 2": Change(size=2),
}
UNCHANGED = "as it is"
GAMMAS = (0.75, 1.3)
CROPS = {"middle": (120, 90), "upper left": (0, 0), "lower right": (240, 180)}  # left and top, px
CROP = (400, 300)  # width and height, px
LEFT = 0.15  # of a box that a crop must show
EVERY = 2  # of the even-numbered fields, in `views`


def changes(run: Run) -> Figures:
    """The F1 of white cells of odd-numbered fields, and by how much each change lowers it."""
    files = truth.bccd_files(run.data, odd=True)
    fields = run.map(_changed_fields, files)
    f1 = {}
    for name in fields[0]:
        of = columns([field[name] for field in fields])
        f1[name] = estimators.f1(of.hits, of.true, of.found)
    losses = {name: estimators.loss(f1[UNCHANGED], f1[name]) for name in f1 if name != UNCHANGED}
    return estimators.intervals(
        {
            "BCCD odd, doubled changes: largest loss of white F1": estimators.largest([losses[n] for n in DOUBLED]),
            "BCCD odd, changes: largest loss of white F1": estimators.largest([losses[n] for n in CHANGES]),
            f"BCCD odd, {UNCHANGED}: white F1": f1[UNCHANGED],
            **{f"BCCD odd, {name}: loss of white F1": losses[name] for name in DOUBLED | CHANGES},
        },
        len(files),
    )


def _changed_fields(segmenter: Segmenter, file: Path) -> dict[str, Field]:
    image, boxes = decode(file), truth.boxes(file)
    figures = {UNCHANGED: compare_field(segmenter(image), boxes)}
    for name, change in (DOUBLED | CHANGES).items():
        seen, shown = changed(image, boxes, change)
        figures[name] = compare_field(segmenter(seen), shown)
    return figures


def changed(image: np.ndarray, boxes: truth.Boxes, change: Change) -> tuple[np.ndarray, truth.Boxes]:
    """A field, uint8, H × W × 3, RGB, and its boxes under a change."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    planes = (hsv[..., 0] + change.hue / 2) % 180, hsv[..., 1] * change.saturation, hsv[..., 2] * change.brightness
    seen = cv2.cvtColor(np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    way = cv2.INTER_AREA if change.size < 1 else cv2.INTER_CUBIC
    seen = cv2.resize(seen, None, fx=change.size, fy=change.size, interpolation=way)
    a = change.size
    return seen, {kind: [(a * x0, a * y0, a * x1, a * y1) for x0, y0, x1, y1 in found] for kind, found in boxes.items()}


def views(run: Run) -> Figures:
    """White cells of even-numbered fields in every view: F1, and in all what is missed and false."""
    files = truth.bccd_files(run.data, odd=False)[::EVERY]
    fields = run.map(_viewed_fields, files)
    of = {name: columns([field[name] for field in fields]) for name in fields[0]}
    f1 = {name: estimators.f1(view.hits, view.true, view.found) for name, view in of.items()}
    figures = estimators.intervals({f"BCCD even, {name}: white F1": f1[name] for name in f1}, len(files))
    for name, view in of.items():
        figures |= estimators.intervals(
            {
                f"BCCD even, {name}: white cells missed": estimators.total(view.true - view.hits),
                f"BCCD even, {name}: false white cells": estimators.total(view.found - view.hits),
                f"BCCD even, {name}: false ones that are cut": estimators.total(view.cut),
                f"BCCD even, {name}: platelets taken": estimators.proportion(view.taken, view.platelets),
            },
            len(files),
        )
    return figures


def _viewed_fields(segmenter: Segmenter, file: Path) -> dict[str, Field]:
    return {
        name: compare_field(segmenter(seen), shown) for name, seen, shown in _views(decode(file), truth.boxes(file))
    }


def _views(image: np.ndarray, boxes: truth.Boxes) -> Iterator[tuple[str, np.ndarray, truth.Boxes]]:
    """A field as it is, changed and cropped, with its boxes."""
    yield UNCHANGED, image, boxes
    for name, change in (CHANGES | COMBINED).items():
        yield name, *changed(image, boxes, change)
    for gamma in GAMMAS:
        yield f"gamma {gamma}", (255 * (image / 255) ** gamma).astype(np.uint8), boxes
    width = image.shape[1]
    both = {
        kind: [*found, *((2 * width - c, b, 2 * width - a, d) for a, b, c, d in found)] for kind, found in boxes.items()
    }
    yield "glued to its mirror", np.concatenate([image, image[:, ::-1]], axis=1), both
    for name, corner in CROPS.items():
        yield f"crop, {name}", *_cropped(image, boxes, *corner)


def _cropped(image: np.ndarray, boxes: truth.Boxes, left: int, top: int) -> tuple[np.ndarray, truth.Boxes]:
    """A part of a field, with what is left of its boxes."""
    width, height = CROP
    shown: truth.Boxes = {kind: [] for kind in boxes}
    for kind, found in boxes.items():
        for a, b, c, d in found:
            box = max(a - left, 0), max(b - top, 0), min(c - left, width), min(d - top, height)
            area = max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
            if area >= LEFT * (c - a) * (d - b):
                shown[kind].append(box)
    return image[top : top + height, left : left + width], shown

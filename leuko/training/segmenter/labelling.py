"""Labels of a training image: what is known of it, and a teacher's segmentation for the rest.

The teacher is the fuzzy two-stage colour segmentation in the first round, and the network of that round in the second.
A teacher's result is used only where it is plausible; where it contradicts what is known, pixels are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.cells.segmentation import Segmentation
from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.images import scale_bar
from leuko.training.segmenter.example import UNKNOWN, Example, classes_and_instances
from leuko.training.segmenter.sources import Box, Kind, SourceImage


@dataclass(frozen=True)
class LabellingParameters:
    """Bounds for labels; areas as shares of a red cell's, distances in its diameters, colours in CIELAB.

    Attributes:
        nucleus, cell: thresholds of a mask's grey values, whose edges are soft.
        min_match: IoU of a box and the teacher's cell that are the same.
        rim: width of the unknown ring around cells that only a box shows.
        box_core: share of a box's half sides, as an ellipse, that surely is the cell.
        box_margin: diameter of a red cell over the side of its box; boxes of BCCD and Raabin are that much wider.
        min_cell, max_cell: area of what is taken for a red cell where the teacher says white cell and there is none.
        smudge_tint: how far from the tint of red cells (0) to that of nuclei (1) a smudge cell lies at least.
        smudge_area: least area of a smudge cell.
        min_tint: least distance of the two tints, to tell smudge cells by.
        smudge_paleness: density of a smudge cell over that of the typical nucleus of its field, at most; up to
        doubtful_paleness: it may be one or not.
        smudge_density, doubtful_density: optical density for green light, at most, likewise.
        min_nuclei: of a field, for one to be typical.
    """

    nucleus: int = 200
    cell: int = 64
    min_match: float = 0.6
    rim: float = 0.06
    box_core: float = 0.85
    box_margin: float = 0.89
    min_cell: float = 0.4
    max_cell: float = 1.7
    smudge_tint: float = 0.45
    smudge_area: float = 0.8
    min_tint: float = 12.0
    smudge_paleness: float = 0.65
    doubtful_paleness: float = 0.72
    smudge_density: float = 0.45
    doubtful_density: float = 0.55
    min_nuclei: int = 3


PARAMETERS = LabellingParameters()
_PxBox = tuple[int, int, int, int]  # x0, y0, x1, y1


def label(
    image: np.ndarray, known: SourceImage, teacher: Segmentation, sure: np.ndarray | None = None
) -> Example | str:
    """The example that an image gives, or a sentence: why it gives none.

    Args:
        image: uint8, H × W × 3, RGB.
        known: what is known of the image.
        teacher: of the image.
        sure: bool, H × W: where the teacher is sure; None: everywhere.
    """
    red_diameter = _red_diameter(known, teacher, image.shape[:2])
    if not red_diameter:
        return "The size of its red cells is unknown."
    if not teacher.reliable:
        return teacher.unreliable_reason
    labels = _Labels.start(teacher, red_diameter)
    _unknown_smudges(labels, image, teacher)
    if known.white_cells not in ("none", "platelet"):  # there, what is found is mostly no smudge cell either
        _pale_smudges(labels, image)
    labels.forget(scale_bar.find(image))  # in some stains red cells in the corners look like red ink
    if sure is not None:
        labels.classes[~sure] = UNKNOWN
    if known.mask:
        mask = cv2.imread(str(known.mask), cv2.IMREAD_GRAYSCALE)
        if mask is None or mask.shape != image.shape[:2]:
            return "Its mask cannot be read or has another size."
        _set_white_cells(labels, mask, known.boxes)
    elif known.boxes is not None:
        _check_white_cells(labels, _boxes(known, "white cell", image.shape))
    elif known.white_cells in ("none", "platelet"):
        _no_white_cells(labels, known.white_cells == "platelet")
    elif known.white_cells == "middle" and not _one_in_the_middle(labels):
        return "No single white cell was found in the middle."
    if known.boxes is not None:
        _check_red_cells(labels, _boxes(known, "red cell", image.shape), known.all_red_boxed)
    return Example(image, labels.classes, labels.instances, red_diameter).reduced()


@dataclass
class _Labels:
    """Labels in the making: as of `Example`."""

    classes: np.ndarray
    instances: np.ndarray
    red_diameter: float

    @classmethod
    def start(cls, teacher: Segmentation, red_diameter: float) -> _Labels:
        return cls(*classes_and_instances(teacher), red_diameter)

    @property
    def red_area(self) -> float:
        return np.pi / 4 * self.red_diameter**2

    @property
    def white(self) -> np.ndarray:
        """bool: pixels of white cells."""
        return (self.classes == CYTOPLASM) | (self.classes == NUCLEUS)

    def forget(self, where: np.ndarray) -> None:
        self.classes[where] = UNKNOWN
        self.instances[where] = 0

    def cells(self, where: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
        """Id, window and mask, bool, of each instance among pixels."""
        labels = np.where(where, self.instances, 0)
        for number, window in enumerate(ndimage.find_objects(labels), start=1):
            if window is not None:
                yield number, window, labels[window] == number

    def new_id(self) -> int:
        return int(self.instances.max()) + 1


def _red_diameter(known: SourceImage, teacher: Segmentation, shape: tuple[int, int]) -> float | None:
    """By the boxes that the border does not cut, less their margin, else by the teacher; px."""
    sides = [
        np.sqrt((box.x1 - box.x0) * shape[1] * (box.y1 - box.y0) * shape[0])
        for box in known.boxes or ()
        if box.kind == "red cell" and min(box.x0, box.y0) > 0.01 and max(box.x1, box.y1) < 0.99
    ]
    if len(sides) >= 2:
        return float(PARAMETERS.box_margin * np.median(sides))
    if teacher.scale_source == "red cells" and teacher.um_per_px:
        return RED_CELL_DIAMETER_UM / teacher.um_per_px
    return None


def _boxes(known: SourceImage, kind: Kind, shape: tuple[int, ...]) -> list[_PxBox]:
    """The boxes of one kind: x0, y0, x1, y1 in px."""
    height, width = shape[:2]
    return [
        (
            max(round(box.x0 * width), 0),
            max(round(box.y0 * height), 0),
            min(round(box.x1 * width), width),
            min(round(box.y1 * height), height),
        )
        for box in known.boxes or ()
        if box.kind == kind
    ]


def _unknown_smudges(labels: _Labels, image: np.ndarray, teacher: Segmentation) -> None:
    """Forget what a teacher without a class for them takes for red cells and has the tint of nuclei.

    Smudge cells and pale cytoplasm are such.
    """
    if teacher.smudges is not None or not (teacher.nuclei > 0).any():
        return
    tint = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 0.06 * labels.red_diameter), cv2.COLOR_RGB2LAB)[..., 1:]
    tint = tint.astype(np.float32)
    red = labels.classes == RED_CELL
    if not red.any():
        return
    from_red, from_nuclei = np.median(tint[red], axis=0), np.median(tint[teacher.nuclei > 0], axis=0)
    axis = from_nuclei - from_red
    length = float(axis @ axis)
    if length < PARAMETERS.min_tint**2:
        return
    like = red & (((tint - from_red) @ axis) / length > PARAMETERS.smudge_tint)
    found, _ = ndimage.label(ndimage.binary_opening(like, iterations=max(round(0.08 * labels.red_diameter), 1)))
    areas = np.bincount(found.ravel())
    for number in np.flatnonzero(areas[1:] > PARAMETERS.smudge_area * labels.red_area / 2) + 1:
        near = cv2.dilate((found == number).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        touched = np.unique(labels.instances[found == number])
        labels.forget((np.isin(labels.instances, touched[touched > 0]) & red) | (near & red))


def _pale_smudges(labels: _Labels, image: np.ndarray) -> None:
    """White cells whose nucleus is much paler than the others of the field are smudge cells; in doubt, unknown.

    Of 90 such cells in Aria's training part that were looked at, all but two were smudge cells.
    """
    nuclei = np.where(labels.classes == NUCLEUS, labels.instances, 0)
    ids = np.unique(nuclei[nuclei > 0])
    if len(ids) < PARAMETERS.min_nuclei:
        return
    light = image[..., 1].astype(np.float32)
    density = -np.log(np.maximum(light, 3) / max(float(np.quantile(light, 0.95)), 3))
    means = np.atleast_1d(ndimage.mean(density, nuclei, ids))
    typical = np.median(means)
    for number, mean in zip(ids, means, strict=True):
        cell = labels.white & (labels.instances == number)
        if mean < min(PARAMETERS.smudge_paleness * typical, PARAMETERS.smudge_density):
            labels.classes[cell] = SMUDGE
        elif mean < min(PARAMETERS.doubtful_paleness * typical, PARAMETERS.doubtful_density):
            labels.forget(cell)


def _set_white_cells(labels: _Labels, mask: np.ndarray, boxes: tuple[Box, ...] | None) -> None:
    """Replace the teacher's white cells by those of a mask; boxes part cells that touch."""
    height, width = mask.shape
    cell = mask > PARAMETERS.cell
    wrong = labels.white & ~cell
    labels.forget(wrong)
    labels.classes[cell] = np.where(mask[cell] > PARAMETERS.nucleus, NUCLEUS, CYTOPLASM)
    parts, _ = ndimage.label(ndimage.binary_opening(cell, iterations=1) & cell)
    labels.instances[cell] = 0
    drawn = [
        (box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height)
        for box in boxes or ()
        if box.kind == "white cell"
    ]
    for number, window in enumerate(ndimage.find_objects(parts), start=1):
        part = parts[window] == number
        if part.sum() < 0.1 * labels.red_area:
            continue
        rows, columns = np.nonzero(part)
        y, x = rows + window[0].start, columns + window[1].start
        inside = [box for box in drawn if _share(x, y, box) > 0.15]
        if len(inside) < 2:
            owner = np.zeros(len(x), int)
        else:  # several cells in one part: each pixel to the box whose middle is nearest, in half sides
            away = [
                np.hypot((x - (b[0] + b[2]) / 2) / (b[2] - b[0]), (y - (b[1] + b[3]) / 2) / (b[3] - b[1]))
                for b in inside
            ]
            owner = np.argmin(away, axis=0)
        first = labels.new_id()
        labels.instances[y, x] = first + owner


def _share(x: np.ndarray, y: np.ndarray, box: tuple[float, float, float, float]) -> float:
    return float(((x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])).mean())


def _iou(window: tuple[slice, slice], box: _PxBox) -> float:
    rows, columns = window
    width = min(columns.stop, box[2]) - max(columns.start, box[0])
    height = min(rows.stop, box[3]) - max(rows.start, box[1])
    both = max(width, 0) * max(height, 0)
    areas = (rows.stop - rows.start) * (columns.stop - columns.start) + (box[2] - box[0]) * (box[3] - box[1])
    return both / max(areas - both, 1)


def _match(labels: _Labels, where: np.ndarray, boxes: list[_PxBox]) -> tuple[list[int], list[_PxBox]]:
    """Ids of the cells among pixels that have no box, and the boxes that no cell has; each box goes to one cell."""
    without_box, free = [], list(boxes)
    for number, window, _ in labels.cells(where):
        best = max(free, key=lambda box: _iou(window, box), default=None)
        if best is not None and _iou(window, best) >= PARAMETERS.min_match:
            free.remove(best)
        else:
            without_box.append(number)
    return without_box, free


def _check_white_cells(labels: _Labels, boxes: list[_PxBox]) -> None:
    """Keep the teacher's white cells that have a box; forget the others, and the boxes that no cell has."""
    without_box, free = _match(labels, labels.white, boxes)
    labels.forget(np.isin(labels.instances, without_box))
    for x0, y0, x1, y1 in free:
        where = np.zeros(labels.classes.shape, bool)
        where[y0:y1, x0:x1] = True
        labels.forget(where)


def _no_white_cells(labels: _Labels, platelets: bool) -> None:
    """What the teacher takes for a white cell is a platelet or a red cell where it has such a size, else unknown."""
    for _, window, mask in list(labels.cells(labels.white)):
        area = mask.sum() / labels.red_area
        if platelets and area < PARAMETERS.max_cell:
            labels.classes[window][mask] = PLATELET
        elif not platelets and PARAMETERS.min_cell < area < PARAMETERS.max_cell:
            labels.classes[window][mask] = RED_CELL
        else:
            labels.classes[window][mask], labels.instances[window][mask] = UNKNOWN, 0


def _one_in_the_middle(labels: _Labels) -> bool:
    """Whether a whole white cell lies in the middle."""
    height, width = labels.classes.shape
    return bool(labels.white[height // 2 - height // 16 : height // 2 + height // 16 + 1, width // 2].any()) or bool(
        labels.white[height // 2, width // 2 - width // 16 : width // 2 + width // 16 + 1].any()
    )


def _check_red_cells(labels: _Labels, boxes: list[_PxBox], complete: bool) -> None:
    """Hold red cells against boxes: a box without one becomes an ellipse; if `complete`, cells without are unknown."""
    without_box, free = _match(labels, labels.classes == RED_CELL, boxes)
    if complete:
        labels.forget(np.isin(labels.instances, without_box) & (labels.classes == RED_CELL))
    white = labels.white
    for x0, y0, x1, y1 in free:
        window = np.s_[y0:y1, x0:x1]
        y, x = np.mgrid[y0:y1, x0:x1] + 0.5
        away = np.hypot((x - (x0 + x1) / 2) / max((x1 - x0) / 2, 1), (y - (y0 + y1) / 2) / max((y1 - y0) / 2, 1))
        fresh = ~white[window]
        labels.classes[window][fresh & (away < 1 + PARAMETERS.rim)] = UNKNOWN
        labels.instances[window][fresh & (away < 1 + PARAMETERS.rim)] = 0
        core = fresh & (away < PARAMETERS.box_core)
        labels.classes[window][core] = RED_CELL
        labels.instances[window][core] = labels.new_id()

"""What is known of the cells of a training image, by masks, boxes or words, against the labels of a teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.learned.classes import CYTOPLASM, NUCLEUS, PLATELET, RED_CELL
from leuko.training.segmenter.example import UNKNOWN
from leuko.training.segmenter.labels import Labels
from leuko.training.segmenter.sources import Box, Kind, SourceImage


@dataclass(frozen=True)
class KnownCellParameters:
    """Bounds for cells that are known; areas as shares of a red cell's.

    Attributes:
        nucleus, cell: thresholds of a mask's grey values, whose edges are soft.
        min_match: IoU of a box and the teacher's cell that are the same.
        rim: width of the unknown ring around cells that only a box shows, as a share of its half sides.
        box_core: share of a box's half sides, as an ellipse, that surely is the cell.
        min_cell, max_cell: area of what is taken for a red cell where the teacher says white cell and there is none.
    """

    nucleus: int = 200
    cell: int = 64
    min_match: float = 0.6
    rim: float = 0.06
    box_core: float = 0.85
    min_cell: float = 0.4
    max_cell: float = 1.7


PARAMETERS = KnownCellParameters()
_PxBox = tuple[int, int, int, int]  # x0, y0, x1, y1


def set_white_cells(labels: Labels, mask: np.ndarray, boxes: tuple[Box, ...] | None) -> None:
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


def check_white_cells(labels: Labels, boxes: list[_PxBox]) -> None:
    """Keep the teacher's white cells that have a box; forget the others, and the boxes that no cell has."""
    without_box, free = _match(labels, labels.white, boxes)
    labels.forget(np.isin(labels.instances, without_box))
    for x0, y0, x1, y1 in free:
        where = np.zeros(labels.classes.shape, bool)
        where[y0:y1, x0:x1] = True
        labels.forget(where)


def no_white_cells(labels: Labels, platelets: bool) -> None:
    """What the teacher takes for a white cell is a platelet or a red cell where it has such a size, else unknown."""
    for _, window, mask in list(labels.cells(labels.white)):
        area = mask.sum() / labels.red_area
        if platelets and area < PARAMETERS.max_cell:
            labels.classes[window][mask] = PLATELET
        elif not platelets and PARAMETERS.min_cell < area < PARAMETERS.max_cell:
            labels.classes[window][mask] = RED_CELL
        else:
            labels.classes[window][mask], labels.instances[window][mask] = UNKNOWN, 0


def one_in_the_middle(labels: Labels) -> bool:
    """Whether a whole white cell lies in the middle."""
    height, width = labels.classes.shape
    return bool(labels.white[height // 2 - height // 16 : height // 2 + height // 16 + 1, width // 2].any()) or bool(
        labels.white[height // 2, width // 2 - width // 16 : width // 2 + width // 16 + 1].any()
    )


def check_red_cells(labels: Labels, boxes: list[_PxBox], complete: bool) -> None:
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


def boxes_of(known: SourceImage, kind: Kind, shape: tuple[int, ...]) -> list[_PxBox]:
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


def _share(x: np.ndarray, y: np.ndarray, box: tuple[float, float, float, float]) -> float:
    return float(((x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])).mean())


def _iou(window: tuple[slice, slice], box: _PxBox) -> float:
    rows, columns = window
    width = min(columns.stop, box[2]) - max(columns.start, box[0])
    height = min(rows.stop, box[3]) - max(rows.start, box[1])
    both = max(width, 0) * max(height, 0)
    areas = (rows.stop - rows.start) * (columns.stop - columns.start) + (box[2] - box[0]) * (box[3] - box[1])
    return both / max(areas - both, 1)


def _match(labels: Labels, where: np.ndarray, boxes: list[_PxBox]) -> tuple[list[int], list[_PxBox]]:
    """Ids of the cells among pixels that have no box, and the boxes that no cell has; each box goes to one cell."""
    without_box, free = [], list(boxes)
    for number, window, _ in labels.cells(where):
        best = max(free, key=lambda box: _iou(window, box), default=None)
        if best is not None and _iou(window, best) >= PARAMETERS.min_match:
            free.remove(best)
        else:
            without_box.append(number)
    return without_box, free

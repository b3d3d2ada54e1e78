"""Labels of a training image: what is known of it, and a teacher's segmentation for the rest.

The teacher is the fuzzy two-stage colour segmentation in the first round, and the network of that round in the second.
A teacher's result is used only where it is plausible; where it contradicts what is known, pixels are unknown.
"""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.cells.segmentation import Segmentation
from leuko.images import scale_bar
from leuko.training.segmenter import known_cells, smudge_labels
from leuko.training.segmenter.example import UNKNOWN, Example
from leuko.training.segmenter.labels import Labels
from leuko.training.segmenter.sources import SourceImage

BOX_MARGIN = 0.89  # diameter of a red cell over the side of its box; boxes of BCCD and Raabin are that much wider


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
    labels = Labels.start(teacher, red_diameter)
    smudge_labels.forget_unknown(labels, image, teacher)
    if known.white_cells not in ("none", "platelet"):  # there, what is found is mostly no smudge cell either
        smudge_labels.mark_pale(labels, image)
    labels.forget(scale_bar.find(image))  # in some stains red cells in the corners look like red ink
    if sure is not None:
        labels.classes[~sure] = UNKNOWN
    if known.mask:
        mask = cv2.imread(str(known.mask), cv2.IMREAD_GRAYSCALE)
        if mask is None or mask.shape != image.shape[:2]:
            return "Its mask cannot be read or has another size."
        known_cells.set_white_cells(labels, mask, known.boxes)
    elif known.boxes is not None:
        known_cells.check_white_cells(labels, known_cells.boxes_of(known, "white cell", image.shape))
    elif known.white_cells in ("none", "platelet"):
        known_cells.no_white_cells(labels, known.white_cells == "platelet")
    elif known.white_cells == "middle" and not known_cells.one_in_the_middle(labels):
        return "No single white cell was found in the middle."
    if known.boxes is not None:
        known_cells.check_red_cells(labels, known_cells.boxes_of(known, "red cell", image.shape), known.all_red_boxed)
    return Example(image, labels.classes, labels.instances, red_diameter).reduced()


def _red_diameter(known: SourceImage, teacher: Segmentation, shape: tuple[int, int]) -> float | None:
    """By the boxes that the border does not cut, less their margin, else by the teacher; px."""
    sides = [
        np.sqrt((box.x1 - box.x0) * shape[1] * (box.y1 - box.y0) * shape[0])
        for box in known.boxes or ()
        if box.kind == "red cell" and min(box.x0, box.y0) > 0.01 and max(box.x1, box.y1) < 0.99
    ]
    if len(sides) >= 2:
        return float(BOX_MARGIN * np.median(sides))
    if teacher.scale_source == "red cells" and teacher.um_per_px:
        return RED_CELL_DIAMETER_UM / teacher.um_per_px
    return None

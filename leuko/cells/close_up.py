"""Whether an image shows a field, or one cell alone: the one rule for whoever counts, decides or draws.

A close-up holds no share of cells and no density, and its cell was chosen by somebody. So it is measured and not
counted, and its cells give no score (`leuko.decision.cell_score`): it clears nobody. Only a network that was trained on
such close-ups may say something of the cell.
"""

from __future__ import annotations

import numpy as np

from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.cells.segmentation import Segmentation

SMALLEST_FIELD = 30.0  # red cells' areas; an image that shows less is a close-up
NEARLY = 1.4  # of that: an image that shows less is a close-up, too, if one white cell alone lies in its middle
MIDDLE = 0.08  # of a side: how far from the image's centre that cell may lie
LARGE = 0.05  # of the image: what the one cell of a close-up takes up at least, where the scale is not known


def is_close_up(found: Segmentation) -> bool:
    """Whether an image is a close-up.

    It is if the cell was cut out of its surroundings, if the image shows less than `SMALLEST_FIELD`, or little more and
    one white cell alone, in its middle. Without a scale it is if one white cell alone fills much of it.
    """
    if found.masked_cell:
        return True
    alone = found.white_cells.max(initial=0) == 1
    if not found.um_per_px:
        return bool(alone and np.count_nonzero(found.white_cells) > LARGE * found.area)
    fields = found.area * found.um_per_px**2 / RED_CELL_AREA_UM2 / SMALLEST_FIELD
    return bool(fields < 1 or (alone and fields < NEARLY and _in_the_middle(found.white_cells > 0)))


def _in_the_middle(cell: np.ndarray) -> bool:
    height, width = cell.shape
    ys, xs = np.nonzero(cell)
    return max(abs(ys.mean() / height - 0.5), abs(xs.mean() / width - 0.5)) < MIDDLE

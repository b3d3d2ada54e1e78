"""Close-ups: whether an image shows a whole field, or one cell alone.

A close-up gives no share of cells and no density, and its cell was selected by somebody. It is therefore measured but
not counted, and it has no cell-based score (`leuko.decision.cell_score`): it never excludes leukaemia. Only a network
that was trained on such close-ups may decide on the cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.cells.segmentation import Segmentation


@dataclass(frozen=True)
class CloseUpParameters:
    """When an image is a close-up.

    Attributes:
        min_field: areas of a red cell; a smaller image is a close-up: a white cell and its surroundings.
        min_field_around_cell: factor on `min_field` for an image of one white cell in its centre.
        max_offset: of a side: how far from the image's centre that cell may lie.
        min_cell_share: of the image: the least that the one cell of a close-up takes up where the scale is not known.
    """

    min_field: float = 30.0
    min_field_around_cell: float = 1.4
    max_offset: float = 0.08
    min_cell_share: float = 0.05


PARAMETERS = CloseUpParameters()


def is_close_up(segmentation: Segmentation) -> bool:
    """Whether an image is a close-up.

    It is if the cell was cut out of its surroundings, if the image is smaller than `CloseUpParameters.min_field`, or
    little larger with a single white cell in its centre. Without a scale it is if a single white cell takes up much of
    the image.
    """
    if segmentation.masked_cell:
        return True
    single = segmentation.white_cells.max(initial=0) == 1
    if not segmentation.um_per_px:
        return bool(
            single and np.count_nonzero(segmentation.white_cells) > PARAMETERS.min_cell_share * segmentation.area
        )
    size = segmentation.area * segmentation.um_per_px**2 / RED_CELL_AREA_UM2 / PARAMETERS.min_field
    if size < 1:
        return True
    return bool(single and size < PARAMETERS.min_field_around_cell and _is_centred(segmentation.white_cells > 0))


def _is_centred(cell: np.ndarray) -> bool:
    height, width = cell.shape
    ys, xs = np.nonzero(cell)
    return max(abs(ys.mean() / height - 0.5), abs(xs.mean() / width - 0.5)) < PARAMETERS.max_offset

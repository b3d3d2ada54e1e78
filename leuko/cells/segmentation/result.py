"""The result of a segmentation: label maps of all cells, the scale, and how reliable they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

ScaleSource = Literal["red cells", "file"]
DOUBTFUL_BELOW = 0.5  # confidence in a white cell; below, it is shown to the user as doubtful


@dataclass(frozen=True)
class Segmentation:
    """The cells of an image, as label maps of its size; 0 is none, ids run from 1 without gaps.

    Attributes:
        nuclei: int32, H × W: the id of the white cell that a nucleus belongs to.
        white_cells: int32, H × W: whole white cells, nucleus and cytoplasm.
        red_cells: int32, H × W.
        platelets: int32, H × W.
        um_per_px: the scale, by the size of red cells or as the file states it; None where neither is known.
        scale_source: `red cells`, or `file` where red cells give no scale.
        scale_conflict: a sentence where the scales of red cells and file differ by over 20 %.
        red_cells_plausible: whether the red cells look like red cells; False in images that are out of focus or no
            smear; None where there are no red cells.
        reliable: False where the objects are obviously not cells, so that counts, sizes and crops are meaningless.
        unreliable_reason: the reason, a sentence; empty where the cells are reliable.
        masked_cell: whether the image shows a single cell cut out of its surroundings, as in C-NMC: no field, no red
            cells and no scale are to be expected.
        surround: bool, H × W: what lies outside the field of view, as around an eyepiece's disc; None where all is in.
        smudges: int32, H × W: smudge cells, which are no white cells here; None where the method does not find them.
        confidence: float32, one per white cell in the order of ids, 0 to 1; None where the method gives none.
        method: the name of the method that found the cells, one of `METHODS`; empty where it is not known.
    """

    nuclei: np.ndarray
    white_cells: np.ndarray
    red_cells: np.ndarray
    platelets: np.ndarray
    um_per_px: float | None
    scale_source: ScaleSource | None = None
    scale_conflict: str | None = None
    red_cells_plausible: bool | None = None
    reliable: bool = True
    unreliable_reason: str = ""
    masked_cell: bool = False
    surround: np.ndarray | None = None
    smudges: np.ndarray | None = None
    confidence: np.ndarray | None = None
    method: str = ""

    @property
    def area(self) -> int:
        """Pixels within the field of view."""
        return self.nuclei.size - (0 if self.surround is None else int(np.count_nonzero(self.surround)))

    @property
    def doubtful(self) -> np.ndarray:
        """Which white cells are doubtful by their confidence: bool, one per white cell in the order of ids."""
        if self.confidence is None:
            return np.zeros(int(self.white_cells.max(initial=0)), bool)
        return self.confidence < DOUBTFUL_BELOW

    def mask(self) -> np.ndarray:
        """One image of all: uint8, H × W, nucleus 255, cytoplasm 128, red cells 64, smudge cells 32, else 0."""
        mask = np.where(self.red_cells > 0, 64, 0).astype(np.uint8)
        if self.smudges is not None:
            mask[self.smudges > 0] = 32
        mask[self.white_cells > 0] = 128
        mask[self.nuclei > 0] = 255
        return mask

    def boxes(self, kind: Literal["red_cell", "platelet", "smudge_cell"]) -> list[dict[str, Any]]:
        """The cells of a kind as `id`, `kind`, `bbox` and `touches_border`; none if they are not looked for."""
        labels = {"red_cell": self.red_cells, "platelet": self.platelets, "smudge_cell": self.smudges}[kind]
        if labels is None:
            return []
        height, width = labels.shape
        boxes = []
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box = [columns.start, rows.start, columns.stop, rows.stop]
            touches = box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
            boxes.append({"id": label, "kind": kind, "bbox": box, "touches_border": touches})
        return boxes

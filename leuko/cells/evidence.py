"""What the cells of a field say about leukaemia, by three figures that know neither stain nor camera nor pixel.

Blasts of acute lymphoblastic leukaemia are cells whose one solid nucleus is larger than a red cell and nearly fills
them, and they are many (Bain, *Blood Cells: A Practical Guide*). A network learns all that sets two sets of images
apart, the laboratory first of all; these figures are few, are measured against the red cells beside them, and each can
only speak for leukaemia the larger it is. They are no differential: lymphocytes of a healthy person, of a child above
all, and the haematogones of a recovering marrow look much the same, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from leuko.cells import morphology
from leuko.cells.blasts import number_of
from leuko.cells.segmentation import RED_CELL_UM, Segmentation

Decision = Literal["suspicious", "not suspicious", "uncertain"]
CLEAR_ODDS = 3.0  # a probability within 1:3 and 3:1 is no answer, of the cells as of a network

RED_CELL_AREA = np.pi / 4 * RED_CELL_UM**2  # µm²
# A cell looks like a blast if its nucleus is as large as a red cell or larger (a small lymphocyte's is as large as
# one; beyond five lie heaps), in one lobe without a dent, and takes up most of the cell.
NUCLEUS = (1.0, 5.0)  # of a red cell's area
SOLID = 0.93  # solidity of the nucleus
FULL = 0.6  # the nucleus' share of the cell's area

FIELD = 30.0  # red cells' areas; an image that shows less is a picture of one cell, and says nothing of a field
WITHIN = (0.3, 0.9)  # shares of the cell's area that a typical nucleus has; beyond lie errors
UNSEEN = 20.0  # red cells, added to those seen, so that small fields do not make dense ones

# Logistic regression on Aria's training part (B-ALL against haematogones) and the even-numbered BCCD fields (healthy),
# half of them in foreign stains, leukaemia as heavy as the rest: `python -m benchmarks.elsewhere fit` prints it.
WEIGHTS = (1.013, 1.153, 2.058)
BIAS = 2.142

FEWEST = 3  # cells that look like blasts; fewer may be lymphocytes, and are never called suspicious


@dataclass(frozen=True)
class CellEvidence:
    """What the cells of one field say.

    Attributes:
        nucleated: white cells with a nucleus.
        blast_like: those that look like blasts.
        probability: of leukaemia, 0 to 1, where leukaemia is as frequent as its absence; None if the cells say nothing.
        silent: why they say nothing, in words, or empty.
    """

    nucleated: int
    blast_like: int
    probability: float | None
    silent: str = ""

    @property
    def decision(self) -> Decision:
        """What the cells alone call the field."""
        if self.probability is None:
            return "uncertain"
        if self.blast_like >= FEWEST and self.probability >= CLEAR_ODDS / (1 + CLEAR_ODDS):
            return "suspicious"
        # A field half of whose white cells look like blasts is not cleared, however few they are.
        if 2 * self.blast_like < self.nucleated and self.probability <= 1 / (1 + CLEAR_ODDS):
            return "not suspicious"
        return "uncertain"

    @property
    def sentence(self) -> str:
        """The evidence, for a reader."""
        if self.probability is None:
            return f"The cells say nothing: {self.silent}."
        looks = "looks like a blast" if 1 in (self.blast_like, self.nucleated) else "look like blasts"
        counts = "leaves it open" if self.decision == "uncertain" else f"counts as {self.decision}"
        return (
            f"The cells: {self.blast_like} of {number_of(self.nucleated, 'nucleated cell')} {looks} (a large, solid "
            f"nucleus that nearly fills the cell); that {counts}."
        )


def weigh(found: Segmentation) -> CellEvidence:
    """The evidence of a field's cells."""
    table = nucleated_cells(found)
    number, um = len(table["lobes"]), found.um_per_px
    if not number:
        return CellEvidence(0, 0, None, "there is no nucleated cell")
    if not um or found.red_cells_plausible is False:  # a file may state the scale of what is no smear, too
        return CellEvidence(number, 0, None, "there are too few clear red cells to tell the scale by")
    if found.area * um**2 < FIELD * RED_CELL_AREA:
        return CellEvidence(number, 0, None, "the image shows a cell and not a field")
    blast_like = int(looks_like_blast(table).sum())
    probability = float(expit(BIAS + np.dot(WEIGHTS, figures(table, found))))
    return CellEvidence(number, blast_like, probability)


def nucleated_cells(found: Segmentation) -> dict[str, np.ndarray]:
    """The rows of `leuko.cells.morphology.shapes` that have a nucleus."""
    table = morphology.shapes(found)
    nucleated = table["lobes"] > 0
    return {name: column[nucleated] for name, column in table.items()}


def looks_like_blast(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which cells look like blasts; bool, N, of a table of `leuko.cells.morphology` in micrometres."""
    return likeness(table) >= 1


def likeness(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much each cell looks like a blast: the bound it misses by most, as a ratio; 1 and more: it looks like one.

    Float, N, of a table of `leuko.cells.morphology` in micrometres; it orders cells and is no probability.
    """
    size = table["nucleus_area"] / RED_CELL_AREA
    ratios = (
        size / NUCLEUS[0],
        NUCLEUS[1] / np.maximum(size, 1e-6),
        1 / np.maximum(table["lobes"], 1),
        np.nan_to_num(table["nucleus_solidity"]) / SOLID,
        table["nucleus_share"] / FULL,
    )
    return np.min(ratios, axis=0)


def figures(table: Mapping[str, np.ndarray], found: Segmentation) -> np.ndarray:
    """What is weighed; float, 3, each larger in leukaemia.

    The odds of looking like a blast; the density of nucleated cells, per red cell; the share of the cell that the
    nucleus takes up, in the median cell; each as a logarithm of odds. A field is one where there was a white cell to be
    seen: that one says nothing of how dense they lie, and only the others count.

    Args:
        table: of the nucleated cells, one or more, from `leuko.cells.morphology`, in micrometres.
        found: the segmentation, with a known scale.
    """
    number, blast_like = len(table["lobes"]), looks_like_blast(table).sum()
    red_cells = np.count_nonzero(found.red_cells) * found.um_per_px**2 / RED_CELL_AREA
    return np.array(
        [
            np.log((blast_like + 0.5) / (number - blast_like + 0.5)),
            np.log((number - 1 + 0.5) / (red_cells + UNSEEN)),
            logit(np.clip(np.median(table["nucleus_share"]), *WITHIN)),
        ]
    )

"""What the cells of a field say about leukaemia, by three figures that know neither stain nor camera nor pixel.

Blasts of acute lymphoblastic leukaemia are cells whose one solid nucleus is larger than a red cell and nearly fills
them, and they are many (Bain, *Blood Cells: A Practical Guide*). A network learns all that sets two sets of images
apart, the laboratory first of all; these figures are few, are measured against the red cells beside them, and each can
only speak for leukaemia the larger it is. They are no differential: lymphocytes of a healthy person, of a child above
all, and the haematogones of a recovering marrow look much the same, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Literal

import numpy as np
from scipy.special import expit, logit, rel_entr

from leuko.cells.blast_share import REFERENCE_LINES, describe_blast_like
from leuko.cells.close_up import is_close_up
from leuko.cells.counting import tally_white_cells
from leuko.cells.features.morphology import Measurements
from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.cells.segmentation import Segmentation

Decision = Literal["suspicious", "not suspicious", "uncertain"]
CLEAR_ODDS = 3.0  # a probability within 1:3 and 3:1 is no answer, of the cells as of a network

# A cell looks like a blast if its nucleus is as large as a red cell or larger (a small lymphocyte's is as large as
# one; beyond five lie heaps), in one lobe without a dent, and takes up most of the cell.
NUCLEUS = (1.0, 5.0)  # of a red cell's area
SOLID = 0.93  # solidity of the nucleus
FULL = 0.6  # the nucleus' share of the cell's area

WITHIN = (0.3, 0.9)  # shares of the cell's area that a typical nucleus has; beyond lie errors
UNSEEN = 20.0  # red cells, added to those seen, so that small fields do not make dense ones

# Logistic regression on Aria's training part (B-ALL against haematogones) and the even-numbered BCCD fields (healthy),
# half of them in foreign stains, leukaemia as heavy as the rest: `python -m benchmarks.elsewhere fit` prints it. Fitted
# when the cells that the right and lower border cut counted too; 23 of 518 of these fields are decided otherwise since.
WEIGHTS = (1.013, 1.153, 2.058)
BIAS = 2.142

# Shares of cells that look like blasts: with leukaemia MIN_SHARE_WITH_LEUKAEMIA and more (WHO 2022, `leuko.cells.blast_share`), without it MAX_SHARE_WITHOUT
# and less: of 52 Benign fields of Aria's training part, full of haematogones and half of them in foreign stains, 44.
MIN_SHARE_WITH_LEUKAEMIA, MAX_SHARE_WITHOUT = REFERENCE_LINES[1], 0.6
MIN_CELLS_TO_CLEAR = ceil(
    log(CLEAR_ODDS) / log(1 / (1 - MIN_SHARE_WITH_LEUKAEMIA))
)  # cells; fewer can clear no field, whatever they look like


@dataclass(frozen=True)
class CellScore:
    """What the cells of one field say.

    Attributes:
        white_cells: white cells in the image.
        nucleated: those that count (`leuko.cells.counting`) and have a nucleus.
        blast_like: those of the nucleated that look like blasts.
        score: log-odds of leukaemia by three figures, where it is as frequent as its absence, however few cells there
            are; None if the cells say nothing.
        silent: why they say nothing, in words, or empty.
        close_up: whether the image is a close-up and no field.
        not_a_smear: whether what was taken for red cells does not look like them, as in tissue or out of focus.
    """

    white_cells: int
    nucleated: int
    blast_like: int
    score: float | None
    no_score_reason: str = ""
    close_up: bool = False
    not_a_smear: bool = False

    @property
    def probability(self) -> float | None:
        """Of leukaemia, 0 to 1: the score, within what so many cells can say; None without a score."""
        if self.score is None:
            return None
        return float(expit(np.clip(self.score, *bounds(self.blast_like, self.nucleated))))

    @property
    def decision(self) -> Decision:
        """What the cells alone call the field."""
        if self.probability is None:
            return "uncertain"
        if self.probability >= CLEAR_ODDS / (1 + CLEAR_ODDS):
            return "suspicious"
        return "not suspicious" if self.probability <= 1 / (1 + CLEAR_ODDS) else "uncertain"

    @property
    def too_few(self) -> bool:
        """Whether the cells leave it open because they are few."""
        return self.score is not None and self.decision == "uncertain" and self.nucleated < MIN_CELLS_TO_CLEAR

    @property
    def sentence(self) -> str:
        """The evidence, for a reader."""
        if self.score is None:
            return f"The cells say nothing: {self.no_score_reason}."
        says = "too few cells to say" if self.too_few else "that leaves it open"
        if self.decision != "uncertain":
            says = f"that counts as {self.decision}"
        others = self.white_cells - self.nucleated
        more = f" ({others} more seen: cut by the border, without a nucleus or of impossible size)" if others else ""
        return (
            f"The cells: {describe_blast_like(self.blast_like, self.nucleated)}{more}; {says}. A cell looks like a blast if it "
            "has a large, solid nucleus that nearly fills it."
        )


def bounds(blast_like: int, nucleated: int) -> tuple[float, float]:
    """How far so many cells can move the log-odds of leukaemia from even odds: down to, and up to.

    For leukaemia, a cell that looks like a blast can raise the odds 1 / `MAX_SHARE_WITHOUT` times, since of fields without leukaemia
    some hold so many: one or two of them settle nothing. Against leukaemia speaks only what a slide with `MIN_SHARE_WITH_LEUKAEMIA` blasts
    would hardly show: the bound is the logarithm of the likelihood ratio of the share seen to `MIN_SHARE_WITH_LEUKAEMIA`, n times their
    Kullback–Leibler divergence for n cells (Wilks 1938, doi:10.1214/aoms/1177732360), and 0 from `MIN_SHARE_WITH_LEUKAEMIA` on. Without a
    blast-like cell it is n · log(1 / (1 − `MIN_SHARE_WITH_LEUKAEMIA`)): four cells cannot reach odds of 1:3, five can.
    """
    share = blast_like / nucleated if nucleated else MIN_SHARE_WITH_LEUKAEMIA
    against = (
        nucleated * float(rel_entr(share, MIN_SHARE_WITH_LEUKAEMIA) + rel_entr(1 - share, 1 - MIN_SHARE_WITH_LEUKAEMIA))
        if share < MIN_SHARE_WITH_LEUKAEMIA
        else 0.0
    )
    return -against, blast_like * log(1 / MAX_SHARE_WITHOUT)


def score_field(found: Segmentation, measurements: Measurements | None = None) -> CellScore:
    """The evidence of a field's cells: of those that count, so that there is one number of blast-like cells.

    Args:
        found: the segmentation of the field.
        measurements: of its cells; made here if they are not given.
    """
    score = _score_field(found, measurements or Measurements(found))
    return replace(score, not_a_smear=found.red_cells_plausible is False)


def _score_field(found: Segmentation, measurements: Measurements) -> CellScore:
    seen, um = int(found.white_cells.max(initial=0)), found.um_per_px
    if not found.reliable:
        return CellScore(seen, 0, 0, None, "white cells were not reliably found")
    if is_close_up(found):
        nucleated = int(np.count_nonzero(np.bincount(found.nuclei.ravel())[1:]))
        no_score_reason = "the image shows a cell and not a field" if nucleated else "there is no nucleated cell"
        return CellScore(seen, nucleated, 0, None, no_score_reason, close_up=True)
    table = nucleated_cells(measurements)
    number = len(table["lobes"])
    if not number:
        no_score_reason = "no white cell with a nucleus was counted" if seen else "there is no nucleated cell"
        return CellScore(seen, 0, 0, None, no_score_reason)
    if not um or lacks_plausible_red_cells(found):
        return CellScore(seen, number, 0, None, "there are too few clear red cells to tell the scale by")
    blast_like = int(looks_like_blast(table).sum())
    score = float(BIAS + np.dot(WEIGHTS, score_features(table, found)))
    return CellScore(seen, number, blast_like, score)


def lacks_plausible_red_cells(found: Segmentation) -> bool:
    """Whether there are no red cells that look like them: a scale that the file states makes no smear of a picture."""
    return found.red_cells_plausible is False or (found.scale_source == "file" and not found.red_cells_plausible)


def scale_notes(found: Segmentation) -> tuple[str, ...]:
    """What to know about the scale, in sentences."""
    if found.scale_source == "file":
        return ("The scale comes from the file's metadata and not from red cells.",)
    return (found.scale_conflict,) if found.scale_conflict else ()


def nucleated_cells(measurements: Measurements) -> dict[str, np.ndarray]:
    """The rows of `Measurements.shapes` that have a nucleus and count (`leuko.cells.counting`)."""
    table = measurements.shapes
    counted = (table["lobes"] > 0) & ~np.isin(table["id"], tally_white_cells(measurements.segmentation).left_out)
    return {name: column[counted] for name, column in table.items()}


def looks_like_blast(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which cells look like blasts; bool, N, of a table of `leuko.cells.features.morphology` in micrometres."""
    return blast_likeness(table) >= 1


def blast_likeness(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much each cell looks like a blast: the bound it misses by most, as a ratio; 1 and more: it looks like one.

    Float, N, of a table of `leuko.cells.features.morphology` in micrometres; it orders cells and is no probability.
    """
    size = table["nucleus_area"] / RED_CELL_AREA_UM2
    ratios = (
        size / NUCLEUS[0],
        NUCLEUS[1] / np.maximum(size, 1e-6),
        1 / np.maximum(table["lobes"], 1),
        np.nan_to_num(table["nucleus_solidity"]) / SOLID,
        table["nucleus_share"] / FULL,
    )
    return np.min(ratios, axis=0)


def score_features(table: Mapping[str, np.ndarray], found: Segmentation) -> np.ndarray:
    """What is weighed; float, 3, each larger in leukaemia.

    The odds of looking like a blast; the density of nucleated cells, per red cell; the share of the cell that the
    nucleus takes up, in the median cell; each as a logarithm of odds. A field is one where there was a white cell to be
    seen: that one says nothing of how dense they lie, and only the others count.

    Args:
        table: of the nucleated cells, one or more, from `leuko.cells.features.morphology`, in micrometres.
        found: the segmentation, with a known scale.
    """
    number, blast_like = len(table["lobes"]), looks_like_blast(table).sum()
    red_cells = np.count_nonzero(found.red_cells) * found.um_per_px**2 / RED_CELL_AREA_UM2
    return np.array(
        [
            np.log((blast_like + 0.5) / (number - blast_like + 0.5)),
            np.log((number - 1 + 0.5) / (red_cells + UNSEEN)),
            logit(np.clip(np.median(table["nucleus_share"]), *WITHIN)),
        ]
    )

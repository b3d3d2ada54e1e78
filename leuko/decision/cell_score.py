"""The cell-based score: how much the white cells of a field speak for leukaemia, by how likely each is a blast.

The network of kinds (`leuko.cells.kinds`) says of each cell how likely it is a blast, and `leuko.decision.cell_pooling`
what the cells say together. How far so few cells may move the score is bounded. One by one, lymphocytes of a healthy
person, above all of a child, and the haematogones of a recovering marrow look much like blasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Literal

import numpy as np
from scipy.special import expit, rel_entr

from leuko.cells.blast_share import BLAST_THRESHOLD, REFERENCE_LINES, describe_blast_like
from leuko.cells.close_up_detection import is_close_up
from leuko.cells.counting import Tally, tally_white_cells
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import CellKinds
from leuko.cells.segmentation import Segmentation
from leuko.decision.cell_pooling import log_bayes_factor

Decision = Literal["suspicious", "not suspicious", "uncertain"]
CLEAR_ODDS = 3.0  # a probability between odds of 1:3 and 3:1 is no decision, of the cells as of a network

# Logistic regression of leukaemia on the logarithm of the Bayes factor: `python -m benchmarks.elsewhere fit` prints it.
# Its fields are Aria's training part and the even-numbered BCCD fields, half of them in foreign stains, by networks of
# kinds that have not seen them.
SLOPE, BIAS = 3.296, -1.883

# Shares of blast-like cells: at least this with leukaemia (WHO 2022, `leuko.cells.blast_share`),
MIN_SHARE_WITH_LEUKAEMIA = REFERENCE_LINES[1]
# and at most this without: nine of ten Benign fields of Aria's training part, full of haematogones and half of them in
# foreign stains, have a share of up to 0.4.
MAX_SHARE_WITHOUT = 0.5
# With fewer cells the cell-based score excludes no leukaemia, whatever they look like.
MIN_CELLS_TO_CLEAR = ceil(log(CLEAR_ODDS) / log(1 / (1 - MIN_SHARE_WITH_LEUKAEMIA)))

UNKNOWN_CELL_SIZE = "cell size could not be measured, with too few sharp red cells (out of focus, or not a smear)"
NO_NUCLEUS = "no white cell with a nucleus was found"


@dataclass(frozen=True)
class CellScore:
    """The cell-based score of one field.

    Attributes:
        white_cells: number of white cells in the image.
        nucleated: those that are counted (`leuko.cells.counting`) and have a nucleus.
        blast_like: those of the nucleated that look like blasts.
        score: log-odds of leukaemia for a prior of one half, not yet bounded by the number of cells; None without a
            score.
        no_score_reason: why there is no score, in words; else empty.
        close_up: whether the image is a close-up and no field.
        not_a_smear: whether the red cells do not look like red cells, as in tissue or out of focus.
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
        """Probability of leukaemia, 0 to 1: the score, bounded by the number of cells; None without a score."""
        if self.score is None:
            return None
        return float(expit(np.clip(self.score, *score_bounds(self.blast_like, self.nucleated))))

    @property
    def decision(self) -> Decision:
        """The decision by the cells alone."""
        if self.probability is None:
            return "uncertain"
        if self.probability >= CLEAR_ODDS / (1 + CLEAR_ODDS):
            return "suspicious"
        return "not suspicious" if self.probability <= 1 / (1 + CLEAR_ODDS) else "uncertain"

    @property
    def too_few_cells(self) -> bool:
        """Whether the score is inconclusive because there are too few cells."""
        return self.score is not None and self.decision == "uncertain" and self.nucleated < MIN_CELLS_TO_CLEAR

    @property
    def sentence(self) -> str:
        """The score in words."""
        if self.score is None:
            return f"No cell-based score: {self.no_score_reason}."
        result = "too few cells for a decision" if self.too_few_cells else "the cell-based score is inconclusive"
        if self.decision != "uncertain":
            result = f"the cell-based score is {self.decision}"
        cells = describe_blast_like(self.blast_like, self.nucleated)
        others = self.white_cells - self.nucleated
        if others:
            cells += f" ({others} more not counted: cut by the border, without a nucleus, or of implausible size)"
        return f"{cells[0].upper()}{cells[1:]}; {result}."


def score_bounds(blast_like: int, nucleated: int) -> tuple[float, float]:
    """How far so many cells can move the log-odds of leukaemia from 0: lower and upper bound.

    For leukaemia: each blast-like cell raises the odds at most 1 / `MAX_SHARE_WITHOUT` times, since some fields without
    leukaemia hold that share; one such cell proves nothing. Against leukaemia: the log-likelihood ratio of the
    observed share to `MIN_SHARE_WITH_LEUKAEMIA`, which is their Kullback-Leibler divergence times the number of cells
    (Wilks 1938, doi:10.1214/aoms/1177732360); 0 from that share on. Without a blast-like cell it is
    n · log(1 / (1 − `MIN_SHARE_WITH_LEUKAEMIA`)): four cells cannot reach odds of 1:3, five can.
    """
    share, reference = blast_like / max(nucleated, 1), MIN_SHARE_WITH_LEUKAEMIA
    against = 0.0
    if share < reference:
        against = nucleated * float(rel_entr(share, reference) + rel_entr(1 - share, 1 - reference))
    return -against, blast_like * log(1 / MAX_SHARE_WITHOUT)


def score_field(measurements: Measurements, kinds: CellKinds | None) -> CellScore:
    """The cell-based score of a field, by the cells that are counted.

    Args:
        measurements: of the cells.
        kinds: of the cells; None where they were not reliably found.
    """
    score = _score_field(measurements, kinds)
    return replace(score, not_a_smear=measurements.segmentation.red_cells_plausible is False)


def _score_field(measurements: Measurements, kinds: CellKinds | None) -> CellScore:
    segmentation = measurements.segmentation
    white_cells = int(segmentation.white_cells.max(initial=0))
    if kinds is None or not segmentation.reliable:
        return CellScore(white_cells, 0, 0, None, "the white cells were not found reliably")
    if is_close_up(segmentation):
        nucleated = int(np.count_nonzero(np.bincount(segmentation.nuclei.ravel())[1:]))
        reason = "the image shows a single cell and not a field" if nucleated else NO_NUCLEUS
        return CellScore(white_cells, nucleated, 0, None, reason, close_up=True)
    blasts = kinds.blast_probabilities[counted_rows(measurements.shapes, tally_white_cells(segmentation))]
    number = len(blasts)
    if not number:
        reason = "no white cell with a nucleus was counted" if white_cells else NO_NUCLEUS
        return CellScore(white_cells, 0, 0, None, reason)
    if not segmentation.um_per_px or lacks_plausible_red_cells(segmentation):
        return CellScore(white_cells, number, 0, None, UNKNOWN_CELL_SIZE)
    blast_like = int((blasts >= BLAST_THRESHOLD).sum())
    return CellScore(white_cells, number, blast_like, pooled_score(blasts))


def pooled_score(blasts: np.ndarray) -> float:
    """The score of cells by their blast probabilities, float, N: log-odds of leukaemia for a prior of one half."""
    return SLOPE * log_bayes_factor(blasts) + BIAS


def lacks_plausible_red_cells(segmentation: Segmentation) -> bool:
    """Whether no plausible red cells confirm that the image is a smear; a scale in the file does not confirm it."""
    plausible = segmentation.red_cells_plausible
    return plausible is False or (segmentation.scale_source == "file" and not plausible)


def scale_notes(segmentation: Segmentation) -> tuple[str, ...]:
    """What to know about the scale, in sentences."""
    if segmentation.scale_source == "file":
        return ("The scale is taken from the file's metadata, not from the red cells.",)
    return (segmentation.scale_conflict,) if segmentation.scale_conflict else ()


def counted_rows(table: Mapping[str, np.ndarray], tally: Tally) -> np.ndarray:
    """Which white cells are counted and have a nucleus: bool, N, in the order of ids.

    Args:
        table: of `leuko.cells.features.morphology`.
        tally: of the white cells.
    """
    return np.asarray((table["lobes"] > 0) & ~np.isin(table["id"], tally.left_out))

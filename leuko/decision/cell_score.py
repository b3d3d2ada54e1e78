"""The cell-based score: how much the white cells of a field speak for leukaemia, by three features.

Blasts of acute lymphoblastic leukaemia are cells with one large solid nucleus that nearly fills them, and they are many
(Bain, *Blood Cells: A Practical Guide*). A network learns everything that differs between two sets of images, the
laboratory first of all. These features are few and do not depend on stain, camera or pixel size: they are measured
against the red cells of the same field, and each can only speak for leukaemia the larger it is. The score is no
differential count: lymphocytes of a healthy person, above all of a child, and the haematogones of a recovering marrow
look much the same, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Literal

import numpy as np
from scipy.special import expit, logit, rel_entr

from leuko.cells.blast_share import REFERENCE_LINES, describe_blast_like
from leuko.cells.close_up_detection import is_close_up
from leuko.cells.counting import tally_white_cells
from leuko.cells.features.morphology import Measurements
from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.cells.segmentation import Segmentation

Decision = Literal["suspicious", "not suspicious", "uncertain"]
CLEAR_ODDS = 3.0  # a probability between odds of 1:3 and 3:1 is no decision, of the cells as of a network


@dataclass(frozen=True)
class BlastCriteria:
    """When a cell looks like a blast (Bain, *Blood Cells*): in one lobe, and within these bounds.

    Attributes:
        min_nucleus_area: of a red cell's area; a small lymphocyte's nucleus is about as large as a red cell.
        max_nucleus_area: of a red cell's area; beyond lie clumps.
        min_solidity: of the nucleus, which has no dent.
        min_nucleus_share: of the cell's area: the nucleus nearly fills the cell.
    """

    min_nucleus_area: float = 1.0
    max_nucleus_area: float = 5.0
    min_solidity: float = 0.93
    min_nucleus_share: float = 0.6


BLAST_CRITERIA = BlastCriteria()

NUCLEUS_SHARE_RANGE = (0.3, 0.9)  # of the cell's area, that a typical nucleus takes up; beyond lie errors
EXTRA_RED_CELLS = 20.0  # added to the red cells of a field, so that small fields do not become dense ones

# Logistic regression on Aria's training part (B-ALL against haematogones) and the even-numbered BCCD fields (healthy),
# half of them in foreign stains, leukaemia with the same total weight as the rest: `python -m benchmarks.elsewhere fit`
# prints it.
WEIGHTS = (0.932, 1.201, 1.725)
BIAS = 2.404

# Shares of blast-like cells: at least this with leukaemia (WHO 2022, `leuko.cells.blast_share`),
MIN_SHARE_WITH_LEUKAEMIA = REFERENCE_LINES[1]
# and at most this without: 89 of 104 Benign fields of Aria's training part, full of haematogones and half of them in
# foreign stains, have less.
MAX_SHARE_WITHOUT = 0.6
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
        score: log-odds of leukaemia by three features, for a prior of one half, not yet bounded by
            the number of cells; None without a score.
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
        return (
            f"{cells[0].upper()}{cells[1:]}; {result}. A cell looks like a blast if its nucleus is large and compact "
            "and nearly fills the cell."
        )


def score_bounds(blast_like: int, nucleated: int) -> tuple[float, float]:
    """How far so many cells can move the log-odds of leukaemia from 0: lower and upper bound.

    For leukaemia: each blast-like cell raises the odds at most 1 / `MAX_SHARE_WITHOUT` times, since some fields without
    leukaemia hold that share; one or two such cells prove nothing. Against leukaemia: the log-likelihood ratio of the
    observed share to `MIN_SHARE_WITH_LEUKAEMIA`, which is their Kullback-Leibler divergence times the number of cells
    (Wilks 1938, doi:10.1214/aoms/1177732360); 0 from that share on. Without a blast-like cell it is
    n · log(1 / (1 − `MIN_SHARE_WITH_LEUKAEMIA`)): four cells cannot reach odds of 1:3, five can.
    """
    share, reference = blast_like / max(nucleated, 1), MIN_SHARE_WITH_LEUKAEMIA
    against = 0.0
    if share < reference:
        against = nucleated * float(rel_entr(share, reference) + rel_entr(1 - share, 1 - reference))
    return -against, blast_like * log(1 / MAX_SHARE_WITHOUT)


def score_field(segmentation: Segmentation, measurements: Measurements | None = None) -> CellScore:
    """The cell-based score of a field, by the cells that are counted.

    Args:
        segmentation: of the field.
        measurements: of its cells; None: they are measured.
    """
    score = _score_field(segmentation, measurements or Measurements(segmentation))
    return replace(score, not_a_smear=segmentation.red_cells_plausible is False)


def _score_field(segmentation: Segmentation, measurements: Measurements) -> CellScore:
    white_cells = int(segmentation.white_cells.max(initial=0))
    if not segmentation.reliable:
        return CellScore(white_cells, 0, 0, None, "the white cells were not found reliably")
    if is_close_up(segmentation):
        nucleated = int(np.count_nonzero(np.bincount(segmentation.nuclei.ravel())[1:]))
        reason = "the image shows a single cell and not a field" if nucleated else NO_NUCLEUS
        return CellScore(white_cells, nucleated, 0, None, reason, close_up=True)
    table = nucleated_cells(measurements)
    number = len(table["lobes"])
    if not number:
        reason = "no white cell with a nucleus was counted" if white_cells else NO_NUCLEUS
        return CellScore(white_cells, 0, 0, None, reason)
    if not segmentation.um_per_px or lacks_plausible_red_cells(segmentation):
        return CellScore(white_cells, number, 0, None, UNKNOWN_CELL_SIZE)
    blast_like = int(looks_like_blast(table).sum())
    score = float(BIAS + np.dot(WEIGHTS, score_features(table, segmentation)))
    return CellScore(white_cells, number, blast_like, score)


def lacks_plausible_red_cells(segmentation: Segmentation) -> bool:
    """Whether no plausible red cells confirm that the image is a smear; a scale in the file does not confirm it."""
    plausible = segmentation.red_cells_plausible
    return plausible is False or (segmentation.scale_source == "file" and not plausible)


def scale_notes(segmentation: Segmentation) -> tuple[str, ...]:
    """What to know about the scale, in sentences."""
    if segmentation.scale_source == "file":
        return ("The scale is taken from the file's metadata, not from the red cells.",)
    return (segmentation.scale_conflict,) if segmentation.scale_conflict else ()


def nucleated_cells(measurements: Measurements) -> dict[str, np.ndarray]:
    """The rows of `Measurements.shapes` of counted cells with a nucleus."""
    table = measurements.shapes
    counted = (table["lobes"] > 0) & ~np.isin(table["id"], tally_white_cells(measurements.segmentation).left_out)
    return {name: column[counted] for name, column in table.items()}


def looks_like_blast(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which cells look like blasts; bool, N, of a table of `leuko.cells.features.morphology` in micrometres."""
    return blast_likeness(table) >= 1


def blast_likeness(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much each cell looks like a blast: its worst ratio to a criterion; from 1 on, it looks like one.

    Float, N, of a table of `leuko.cells.features.morphology` in micrometres. It ranks cells and is no probability.
    """
    size = table["nucleus_area"] / RED_CELL_AREA_UM2
    ratios = (
        size / BLAST_CRITERIA.min_nucleus_area,
        BLAST_CRITERIA.max_nucleus_area / np.maximum(size, 1e-6),
        1 / np.maximum(table["lobes"], 1),
        np.nan_to_num(table["nucleus_solidity"]) / BLAST_CRITERIA.min_solidity,
        table["nucleus_share"] / BLAST_CRITERIA.min_nucleus_share,
    )
    return np.min(ratios, axis=0)


def score_features(table: Mapping[str, np.ndarray], segmentation: Segmentation) -> np.ndarray:
    """The features of the score; float, 3, each larger in leukaemia, and each a logarithm of odds.

    They are the odds that a cell looks like a blast; the density of nucleated cells, per red cell; and the share of the
    cell that the nucleus takes up, in the median cell. Fields are photographed where there is a white cell, so one cell
    is not counted in the density.

    Args:
        table: of the nucleated cells, one or more, from `leuko.cells.features.morphology`, in micrometres.
        segmentation: with a known scale.

    Raises:
        ValueError: the scale is not known.
    """
    if segmentation.um_per_px is None:
        raise ValueError("the features of the cell-based score need the scale of the image; give um_per_px")
    number, blast_like = len(table["lobes"]), looks_like_blast(table).sum()
    red_cells = np.count_nonzero(segmentation.red_cells) * segmentation.um_per_px**2 / RED_CELL_AREA_UM2
    return np.array(
        [
            np.log((blast_like + 0.5) / (number - blast_like + 0.5)),
            np.log((number - 1 + 0.5) / (red_cells + EXTRA_RED_CELLS)),
            logit(np.clip(np.median(table["nucleus_share"]), *NUCLEUS_SHARE_RANGE)),
        ]
    )

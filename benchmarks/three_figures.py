"""The rule that the kinds of cells replaced: how much three figures of large solid nuclei speak for leukaemia.

It needs no training of a network, and is kept as the baseline of the cell-based score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from leuko.cells.counting import tally_white_cells
from leuko.cells.features.morphology import Measurements
from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.cells.segmentation import Segmentation
from leuko.decision.cell_score import CellScore, counted_rows, score_bounds


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
MAX_SHARE_WITHOUT = 0.6  # of blast-like cells in fields without leukaemia, at most
WEIGHTS, BIAS = (0.932, 1.201, 1.725), 2.404  # logistic regression on the fields that `benchmarks.elsewhere fit` uses


class _Score(CellScore):
    """A score with the bounds of that rule: the share of blast-like cells without leukaemia was taken for 0.6."""

    @property
    def probability(self) -> float | None:
        """As of `CellScore`."""
        if self.score is None:
            return None
        low, _ = score_bounds(self.blast_like, self.nucleated)
        return float(expit(np.clip(self.score, low, self.blast_like * np.log(1 / MAX_SHARE_WITHOUT))))


def by_three_figures(score: CellScore, measurements: Measurements) -> CellScore:
    """The score that the rule gives a field which has a cell-based score; others stay as they are."""
    if score.score is None:
        return score
    rows = counted_rows(measurements.shapes, tally_white_cells(measurements.segmentation))
    table = {name: column[rows] for name, column in measurements.shapes.items()}
    blast_like = int((blast_likeness(table) >= 1).sum())
    figures = float(BIAS + np.dot(WEIGHTS, score_features(table, measurements.segmentation)))
    return _Score(score.white_cells, score.nucleated, blast_like, figures)


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
    """
    number, blast_like = len(table["lobes"]), (blast_likeness(table) >= 1).sum()
    um = segmentation.um_per_px or 1
    red_cells = np.count_nonzero(segmentation.red_cells) * um**2 / RED_CELL_AREA_UM2
    return np.array(
        [
            np.log((blast_like + 0.5) / (number - blast_like + 0.5)),
            np.log((number - 1 + 0.5) / (red_cells + EXTRA_RED_CELLS)),
            logit(np.clip(np.median(table["nucleus_share"]), *NUCLEUS_SHARE_RANGE)),
        ]
    )

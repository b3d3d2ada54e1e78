"""Counts in drawn fields, whose truth is exact, in 50 random stains and many scales.

`plain` fields have separate white cells or none, red cells that overlap a little, and few platelets. `hard` ones are
those of `leuko.images.synthetic.random_smear`: clumps, smudge cells, odd red cells, debris, marks, poor optics. Their
seeds lie far from those of any training. What the border shows of a cell counts, in truth and in what is found, from a
share of a red cell's true area on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.segmentation import estimators
from benchmarks.segmentation.all_folders import ENOUGH, OFF
from benchmarks.segmentation.estimators import Figures
from benchmarks.segmentation.run import Run, Segmenter, columns
from leuko.cells.red_cell_size import RED_CELL_AREA_UM2
from leuko.images.synthetic import rendering
from leuko.images.synthetic.random_smear import random_field
from leuko.images.synthetic.rendering import Smear
from leuko.images.synthetic.stains import random_stain

FIELDS = 200  # of each sort
STAINS = 50
PLAIN_SEED, HARD_SEED = 5000, 26_000_000  # of the first field
HARD_SIDE = 480  # px
KINDS = ("blast", "lymphocyte", "neutrophil", "monocyte")
LEAST_WHITE, LEAST_RED = 0.5, 0.15  # of a red cell's area


class Counted(NamedTuple):
    """Counts of a field, found and true, and its scale over the true one (NaN if unknown).

    Attributes:
        true_white, true_red, true_smudges, white, red, smudges: cells.
        scaled: whether the field has enough whole red cells for a scale.
        scale: found µm per pixel over the true.
        failed: whether the method raised an error, so that nothing was found.
    """

    true_white: int
    true_red: int
    true_smudges: int
    scaled: bool
    white: int = 0
    red: int = 0
    smudges: int = 0
    scale: float = np.nan
    failed: bool = False


def drawn(run: Run) -> Figures:
    """Counts and scales of plain and hard fields."""
    figures: Figures = {}
    for name, work in (("plain", _plain), ("hard", _hard)):
        of = columns(run.map(work, range(FIELDS)))
        some, enough = of.true_red > 0, of.scaled > 0
        known = ~np.isnan(of.scale)
        figures |= estimators.intervals(
            {
                f"drawn, {name}: white cells wrong": estimators.total(abs(of.white - of.true_white)),
                f"drawn, {name}: white cells, truth": estimators.total(of.true_white),
                f"drawn, {name}: fields with the right number of white cells": estimators.share(
                    of.white == of.true_white
                ),
                f"drawn, {name}: red cells, all together": estimators.excess(of.red, of.true_red),
                f"drawn, {name}: red cells, mean absolute error of a field": estimators.mean(
                    np.where(some, abs(of.red - of.true_red) / np.maximum(of.true_red, 1), np.nan), most=10.0
                ),
                f"drawn, {name}: smudge cells wrong": estimators.total(abs(of.smudges - of.true_smudges)),
                f"drawn, {name}: fields on which the method fails": estimators.total(of.failed),
                f"drawn, {name}: scale known": estimators.proportion(known & enough, enough),
                f"drawn, {name}: scale off by over 15 %": estimators.proportion(
                    known & enough & (abs(np.nan_to_num(of.scale, nan=1.0) - 1) > OFF), known & enough
                ),
            },
            FIELDS,
        )
    return figures


def _plain(segmenter: Segmenter, number: int) -> Counted:
    stains = np.random.default_rng(PLAIN_SEED)
    stain = [random_stain(stains) for _ in range(STAINS)][number % STAINS]
    rng = np.random.default_rng([PLAIN_SEED, number])
    names = rng.choice(KINDS, rng.integers(0, 5)).tolist()
    um_per_px = float(rng.uniform(0.1, 0.35))
    wanted = {name: names.count(name) for name in sorted(set(names))}
    return _counted(
        segmenter, rendering.render(PLAIN_SEED + number, um_per_px=um_per_px, stain=stain, white_cells=wanted)
    )


def _hard(segmenter: Segmenter, number: int) -> Counted:
    diameter = float(np.exp(np.random.default_rng([HARD_SEED, number]).uniform(np.log(16), np.log(64))))
    return _counted(segmenter, random_field(HARD_SEED + number, side_px=HARD_SIDE, red_diameter_px=diameter))


def _counted(segmenter: Segmenter, smear: Smear) -> Counted:
    red_area = RED_CELL_AREA_UM2 / smear.um_per_px**2
    whole = np.setdiff1d(smear.red_cells, np.concatenate([smear.red_cells[side] for side in _SIDES]))
    truth = Counted(
        true_white=_count(smear.white_cells, LEAST_WHITE * red_area),
        true_red=_count(smear.red_cells, LEAST_RED * red_area),
        true_smudges=int(smear.smudges.max(initial=0)),
        scaled=int(np.count_nonzero(whole)) >= ENOUGH,
    )
    try:
        found = segmenter(smear.image)
    except Exception:  # counted, whatever it is: a method must not fail on any image
        return truth._replace(failed=True)
    return truth._replace(
        white=_count(found.white_cells, LEAST_WHITE * red_area),
        red=_count(found.red_cells, LEAST_RED * red_area),
        smudges=0 if found.smudges is None else int(found.smudges.max(initial=0)),
        scale=found.um_per_px / smear.um_per_px if found.um_per_px else np.nan,
    )


_SIDES = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])


def _count(labels: np.ndarray, least: float) -> int:
    """Objects of a label map with at least some area, px."""
    return int((np.bincount(labels.ravel())[1:] >= least).sum())

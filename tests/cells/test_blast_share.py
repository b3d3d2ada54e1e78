"""The interval of the blast share: it covers the share in the slide although some cells are told wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from leuko.cells.blast_share import BlastShare
from leuko.stats.proportions import wilson_interval


def test_cells_that_are_sure_give_nearly_the_interval_of_a_count():
    for blasts, others in ((0, 20), (5, 5), (30, 10), (20, 0)):
        low, high = BlastShare((0.999,) * blasts + (0.001,) * others).interval
        exact = wilson_interval(blasts, blasts + others)
        assert low == pytest.approx(exact[0], abs=0.09) and high == pytest.approx(exact[1], abs=0.09)
        assert low <= blasts / (blasts + others) <= high


def test_it_covers_the_share_of_many_cells_that_a_person_has_told():
    rng = np.random.default_rng(1)
    for number in (200, 500):
        for share in (0.02, 0.1, 0.15):
            for certain in (0.0, 0.001):
                counts = rng.binomial(number, share, 120)
                found = [BlastShare((1 - certain,) * n + (certain,) * (number - n)).interval for n in counts]
                assert np.mean([low <= share <= high for low, high in found]) >= 0.92
    low, high = BlastShare((1.0,) * 20 + (0.0,) * 480).interval
    assert low == pytest.approx(0.025, abs=0.003) and high == pytest.approx(0.061, abs=0.003)


def test_cells_that_are_unsure_widen_it_and_many_cells_narrow_it():
    widths = [
        high - low
        for low, high in (BlastShare(p).interval for p in ((0.95, 0.05) * 5, (0.6, 0.4) * 5, (0.95, 0.05) * 50))
    ]
    assert widths[1] > widths[0] + 0.15 and widths[2] < 0.5 * widths[0]


def test_without_cells_everything_is_possible_and_one_cell_says_little():
    assert BlastShare(()).interval == (0.0, 1.0) and BlastShare(()).share is None
    low, high = BlastShare((0.9,)).interval
    assert low < 0.2 and high == 1.0


def test_it_covers_the_share_where_cells_are_told_with_the_errors_they_admit():
    """Each cell's probability of a blast is calibrated, so some cells are taken for what they are not."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(600):
        share = rng.choice([0.0, 0.05, 0.3, 0.6, 0.9, 1.0])
        blast = rng.random(25) < share
        odds = np.where(blast, 1.5, -1.5) + rng.normal(0, 1.73, 25)  # log-likelihood ratios: variance twice the mean
        low, high = BlastShare(tuple(1 / (1 + np.exp(-odds)))).interval
        inside.append(low <= share <= high)
    assert 0.93 <= np.mean(inside) <= 0.995

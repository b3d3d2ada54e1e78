"""Platelets per 100 red cells and the spread of red-cell diameters, against drawn truth and other formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from leuko.cells.counting import count
from leuko.cells.red_cell_indices import RedCellIndices, measure, separate_diameters
from leuko.cells.segmentation import segment
from leuko.images.synthetic import rendering
from leuko.images.synthetic.red_forms import RedCellStyle


def indices(platelets: int = 5, red_cells: int = 110, diameters: np.ndarray | None = None) -> RedCellIndices:
    return RedCellIndices(platelets, red_cells, np.linspace(6.5, 8.5, 40) if diameters is None else diameters)


def test_platelets_per_100_red_cells_with_the_interval_of_the_two_counts():
    ratio = indices(5, 110).platelets_per_100_red_cells
    share = binomtest(5, 115).proportion_ci(method="wilson")
    assert ratio.value == pytest.approx(100 * 5 / 110)
    assert (ratio.low, ratio.high) == pytest.approx([100 * p / (1 - p) for p in (share.low, share.high)])
    assert indices(0, 110).platelets_per_100_red_cells.high > 0
    assert indices(5, 19).platelets_per_100_red_cells is None


def test_a_normal_smear_has_a_normal_number_of_platelets():
    estimate = indices(10, 200).platelets_per_ul  # one field's worth: each platelet stands for 20,000
    assert estimate.value == pytest.approx(200_000)
    assert indices(10, 99).platelets_per_ul is None
    (sentence,) = (line for line in indices(10, 200).sentences if "per µL" in line)
    assert "about 200,000 platelets" in sentence and "wrong in anaemia" in sentence


def test_the_spread_of_diameters_has_the_interval_of_a_standard_deviation():
    diameters = np.random.default_rng(0).normal(7.5, 0.6, 60)
    spread = indices(diameters=diameters).diameter_spread
    assert spread.value == pytest.approx(np.std(diameters, ddof=1) / np.mean(diameters))
    limits = [spread.value * np.sqrt(59 / chi2.ppf(p, 59)) for p in (0.975, 0.025)]
    assert (spread.low, spread.high) == pytest.approx(limits)
    assert indices(diameters=diameters[:19]).diameter_spread is None
    assert indices(diameters=diameters / 3).diameter_spread.value == pytest.approx(spread.value)


def test_only_whole_cells_that_touch_no_other_are_measured():
    labels = np.zeros((60, 120), np.int32)
    for label, (row, column, height, width) in enumerate(
        [(10, 10, 10, 10), (10, 40, 10, 10), (30, 10, 10, 10), (30, 20, 10, 10), (0, 60, 10, 10), (50, 60, 2, 2)],
        start=1,
    ):
        labels[row : row + height, column : column + width] = label
    found = separate_diameters(labels)  # two touch, one is cut, one is a fragment
    assert found == pytest.approx(np.full(2, np.sqrt(400 / np.pi)))
    assert not len(separate_diameters(np.zeros((20, 20), np.int32)))


@pytest.mark.parametrize("size_spread", [0.04, 0.13])
def test_the_spread_of_a_drawn_field_is_found(size_spread):
    style = RedCellStyle(forms={}, size_spread=size_spread)
    drawn = rendering.render(4, um_per_px=0.16, white_cells={"neutrophil": 2}, red_cover=0.35, red_style=style)
    found = segment(drawn.image)
    true = separate_diameters(drawn.red_cells)
    spread = measure(found, count(found)).diameter_spread
    assert spread.value == pytest.approx(true.std(ddof=1) / true.mean(), abs=0.02)
    assert spread.low < size_spread < spread.high


def test_without_red_cells_nothing_is_said():
    nothing = indices(3, 0, np.empty(0))
    assert nothing.sentences == ()
    assert nothing.as_json() == {
        "platelets_per_100_red_cells": None,
        "platelets_per_ul": None,
        "diameter_spread": None,
        "diameters": 0,
    }

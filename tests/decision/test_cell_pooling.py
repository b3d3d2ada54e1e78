"""What cells say together: more of the same say more, and no cell says more than it may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from leuko.decision.cell_pooling import PARAMETERS, log_bayes_factor

CELLS = st.lists(st.floats(0, 1), min_size=0, max_size=30)


def test_it_is_the_ratio_of_two_integrals_over_the_share():
    probabilities = np.array([0.9, 0.2, 0.6])
    odds = probabilities / (1 - probabilities) * (1 - PARAMETERS.neutral) / PARAMETERS.neutral

    def evidence(prior: tuple[float, float]) -> float:
        return quad(lambda share: beta.pdf(share, *prior) * np.prod(share * odds + 1 - share), 0, 1)[0]

    exact = np.log(evidence(PARAMETERS.with_leukaemia) / evidence(PARAMETERS.without))
    assert log_bayes_factor(probabilities) == pytest.approx(exact, abs=0.02)


@given(CELLS)
def test_a_likelier_blast_never_speaks_against_leukaemia(cells):
    base = log_bayes_factor(np.array(cells))
    for i in range(len(cells)):
        more = np.array([*cells[:i], 1.0, *cells[i + 1 :]])
        assert log_bayes_factor(more) >= base - 1e-9


@given(CELLS, st.floats(0, 1))
def test_one_more_cell_moves_it_by_its_largest_ratio_at_most(cells, another):
    moved = log_bayes_factor(np.array([*cells, another])) - log_bayes_factor(np.array(cells))
    assert abs(moved) <= np.log(PARAMETERS.max_ratio) + 1e-9


def test_without_cells_nothing_is_said():
    assert log_bayes_factor(np.zeros(0)) == pytest.approx(0)

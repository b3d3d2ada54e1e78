"""How likely a cell is a blast, where normal kinds are as common as in blood."""

from __future__ import annotations

import numpy as np
import pytest

from leuko.cells.kinds.classify import CellKinds
from leuko.cells.kinds.names import KINDS, NORMAL_KINDS, NORMAL_SHARES


def blast_probabilities(*cells: dict[str, float]) -> np.ndarray:
    rows = np.array([[cell.get(kind, 0.0) for kind in KINDS] for cell in cells], np.float32).reshape(-1, len(KINDS))
    return CellKinds(rows, rows > 0, False).blast_probabilities


def test_the_shares_of_normal_kinds_are_those_of_all_of_them():
    assert set(NORMAL_SHARES) == set(NORMAL_KINDS) and sum(NORMAL_SHARES.values()) == pytest.approx(1)


def test_a_cell_that_might_be_of_any_normal_kind_keeps_its_blast_probability():
    undecided = {kind: 0.7 / len(NORMAL_KINDS) for kind in NORMAL_KINDS} | {"blast": 0.3}
    assert blast_probabilities(undecided)[0] == pytest.approx(0.3, abs=1e-5)


def test_a_rare_kind_says_little_against_a_blast_and_a_common_one_much():
    rare, common, sure = blast_probabilities(
        {"blast": 0.4, "basophil": 0.6}, {"blast": 0.4, "neutrophil": 0.6}, {"basophil": 1.0}
    )
    assert rare == pytest.approx(0.4 / (0.4 + 7 * 0.01 * 0.6), abs=1e-5)
    assert common < 0.4 < rare and sure < 1e-5


def test_without_cells_there_are_no_probabilities():
    assert blast_probabilities().shape == (0,)

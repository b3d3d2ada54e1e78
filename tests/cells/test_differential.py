"""The differential count: shares with exact intervals, and what is reported apart."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from leuko.cells.differential import ROWS, Differential
from leuko.cells.kinds.names import KINDS, UNKNOWN

TYPES = ["neutrophil"] * 12 + ["lymphocyte"] * 6 + ["erythroblast"] * 3 + [UNKNOWN] * 2


def test_shares_are_per_white_cell_with_the_exact_interval():
    count = Differential.of(TYPES, smudges=4)
    assert count.white_cells == 20
    share = count.shares["neutrophil"]
    exact = binomtest(12, 20).proportion_ci(method="exact")
    assert (share["value"], share["low"], share["high"]) == pytest.approx((0.6, exact.low, exact.high))
    assert count.shares["blast"]["value"] == 0 and count.shares["blast"]["high"] > 0.1  # none seen is not none there
    assert sum(each["value"] for each in count.shares.values()) == pytest.approx(1)


def test_erythroblasts_and_smudge_cells_are_reported_apart_or_as_the_laboratory_counts_them():
    apart, among = (Differential.of(TYPES, 4, count_smudges) for count_smudges in (False, True))
    assert apart.per_100 == {"erythroblast": 15, "smudge": 20}
    assert among.white_cells == 24 and among.shares["smudge"]["value"] == pytest.approx(4 / 24)
    assert among.per_100 == {"erythroblast": pytest.approx(12.5)}
    assert "erythroblast" not in apart.shares and "smudge" not in Differential.of(TYPES, None).numbers


def test_the_count_as_csv():
    rows = list(csv.DictReader(io.StringIO(Differential.of(TYPES, 4).as_csv("=a.png"))))
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["neutrophil"]["count"] == "12" and float(by_kind["neutrophil"]["share"]) == 0.6
    assert by_kind["erythroblast"]["share"] == "" and float(by_kind["erythroblast"]["per_100_white_cells"]) == 15
    assert not rows[0]["image"].startswith("=")  # no formula of a spreadsheet


def test_the_count_in_words():
    lines = Differential.of(TYPES, 4).sentences
    assert lines[0] == "Differential count of 20 white cells: 12 neutrophils, 6 lymphocytes, 2 of unknown kind."
    assert "Apart from them: 3 erythroblasts, 15 per 100 white cells." in lines
    assert Differential.of([], 0).sentences == ("No white cell was counted, so there is no differential count.",)


@given(st.lists(st.sampled_from([*KINDS, UNKNOWN]), max_size=60), st.none() | st.integers(0, 9), st.booleans())
def test_no_cell_is_lost(types, smudges, count_smudges):
    said = json.loads(json.dumps(Differential.of(types, smudges, count_smudges).as_json()))
    assert sum(said[kind]["count"] for kind in (*ROWS, "erythroblast")) == len(types)
    for each in said.values():
        if each["share"] is not None:
            low, high = each["interval"]
            assert 0 <= low <= each["share"] <= high <= 1 and "per_100_white_cells" not in each

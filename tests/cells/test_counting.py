"""Counting: the border rule, what is left out, ratios, and the share of blasts with its interval."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binomtest

from leuko.cells.counting import NOT_COUNTED, RULE, count
from leuko.images.synthetic import rendering
from leuko.stats.proportions import wilson_interval


@dataclass(frozen=True)
class Field:
    nuclei: np.ndarray
    white_cells: np.ndarray
    red_cells: np.ndarray
    platelets: np.ndarray
    um_per_px: float | None = None
    smudges: np.ndarray | None = None


def paint(boxes: list[tuple[int, int, int, int]], side: int = 100) -> np.ndarray:
    """Labels 1… of rectangles x0, y0, x1, y1."""
    labels = np.zeros((side, side), np.int32)
    for label, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = label
    return labels


def field(white=(), red=(), platelets=(), um_per_px=None, side=100, naked=(), smudges=None) -> Field:
    whites = paint(list(white), side)
    nuclei = np.where(np.isin(whites, list(naked)), 0, whites)
    broken = None if smudges is None else paint(list(smudges), side)
    return Field(nuclei, whites, paint(list(red), side), paint(list(platelets), side), um_per_px, broken)


def grid(number: int, size: int = 6, step: int = 9) -> list[tuple[int, int, int, int]]:
    at = [(3 + step * (i % 10), 3 + step * (i // 10)) for i in range(number)]
    return [(x, y, x + size, y + size) for x, y in at]


def test_cells_cut_by_the_left_and_upper_border_count_and_the_others_do_not():
    corners = [(0, 40, 5, 45), (40, 0, 45, 5), (95, 40, 100, 45), (40, 95, 45, 100), (95, 0, 100, 5), (50, 50, 55, 55)]
    counts = count(field(white=corners, red=corners, platelets=corners))
    for tally in (counts.white_cells, counts.red_cells, counts.platelets):
        assert (tally.total, tally.counted) == (6, 3)
        assert tally.excluded["cut"] == (3, 4, 5)
    assert RULE in counts.sentences[0]
    assert "Of 6 white cells found, not counted: 3 cut." in counts.sentences


def test_fields_side_by_side_count_every_cell_once():
    smear = rendering.render(2, width=600, height=400, um_per_px=0.2)
    whole, total = count(smear).red_cells, 0
    cut = [[(rows, columns) for columns in np.split(np.arange(600), 3)] for rows in np.split(np.arange(400), 2)]
    for rows, columns in (part for line in cut for part in line):
        labels = smear.red_cells[np.ix_(rows, columns)]
        kept = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
        total += count(Field(*np.zeros((2, *labels.shape), np.int32), kept, np.zeros_like(kept))).red_cells.counted
    # Not exact: what is left of a cell below or right of another one may be in two pieces.
    assert abs(total - whole.counted) <= 0.03 * whole.counted


def test_a_drawn_field_is_counted_without_error():
    smear = rendering.render(1, platelets=5, white_cells={"lymphocyte": 2, "neutrophil": 1, "blast": 1})
    counts = count(smear)
    assert counts.white_cells.total == counts.white_cells.counted == 4
    assert counts.red_cells.total == smear.red_cells.max()
    assert counts.platelets.total == smear.platelets.max()


def test_white_cells_of_impossible_size_do_not_count_where_the_scale_is_known():
    cells = [(10, 10, 20, 20), (30, 30, 33, 33), (0, 60, 3, 63)]  # the last one is cut, so it may be large
    assert count(field(white=cells, um_per_px=1.0)).white_cells.excluded["too small"] == (2,)
    assert count(field(white=[(5, 5, 60, 60)], um_per_px=1.0)).white_cells.excluded["too large"] == (1,)
    unknown = count(field(white=[*cells, (40, 40, 95, 95)])).white_cells
    assert unknown.counted == unknown.total == 4


def test_red_fragments_do_not_count_and_clumps_are_named():
    red = [*grid(20), (30, 50, 32, 52), (60, 60, 72, 66)]
    tally = count(field(red=red)).red_cells
    assert tally.excluded["too small"] == (21,)
    assert tally.clumps == (22,)
    assert tally.counted == 21
    few = count(field(red=[*grid(5), (30, 50, 32, 52), (60, 60, 72, 66)])).red_cells
    assert not few.excluded["too small"] and not few.clumps


def test_smudge_cells_are_counted_apart_and_by_the_same_rule():
    counts = count(field(white=grid(24), smudges=[(0, 60, 9, 69), (40, 60, 49, 69), (91, 60, 100, 69)]))
    assert counts.white_cells.total == counts.white_cells.counted == 24
    assert (counts.smudge_cells.total, counts.smudge_cells.counted) == (3, 2)
    assert "2 smudge cells, counted apart from white cells (8 per 100 white cells)." in counts.sentences
    assert "Of 3 smudge cells found, not counted: 1 cut." in counts.sentences
    few = count(field(white=grid(19), smudges=[(40, 60, 49, 69)]))
    assert "1 smudge cell, counted apart from white cells." in few.sentences and few.smudges_per_100 is None
    assert few.as_json()["counts"]["smudge_cells"] == few.as_json()["counted"]["smudge_cells"] == 1


def test_no_smudge_cells_is_not_the_same_as_smudge_cells_that_nobody_looked_for():
    looked, not_looked = count(field(white=grid(3), smudges=[])), count(field(white=grid(3)))
    assert looked.as_json()["counts"]["smudge_cells"] == 0
    for figures in ("counts", "counted", "excluded", "clumps"):
        assert not_looked.as_json()[figures]["smudge_cells"] is None
        assert set(not_looked.as_json()[figures]) == set(NOT_COUNTED[figures])
    assert not any("smudge" in sentence for sentence in (*looked.sentences, *not_looked.sentences))


def test_white_to_red_by_the_rule_and_as_in_the_paper():
    counts = count(field(white=[(40, 40, 60, 60), (90, 80, 100, 99)], red=grid(30)))
    assert counts.white_to_red == 1 / 30
    assert counts.white_to_red_seen == 2 / 30
    nothing = count(field())
    assert nothing.white_to_red is None and nothing.white_to_red_seen is None


def test_four_of_eight_unsure_cells_say_less_than_a_count_of_four_of_eight():
    counts = count(field(white=grid(8)), [0.9, 0.5, 0.7, 0.99, 0.1, 0.2, 0.49, 0.0])
    share = counts.blast_share
    assert (share.blasts, share.nucleated, share.share) == (4, 8, 0.5)
    text = " ".join(counts.sentences)
    low, high = share.interval
    assert 0 < low < 0.22 and 0.78 < high < 1  # Wilson's interval is 0.22 to 0.78
    words = f"4 of 8 nucleated cells look like blasts: 50 % (95 % interval {100 * low:.0f} to {100 * high:.0f} %)."
    assert words in text
    assert "8 cells are too few" in text
    assert "5 %" in text and "20 %" in text and "do not apply to blood" in text and "not a diagnosis" in text


def test_one_blast_reads_well_and_many_cells_are_not_called_few():
    one = count(field(white=grid(1)), [1.0]).blast_share.sentences
    assert one[0].startswith("1 of 1 nucleated cell looks like a blast: 100 %")
    many = count(field(white=grid(200, size=2, step=4), side=100), [0.0] * 200).blast_share
    assert many.nucleated == 200 and not any("too few to assess" in line for line in many.sentences)


def test_only_counted_cells_with_a_nucleus_enter_the_share():
    cells = [*grid(3), (95, 95, 100, 100)]
    share = count(field(white=cells, naked=[2]), [1, 1, 0, 1]).blast_share
    assert (share.blasts, share.nucleated) == (1, 2)
    nobody = count(field(), []).blast_share
    assert nobody.share is None and nobody.interval == (0, 1)
    assert nobody.sentences == ("No nucleated cell was counted, so there is no share of blasts.",)


@pytest.mark.parametrize("wrong", [[0.5], [0.5, 1.1], [0.5, -0.1], [0.5, float("nan")], [[0.5, 0.5]]])
def test_wrong_probabilities_are_refused(wrong):
    with pytest.raises(ValueError, match="probabilities"):
        count(field(white=grid(2)), wrong)


def test_wilson_agrees_with_scipy():
    for trials in (1, 2, 8, 37, 500, 100_000):
        for successes in {0, 1, trials // 3, trials - 1, trials}:
            expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
            assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_json_has_the_contract_and_survives_a_round_trip():
    smear = rendering.render(1)
    answer = count(smear, [0.9, 0.1, 0.2]).as_json()
    assert json.loads(json.dumps(answer)) == answer
    assert set(answer["counts"]) == {"white_cells", "red_cells", "platelets", "smudge_cells"}
    assert answer["counts"]["white_cells"] == 3
    assert answer["counted"]["red_cells"] < answer["counts"]["red_cells"]
    assert answer["blast_share"]["share"] == pytest.approx(1 / 3)
    assert answer["blast_share"]["reference_lines"] == [0.05, 0.20]
    assert count(smear).as_json()["blast_share"] is None

"""A case reads the overlapping fields of a drawn slide as one: every cell once, one decision, one count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import leuko
from leuko.cases.case import Case, Specimen
from leuko.cases.field_record import FieldRecord, FoundCell
from leuko.cases.pooled_cells import Overlap, find_overlaps, pool
from leuko.cases.registration import Shift, Structure
from leuko.cells.kinds.names import SMUDGE
from leuko.cli.main import main
from leuko.decision.calibration import OperatingPoint
from leuko.images.synthetic import rendering

POINT = OperatingPoint(0.5, (0.25, 0.75), "by hand")
SIDE = 480


@pytest.fixture(scope="module")
def slide() -> rendering.Smear:
    cells = {"neutrophil": 12, "lymphocyte": 8, "monocyte": 3}
    return rendering.render(11, width=1100, height=1100, um_per_px=0.2, white_cells=cells, cut=False)


@pytest.fixture(scope="module")
def fields(slide) -> dict[str, np.ndarray]:
    """Nine overlapping fields of a slide, which show all of it, and one of them once more."""
    starts = (0, 310, 620)
    found = {f"{y}-{x}.png": slide.image[y : y + SIDE, x : x + SIDE] for y in starts for x in starts}
    return found | {"again.png": found["310-310.png"]}


@pytest.fixture(scope="module")
def case(fields) -> Case:
    classifier = leuko.load()
    records = [FieldRecord.of(name, image, classifier.analyse(image)) for name, image in fields.items()]
    return Case.of(records, [Structure.of(image) for image in fields.values()], "marrow", POINT)


def record(name: str, cells: list[FoundCell], **more) -> FieldRecord:
    first = FieldRecord(name, (640, 480), 0.2, name, "uncertain", "", (), 0.5, "", "", True, tuple(cells), True)
    return replace(first, **more)


def case_of(fields: Sequence[FieldRecord], specimen: Specimen = "blood") -> Case:
    """A case of fields that do not overlap."""
    return Case(tuple(fields), specimen, POINT, ())


def cell(number: int, x: float, y: float, **more) -> FoundCell:
    return replace(FoundCell(number, x, y, 60.0, 30.0, "neutrophil", 0.01, ""), **more)


def test_every_cell_of_a_slide_in_overlapping_fields_is_counted_once(slide, case):
    true = int(slide.white_cells.max())
    assert abs(case.blast_share.nucleated - true) <= 1
    seen = sum(not each.not_counted for field in case.fields for each in field.cells)
    assert seen > true + 8 and case.repeats >= seen - case.blast_share.nucleated
    assert case.differential.white_cells == case.blast_share.nucleated


def test_neighbours_and_the_repeated_field_overlap_and_no_others(case):
    names = [field.name for field in case.fields]
    pairs = {(names[each.first], names[each.second]) for each in case.overlaps}
    for first, second in (("0-0.png", "0-310.png"), ("310-310.png", "310-620.png"), ("310-310.png", "again.png")):
        assert (first, second) in pairs
    assert ("0-0.png", "0-620.png") not in pairs and ("0-0.png", "620-620.png") not in pairs


def test_the_interval_narrows_as_fields_come(case):
    few = case_of(case.fields[:2], "marrow")
    widths = [high - low for low, high in (each.blast_share.interval for each in (few, case))]
    assert widths[1] < widths[0]
    assert "more field" in " ".join(case.outlook) and f"{case.blast_share.nucleated} of 500" in case.outlook[0]


def test_a_cell_cut_in_one_field_is_counted_where_another_shows_it_whole():
    cut, whole = cell(1, 630, 100, not_counted="cut", margin=0.0), cell(1, 90, 100)
    fields = [record("a", [cut]), record("b", [whole])]
    overlap = Overlap(0, 1, Shift(540.0, 0.0, 0.15))
    (found,) = pool(fields, [overlap])
    assert (found.field, found.also_in) == (1, ((0, 1),))
    assert pool(fields[:1], []) == [] and len(pool([fields[1], fields[1]], [])) == 2


def test_a_large_cell_that_a_border_cuts_is_the_same_cell_among_small_ones():
    small = [cell(n, 60.0 * n, 300, diameter=40.0) for n in range(2, 8)]
    whole, sliver = cell(1, 500, 100, diameter=80.0), cell(1, 26, 100, diameter=45.0, margin=0.0)
    fields = [record("a", [whole, *small]), record("b", [sliver])]
    found = pool(fields, [Overlap(0, 1, Shift(500.0, 0.0, 0.2))])
    assert len(found) == 7 and found[0].also_in == ((1, 1),)


def test_a_field_that_is_given_several_times_makes_the_network_no_surer():
    one, two = (record(name, [], network=p) for name, p in (("a", 0.9), ("b", 0.2)))
    again = [replace(one, name=f"a{n}", digest=one.digest) for n in range(5)]
    assert case_of([one, two, *again]).verdict.network == pytest.approx(case_of([one, two]).verdict.network)


def test_the_share_of_blasts_is_compared_with_each_line_of_marrow():
    few = [cell(n, 3.0 * n, 100, blast_probability=0.0 if n > 20 else 1.0, diameter=1.0) for n in range(1, 201)]
    said = " ".join(case_of([record("a", few)], "marrow").outlook)
    assert "is above the line of 5 %" in said and "is below the line of 20 %" in said


def test_smudge_cells_and_white_cells_are_never_the_same_cell():
    fields = [record("a", [cell(1, 100, 100, type=SMUDGE, blast_probability=None)]), record("b", [cell(1, 101, 100)])]
    assert len(pool(fields, [Overlap(0, 1, Shift(0.0, 0.0, 1.0))])) == 2


def test_identical_images_are_one_field_whatever_they_show():
    fields = [record("a", [cell(1, 100, 100)], digest="x"), record("b", [cell(1, 100, 100)], digest="x")]
    empty = Structure(np.zeros((60, 80), np.float32), 8, (8.0, 8.0))
    assert len(find_overlaps(fields, [empty, empty])) == 1
    assert Case.of(fields, [empty, empty], "blood", POINT).blast_share.nucleated == 1


def test_many_blasts_in_many_fields_are_suspicious_and_none_in_many_cells_is_not():
    def fields(blast: float) -> list[FieldRecord]:
        return [
            record(f"{n}", [cell(i, 90 * i, 200, blast_probability=blast) for i in range(1, 7)], ood_reason="colours")
            for n in range(10)
        ]

    ill, well = (case_of(fields(blast)) for blast in (0.97, 0.02))
    assert (ill.verdict.decision, well.verdict.decision) == ("suspicious", "not suspicious")
    assert ill.verdict.basis == "cells" and "10 of 10 fields" in " ".join(ill.reasons)
    assert ill.blast_share.interval[0] > 0.85


def test_the_network_counts_where_it_knows_at_least_half_of_the_fields():
    cells = [cell(i, 90 * i, 200, blast_probability=0.95) for i in range(1, 6)]
    fields = [record(f"{n}", cells, network=p) for n, p in enumerate((0.99, 0.9, 0.6))]
    known = case_of([*fields, record("other", cells, network=0.01, ood_reason="colours")])
    assert known.verdict.basis == "network" and known.verdict.decision == "suspicious"
    assert known.verdict.network == pytest.approx(0.917, abs=0.001)  # the mean of log-odds of 99, 9 and 1.5 to 1
    unknown = case_of([replace(each, ood_reason="colours") for each in fields])
    assert unknown.verdict.basis == "cells"


def test_a_case_without_a_usable_field_says_so():
    unfit = record("dark.jpg", [], fit=False, why_no_cells="The image is too dark.")
    case = case_of([unfit])
    assert case.verdict.decision == "uncertain" and case.reasons[0] == "No field is good enough to be judged."
    assert case.left_out == ["dark.jpg: The image is too dark."]
    assert case_of([]).reasons[0] == "No field could be read." and case_of([]).verdict.decision == "uncertain"


def test_the_worklist_begins_with_what_is_suspicious_and_ends_with_what_is_unfit():
    decisions = ("not suspicious", "uncertain", "suspicious", "uncertain")
    fields = [record(f"{i}", [], decision=decision, fit=i != 3) for i, decision in enumerate(decisions)]
    assert case_of(fields).worklist == [2, 1, 0, 3]


def test_lines_of_marrow_are_not_drawn_for_blood(case):
    assert "no agreed lower bound" in " ".join(case.reasons)
    assert "no agreed lower bound" not in " ".join(replace(case, specimen="blood").reasons)


def test_the_command_reads_a_folder_as_one_case(fields, tmp_path, capsys):
    for name, image in fields.items():
        Image.fromarray(image).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert main(["case", str(tmp_path), "--specimen", "blood"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [each["image"] for each in said["errors"]] == ["broken.png"]
    assert len(said["fields"]) == 10 and said["specimen"] == "blood"
    assert sum(each["counted"] for each in said["fields"]) == said["blast_share"]["nucleated"]
    counted = {(each["image"], each["id"]) for each in said["cells"]}
    assert len(counted) == len(said["cells"]) and said["seen_again"] > 8
    again = next(each for each in said["fields"] if each["image"] == "again.png")
    assert again["counted"] == 0 or said["fields"][4]["counted"] == 0  # the two show the same cells

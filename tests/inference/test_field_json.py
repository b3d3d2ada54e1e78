"""One answer: what page, CSV and API say of an image agrees, whatever network, cells and picture say."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from leuko.cells.close_up_detection import is_close_up
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.kinds.names import KINDS
from leuko.cells.segmentation import Segmentation, segment
from leuko.decision import cell_score
from leuko.decision.calibration import OperatingPoint
from leuko.decision.cell_score import CellScore
from leuko.decision.fusion import Verdict
from leuko.images.quality.assessment import Quality
from leuko.images.synthetic import rendering
from leuko.inference import field_json
from leuko.inference.classifier import ClassificationResult, Classifier
from leuko.inference.field import Field
from leuko.inference.finding import Finding
from leuko.serving import batch
from leuko.serving.analysis import Analysis
from leuko.serving.tabs import decision_card, field_view, one_image

MODEL = {"name": "Some model", "version": "0123abcd", "backbone": "resnet50"}
LABELS = ("Benign", "Early", "Pre", "Pro")
POINT = OperatingPoint(0.5, (0.25, 0.75), "by hand")
FIT, UNFIT = Quality(), Quality({"dark": "The image is too dark; raise the light and take it again."})
WARNED = Quality({}, {"dark": "The image is dim."})
SILENT = (cell_score.NO_NUCLEUS, "the image shows a single cell and not a field", cell_score.UNKNOWN_CELL_SIZE)


def cells(number: int, blasts: int, score: float) -> CellScore:
    return CellScore(number, number, blasts, score)


@st.composite
def found(draw) -> CellScore | None:
    kind = draw(st.sampled_from(["not looked for", "counted", *SILENT]))
    if kind == "not looked for":
        return None
    number = draw(st.integers(1, 30))
    if kind == "counted":
        return cells(number, draw(st.integers(0, number)), draw(st.floats(-12, 12)))
    number = 0 if kind == SILENT[0] else number
    return CellScore(number, number, 0, None, kind, close_up=kind == SILENT[1])


def reading(probabilities, positive, verdict: Verdict, fit: Quality = FIT) -> ClassificationResult:
    said = dict(zip(LABELS, map(float, probabilities), strict=True))
    return ClassificationResult(Finding.of(said, positive, verdict, fit, MODEL), verdict, None, None, None)


@st.composite
def readings(draw) -> tuple[ClassificationResult, tuple[str, ...]]:
    """Any combination of what network, cells and picture say, and the classes that mean leukaemia."""
    weights = np.array(draw(st.lists(st.floats(0.001, 1), min_size=4, max_size=4)))
    probabilities = weights / weights.sum()
    positive = draw(st.sampled_from([(), LABELS[1:], LABELS[2:], LABELS]))
    network = float(sum(probabilities[LABELS.index(name)] for name in positive)) if positive else None
    point = replace(POINT, abstain=(draw(st.floats(0, 0.25)), draw(st.floats(0.75, 1))))
    fit = draw(st.sampled_from([FIT, UNFIT, WARNED]))
    looked = draw(found()) if fit.usable and positive else None
    verdict = Verdict(point, network, draw(st.sampled_from(["", "appearance"])), looked, fit.issues)
    return reading(probabilities, positive, verdict, fit), positive


def text(part: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())


SURE_OF_NOTHING = Verdict(POINT, 0.0005, "appearance", cells(9, 9, 5))


@given(readings())
@example((reading((0.9995, 0.0002, 0.0002, 0.0001), LABELS[1:], SURE_OF_NOTHING), LABELS[1:]))
@settings(deadline=None, max_examples=400)
def test_no_answer_contradicts_itself(drawn):
    reading, positive = drawn
    finding, verdict = reading.finding, reading.verdict
    answer = json.loads(json.dumps(finding.as_json("a.png")))
    card, table = (
        text(decision_card.decision(reading, "a.png", "a field")),
        dict(zip(batch.COLUMNS, batch.table_row(answer), strict=True)),
    )
    confidence = decision_card.confidence(finding, verdict)
    decided, p = answer["decision"] != "uncertain", answer["leukaemia_probability"]
    counts = decided and finding.in_distribution  # the network

    # The decision and its probability.
    assert (p is None) == (verdict.network is None)
    if answer["decision"] == "suspicious":
        assert p >= 0.75 and finding.quality.usable
    elif answer["decision"] == "not suspicious":
        assert p <= 0.25 and finding.quality.usable
    # What it rests on.
    if not finding.quality.usable or p is None:
        assert not decided
    if decided and not finding.in_distribution:
        assert verdict.cells.decision == answer["decision"] and not verdict.cells.close_up
    if answer["decision"] == "not suspicious" and verdict.cells:
        assert verdict.cells.nucleated and verdict.cells.decision != "suspicious"
        assert finding.in_distribution or verdict.cells.nucleated >= 5
    # The label that is shown.
    assert answer["pattern"] is None or counts
    assert answer["pattern"] in (None, answer["label"])
    if answer["pattern"]:
        assert (answer["pattern"] in positive) == (answer["decision"] == "suspicious")
    assert table["label"] == (answer["pattern"] or "")
    assert ("Pattern" in card) == bool(answer["pattern"])
    # Probabilities beside it.
    assert bool(table["leukaemia probability"]) == decided
    if not decided:
        assert "%" not in card.split("Confidence")[0].split("Leukaemia probability")[-1]
    if not finding.in_distribution and verdict.network is not None and finding.quality.usable:
        assert "network's leukaemia probability" not in card + table["reason"]
        assert "By the network not used: out of distribution" in card
    # Confidence.
    assert "%" not in confidence and (confidence.startswith("none") == (not decided))
    if confidence.startswith("higher"):
        assert verdict.cells.decision == answer["decision"] and finding.in_distribution
    # Headline, and the model.
    alone = verdict.cells and verdict.cells.close_up  # then it is the cell of which something is said
    opening = {
        "suspicious": "This cell is suspicious for ALL" if alone else "Suspicious for ALL",
        "not suspicious": "This cell is not suspicious for ALL" if alone else "Not suspicious for ALL",
    }
    assert answer["headline"].startswith(opening.get(answer["decision"], ("Uncertain: ", "Image quality too low")))
    if finding.quality.usable and p is not None:
        assert verdict.title in card and verdict.cell_summary in card
        if verdict.cells and verdict.cells.probability is not None:
            k, n = verdict.cells.blast_like, verdict.cells.nucleated
            assert (f"{k} of {n} white cell" if k else f"o blast-like cell among {n} white cell") in answer["headline"]
            assert "too few cells to assess the slide" in answer["headline"]
        assert table["reason"].startswith(answer["headline"])
    assert "Some model, version 0123abcd" in card and table["model"] == "Some model, version 0123abcd"
    # Quality.
    assert answer["quality"] == finding.quality.as_json()
    if finding.quality.warnings:
        assert "dim" in card and table["quality"] == "usable, with warnings: The image is dim."


@given(st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_where_cells_and_network_contradict_each_other_neither_is_the_answer(number, data):
    blasts = data.draw(st.integers(0, number))
    for network, score in ((0.97, -9.0), (0.03, 9.0)):
        verdict = Verdict(POINT, network, "", cells(number, blasts, score))
        if verdict.cells.decision == "uncertain":
            continue
        answered = reading((1 - network, network, 0, 0), LABELS[1:2], verdict)
        assert answered.finding.decision == "uncertain" and answered.finding.pattern is None
        assert "contradict each other" in answered.finding.headline and 'class="bars"' not in decision_card.class_bars(
            answered
        )


@pytest.fixture(scope="module")
def crowded() -> np.ndarray:
    """A drawn field of which the borders cut some white cells."""
    whole = rendering.render(
        21, width=480, height=400, um_per_px=0.25, white_cells={"blast": 10, "neutrophil": 5}, blur_um=0.3
    )
    return whole.image[60:-60, 60:-60].copy()


def test_one_number_of_blasts_in_reasons_headline_share_table_and_json(embedded, crowded):
    reading = embedded.analyse(crowded)
    found, said = reading.verdict.cells, field_json.field("a.png", crowded, reading.segmentation)
    share = said["blast_share"]
    assert found.white_cells > found.nucleated, "the drawing has no cell that is cut"
    assert (share["blasts"], share["nucleated"]) == (found.blast_like, found.nucleated)
    counted = [cell for cell in said["cells"] if cell["kind"] == "white_cell" and not cell["not_counted"]]
    assert sum(bool(cell["looks_like_blast"]) for cell in counted) == found.blast_like
    words = f"{found.blast_like} of {found.nucleated} white cells look like blasts"
    assert words in " ".join(reading.finding.reasons) and words in reading.finding.headline
    assert f"{found.white_cells - found.nucleated} more not counted" in " ".join(reading.finding.reasons)
    page = text(field_view.view(crowded, Field.of(crowded, reading.segmentation), "a.png", reading.finding))
    assert (
        f"({found.blast_like} of {found.nucleated})" in page
        and f"{found.nucleated} counted, {found.white_cells} found" in page
    )
    assert len(re.findall("not counted[,)]", page)) == found.white_cells - found.nucleated
    assert f"a.png was analysed by {embedded.model.metadata.name}" in page


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: noise(),
        lambda image: image // 8,
        lambda image: 255 - image,
        lambda image: cv2.GaussianBlur(image, (0, 0), 9),
        lambda image: np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
    ],
    ids=["noise", "dark", "inverted", "blurred", "grey"],
)
def test_of_a_picture_that_is_not_fit_there_are_no_cells_and_no_figures(spoil, crowded):
    image = spoil(crowded)
    said = field_json.field("a.png", image, segment(image))
    assert not said["quality"]["usable"] and said["sentences"] == said["quality"]["issues"]
    for figures in (said["counts"], said["counted"]):
        assert figures == {"white_cells": None, "red_cells": None, "platelets": None, "smudge_cells": None}
    assert said["cells"] == [] and said["blast_share"] is said["white_to_red"] is said["um_per_px"] is None
    assert set(said) == set(field_json.field("a.png", crowded, segment(crowded)))  # the same fields as ever


def test_cells_that_were_not_reliably_found_are_not_shown(embedded, crowded):
    found = replace(segment(crowded), reliable=False, unreliable_reason="What was found is too small for cells.")
    said = field_json.field("a.png", crowded, found)
    assert said["quality"]["usable"] and said["cells"] == [] and said["counts"]["white_cells"] is None
    assert said["sentences"] == ["What was found is too small for cells."]
    answer, shown = one_image._result(Analysis(embedded.analyse(crowded, segmentation=found), crowded, {}, "Pre"), "a")
    assert "cells not found" in text(answer) and "The cells were not found reliably" in text(shown)
    assert "What was found is too small for cells." in text(shown) and "Counts" not in text(shown)
    weighed = cell_score.score_field(Measurements(found), None)
    assert weighed.probability is None and Verdict(POINT, 0.05, "", weighed).decision == "uncertain"


@pytest.fixture
def smudgy() -> tuple[np.ndarray, Segmentation]:
    """A drawn field with two smudge cells, and its cells with a confidence that rises with the id, from 0.2 to 0.9."""
    smear = rendering.render(9, width=480, height=360, um_per_px=0.2, white_cells={"blast": 4}, smudges=2)
    confidence = np.linspace(0.2, 0.9, 4).astype(np.float32)
    labels = smear.nuclei, smear.white_cells, smear.red_cells, smear.platelets
    found = Segmentation(*labels, 0.2, "red cells", smudges=smear.smudges, confidence=confidence, method="learned")
    return smear.image, replace(found, red_cells_plausible=True)


def test_smudge_cells_and_confidence_are_told_in_json_csv_and_page(embedded, smudgy):
    image, found = smudgy
    said = json.loads(json.dumps(field_json.field("a.png", image, found)))
    assert said["counts"]["smudge_cells"] == 2 and said["method"] == "learned"
    assert any("counted apart from white cells" in sentence for sentence in said["sentences"])
    smudges = [cell for cell in said["cells"] if cell["kind"] == "smudge_cell"]
    assert [cell["id"] for cell in smudges] == [1, 2]
    assert all(set(cell) == {"id", "kind", "bbox", "touches_border", "type"} for cell in smudges)
    x0, y0, x1, y1 = smudges[0]["bbox"]
    assert (found.smudges[y0:y1, x0:x1] == 1).sum() == (found.smudges == 1).sum()
    white = {cell["id"]: cell for cell in said["cells"] if cell["kind"] == "white_cell"}
    assert [white[i]["confidence"] for i in range(1, 5)] == pytest.approx([0.2, 0.4333, 0.6667, 0.9], abs=1e-3)
    field = Field.of(image, found)
    rows = {int(row["cell"]): row for row in csv.DictReader(io.StringIO(field.as_csv("a.png")))}
    assert [float(rows[i]["confidence"]) for i in range(1, 5)] == pytest.approx([0.2, 0.433, 0.667, 0.9])
    shown = field_view.view(image, field, "a.png", embedded.analyse(image, segmentation=found).finding)
    assert shown.count('<path class="smudges"') == 2 and 'value="smudges" checked' in shown
    assert shown.count('class="cell doubtful"') == 2 and "2 doubtful cells" in text(shown)
    assert text(shown).count("doubtful)") == 2 and "Segmentation: learned" in text(shown)


def test_of_a_method_that_gives_no_confidence_no_cell_is_called_doubtful(embedded, smudgy):
    image, found = smudgy
    plain = replace(found, smudges=None, confidence=None, method="otsu")
    said = field_json.field("a.png", image, plain)
    assert said["counts"]["smudge_cells"] is None
    assert {cell["kind"] for cell in said["cells"]} <= {"white_cell", "red_cell", "platelet"}
    assert all(cell["confidence"] is None for cell in said["cells"] if cell["kind"] == "white_cell")
    shown = field_view.view(image, Field.of(image, plain), "a.png", embedded.analyse(image, segmentation=plain).finding)
    assert "doubtful cell" not in shown and "doubtful;" not in shown and "doubtful)" not in shown
    assert "mudge" not in shown and "Confidence" not in shown
    assert "Segmentation: Otsu" in text(shown)


def test_a_scale_from_the_file_and_a_scale_that_contradicts_the_red_cells_are_told(embedded, crowded):
    conflict = embedded.analyse(crowded, um_per_px=0.4)
    assert any("0.4 µm per pixel" in reason for reason in conflict.finding.reasons)
    assert any(
        "0.4 µm" in sentence for sentence in field_json.field("a.png", crowded, conflict.segmentation)["sentences"]
    )
    bare = rendering.render(5, width=640, height=480, white_cells={"blast": 4}, red_cover=0).image
    found = segment(bare, um_per_px=0.12)
    assert found.scale_source == "file"
    assert any("the file's metadata" in sentence for sentence in field_json.field("a.png", bare, found)["sentences"])
    score = cell_score.score_field(Measurements(found), classify(bare, found))
    assert score.probability is None  # a scale in the file does not show that it is a smear


def single_blast(seed: int) -> np.ndarray:
    side, stain = (240, 300, 360, 400)[seed % 4], ("neutral", "pink", "blue")[seed % 3]
    return rendering.render(
        seed, width=side, height=side, um_per_px=0.1, white_cells={"blast": 1}, stain=stain, platelets=1, blur_um=0.2
    ).image


@pytest.mark.parametrize("seed", range(8))
def test_a_single_blast_is_cleared_nowhere(embedded, seed):
    image = single_blast(seed)
    reading = embedded.analyse(image)
    assert reading.finding.decision != "not suspicious"
    assert (
        Field.of(image, reading.segmentation).close_up
        == is_close_up(reading.segmentation)
        == reading.verdict.cells.close_up
    )


def test_a_cell_cut_out_on_black_is_a_close_up(embedded):
    smear = rendering.render(3, width=240, height=240, um_per_px=0.1, white_cells={"blast": 1}, red_cover=0)
    found = replace(segment(smear.image), masked_cell=True, um_per_px=None, scale_source=None)
    assert is_close_up(found) and cell_score.score_field(Measurements(found), classify(smear.image, found)).close_up
    said = field_json.field("a.png", smear.image, found)
    assert said["close_up"] is True and said["blast_share"] is None
    assert "close-up" in said["sentences"][-1]


def test_a_model_of_single_cells_speaks_of_the_cell_and_says_so(embedded):
    """It was trained on close-ups, so that it knows such images; no cell among them tells its scale."""
    image = rendering.render(2, width=240, height=240, um_per_px=0.1, white_cells={"lymphocyte": 1}).image
    known = replace(embedded.model.metadata, scale=None)
    known = replace(known, ood_detector=replace(known.ood_detector, bound=np.inf))
    reading = Classifier(replace(embedded.model, metadata=known)).analyse(image)
    assert reading.verdict.cells.close_up and reading.finding.in_distribution
    assert reading.finding.leukaemia_probability == reading.finding.evidence["network"]
    assert "A close-up of one cell, which does not represent the slide." in reading.finding.headline
    if reading.finding.decision != "uncertain":
        assert "by the network alone" in reading.finding.headline


def test_the_command_line_writes_no_masks_of_a_picture_that_is_not_fit(tmp_path, capsys):
    from leuko.__main__ import main

    Image.fromarray(noise()).save(tmp_path / "noise.png")
    masks = tmp_path / "masks"
    status = main(["field", str(tmp_path / "noise.png"), "--masks", str(masks), "--overlay", str(tmp_path / "lines")])
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert not status and not said["quality"]["usable"] and said["counts"]["white_cells"] is None and not said["cells"]
    assert "noise.png: no masks and no outlines are written." in told.err and not list(masks.iterdir())


def test_every_cell_has_a_kind_and_the_differential_counts_them(embedded, crowded):
    reading = embedded.analyse(crowded)
    said = json.loads(json.dumps(field_json.field("a.png", crowded, reading.segmentation)))
    white = [cell for cell in said["cells"] if cell["kind"] == "white_cell"]
    for cell in white:
        assert cell["type"] in (*KINDS, "unknown") and set(cell["type_probabilities"]) == set(KINDS)
        assert sum(cell["type_probabilities"].values()) == pytest.approx(1, abs=1e-3)
    count = said["differential"]
    counted = [cell["type"] for cell in white if not cell["not_counted"] and cell["lobes"]]
    assert {kind: count[kind]["count"] for kind in set(counted)} == {kind: counted.count(kind) for kind in counted}
    assert sum(each["count"] for each in count.values()) == len(counted) + (said["counted"]["smudge_cells"] or 0)
    field = Field.of(crowded, reading.segmentation)
    rows = {int(row["cell"]): row for row in csv.DictReader(io.StringIO(field.as_csv("a.png")))}
    assert all(rows[cell["id"]]["type"] == cell["type"] for cell in white)
    assert float(rows[1]["p_blast"]) == pytest.approx(white[0]["type_probabilities"]["blast"], abs=1e-4)
    page = text(field_view.view(crowded, field, "a.png", reading.finding))
    white_cells = sum(each["count"] for each in count.values() if each["share"] is not None)
    assert f"Differential count Of {white_cells} white cell" in page
    kind, most = max(count.items(), key=lambda pair: pair[1]["share"] or 0)
    assert f"{most['count']} , {100 * most['share']:.0f} % ({100 * most['interval'][0]:.0f} to" in page, kind


def test_the_gallery_shows_each_kind_by_itself_the_most_doubtful_first(embedded, crowded):
    reading = embedded.analyse(crowded)
    field = Field.of(crowded, reading.segmentation)
    shown = field_view.view(crowded, field, "a.png", reading.finding)
    groups = re.findall(r"<h4>(.*?) \((\d+)\)</h4>(.*?)</ul>", shown, re.DOTALL)
    assert sum(int(number) for _, number, _ in groups) == len(field.table["id"])
    doubtful = field.segmentation.doubtful
    for title, number, part in groups:
        rows = [int(cell) - 1 for cell in re.findall(r'data-cell="(\d+)"', part)]
        assert len(rows) == int(number) and len({field.type(row) for row in rows}) == 1, title
        sure = [field.kinds.doubt[row] for row in rows if not doubtful[row]]
        assert sure == sorted(sure, reverse=True) or len({field.confidence(row) for row in rows}) > 1


def test_of_a_close_up_there_is_a_kind_and_no_differential(embedded):
    image = rendering.render(2, width=240, height=240, um_per_px=0.1, white_cells={"lymphocyte": 1}).image
    said = field_json.field("a.png", image, segment(image))
    assert said["close_up"] and said["differential"] is None
    assert [cell["type"] in (*KINDS, "unknown") for cell in said["cells"] if cell["kind"] == "white_cell"] == [True]

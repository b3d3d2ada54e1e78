"""What the cells of a field say, and what is decided where the network does not know the laboratory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from benchmarks.tissue import KINDS, section
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
from leuko.decision.apparent_cell_size import ScaleRange, um_per_input_px
from leuko.decision.calibration import OperatingPoint
from leuko.decision.cell_score import CellScore
from leuko.decision.fusion import Verdict
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.inference.classifier import Classifier
from leuko.networks import model_folder
from leuko.stats.proportions import wilson_interval

POINT = OperatingPoint(0.5, (0.25, 0.75), "by hand")
BLASTS = {"blast": 10, "lymphocyte": 1}
NORMAL = {"neutrophil": 5, "monocyte": 2}


def weigh(image: np.ndarray) -> CellScore:
    found = segment(image)
    return cell_score.score_field(Measurements(found), classify(image, found) if found.reliable else None)


def field(seed: int, cells: dict[str, int], um_per_px: float = 0.12, stain: str = "neutral") -> np.ndarray:
    side = round(120 / um_per_px)
    return rendering.render(
        seed, width=side, height=side, um_per_px=um_per_px, white_cells=cells, stain=stain, blur_um=0.3
    ).image


@pytest.mark.parametrize(("um_per_px", "stain"), [(0.12, "neutral"), (0.12, "pink"), (0.25, "blue"), (0.4, "neutral")])
def test_blasts_and_normal_cells_are_told_apart_under_every_objective_and_stain(um_per_px, stain):
    ill, well = weigh(field(1, BLASTS, um_per_px, stain)), weigh(field(1, NORMAL, um_per_px, stain))
    assert ill.decision == "suspicious" and well.decision != "suspicious" and well.score < 0 < ill.score
    assert um_per_px > 0.12 or well.decision == "not suspicious"
    assert 5 <= ill.blast_like <= 11 and well.blast_like <= NORMAL["monocyte"]  # coarse drawn monocytes look alike
    assert "look like blasts" in ill.sentence and "score is suspicious" in ill.sentence


def test_the_size_of_the_picture_changes_little():
    image = field(2, BLASTS, 0.2)
    half = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    assert weigh(half).probability == pytest.approx(weigh(image).probability, abs=0.15)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (field(3, {}), "no white cell with a nucleus"),
        (
            rendering.render(4, width=290, height=290, white_cells={"neutrophil": 1}, rouleaux=0).image,
            "a single cell and not a field",
        ),
        (
            rendering.render(5, width=640, height=480, white_cells={"blast": 4}, red_cover=0).image,
            "too few sharp red cells",
        ),
    ],
    ids=["no white cell", "one cell", "no red cells"],
)
def test_cells_that_cannot_speak_are_silent_and_say_why(image, words):
    found = weigh(image)
    assert found.probability is None and found.decision == "uncertain"
    assert words in found.sentence


def cells(nucleated: int, blast_like: int, score: float) -> CellScore:
    return CellScore(nucleated, nucleated, blast_like, score)


def test_few_cells_never_make_a_field_suspicious_nor_clear_one():
    """However sure the figures are, 10 or −10 as log-odds."""
    assert [cells(n, n, 10).decision for n in (1, 2, 3)] == ["uncertain", "suspicious", "suspicious"]
    assert [cells(n, 0, -10).decision for n in (1, 2, 4, 5)] == ["uncertain"] * 3 + ["not suspicious"]
    assert cells(1, 0, -10).sentence == "No blast-like cell among 1 white cell; too few cells for a decision."
    assert cells(9, 3, -10).decision == "uncertain"  # a third of the cells look like blasts: nobody is cleared
    assert cells(6, 1, -10).decision == "uncertain" and cells(30, 1, -10).decision == "not suspicious"
    assert cells(9, 9, -10).probability == 0.5  # nor do blasts speak against leukaemia, or others for it
    assert cells(9, 0, 10).probability == 0.5


@given(st.integers(0, 40), st.data(), st.floats(-30, 30))
def test_how_far_cells_move_the_probability_is_bounded_by_their_number(number, data, score):
    blasts = data.draw(st.integers(0, number))
    moved = logit(cells(number, blasts, score).probability)
    slack = 1e-6  # what a probability near 0 or 1 loses in its last digits
    assert -slack - number * np.log(1.25) <= moved <= number * np.log(2) + slack
    assert abs(moved) <= abs(score) + slack
    low, high = wilson_interval(blasts, number)
    if cells(number, blasts, score).decision == "not suspicious":  # the interval of the share says so, too
        assert low < cell_score.MIN_SHARE_WITH_LEUKAEMIA and high < 0.45


@pytest.mark.parametrize(("kind", "seen"), [("blast", "1 of 1 white cell"), ("neutrophil", "No blast-like cell")])
def test_one_white_cell_is_too_little_to_go_by(embedded, kind, seen):
    finding = embedded.classify(field(4, {kind: 1}))
    assert finding.decision == "uncertain" and 0.4 < finding.evidence["cells"] < 0.7
    assert finding.headline.startswith("Uncertain: too few cells for a decision.") and seen in finding.headline
    assert "too few cells to assess the slide" in finding.headline


def test_a_cell_that_is_likelier_a_blast_never_speaks_against_leukaemia():
    image = field(1, BLASTS)
    found = segment(image)
    measurements, kinds = Measurements(found), classify(image, found)
    scores = []
    for share in (0.0, 0.3, 0.6, 0.9):
        likelier = kinds.probabilities * (1 - share)
        likelier[:, -1] += share
        scores.append(cell_score.score_field(measurements, replace(kinds, probabilities=likelier)).score)
    assert scores == sorted(scores) and scores[0] < scores[-1]


ILL, WELL, OPEN = cells(9, 8, 3.0), cells(16, 1, -3.5), cells(2, 1, 0.4)
ONE = CellScore(1, 1, 0, None, "the image shows a single cell and not a field", close_up=True)
NONE = CellScore(0, 0, 0, None, "no white cell with a nucleus was found")
P_ILL, P_WELL, P_OPEN = (each.probability for each in (ILL, WELL, OPEN))


@pytest.mark.parametrize(
    ("network", "strange", "found", "decision", "probability"),
    [
        (0.9, "", ILL, "suspicious", 0.9),
        (0.9, "", OPEN, "suspicious", 0.9),
        (0.9, "", ONE, "suspicious", 0.9),  # a network that knows close-ups speaks of the cell
        (0.9, "", NONE, "uncertain", 0.9),  # a field without a nucleated cell shows no blast
        (0.1, "", NONE, "uncertain", 0.1),  # nor does it clear anybody
        (0.1, "", WELL, "not suspicious", 0.1),
        (0.9, "", WELL, "uncertain", 0.9),  # they contradict each other
        (0.1, "", ILL, "uncertain", 0.1),
        (0.5, "", ILL, "uncertain", 0.5),  # a network that knows the laboratory and hesitates has a reason
        (0.99, "in its colours", WELL, "not suspicious", P_WELL),  # one that does not is not asked
        (0.01, "in its colours", ILL, "suspicious", P_ILL),
        (0.99, "in its colours", OPEN, "uncertain", P_OPEN),
        (0.01, "in its colours", ONE, "uncertain", 0.01),  # a close-up cannot exclude leukaemia
        (0.99, "in its colours", None, "uncertain", 0.99),
    ],
)
def test_who_decides(network, strange, found, decision, probability):
    verdict = Verdict(POINT, network, strange, found)
    assert verdict.decision == decision
    assert verdict.probability == probability
    said = " ".join(verdict.reasons)
    assert ("Out of distribution" in said) == bool(strange)
    assert ("contradict" in said) == (
        not strange and found in (ILL, WELL) and decision == "uncertain" and network != 0.5
    )
    assert found is None or found.sentence in said
    assert ("network's leukaemia probability" in said) == (not strange)  # what does not count is not told as an answer


def test_the_scale_of_the_training_images_is_known_and_kept():
    scale = ScaleRange.fit(np.linspace(0.3, 0.5, 60))
    assert scale.relative_cell_size(0.4) == 1 and scale.relative_cell_size(0.3) == 1
    assert scale.relative_cell_size(0.2) == pytest.approx(2, rel=0.1) and scale.relative_cell_size(
        0.8
    ) == pytest.approx(0.5, rel=0.1)
    assert ScaleRange.fit([0.4] * 5) is None
    assert (
        ScaleRange.fit([0.4] * 57 + [None] * 3) == ScaleRange.fit([0.4] * 57)
        and ScaleRange.fit([0.4] * 50 + [None] * 10) is None
    )
    assert um_per_input_px(0.1, (448, 896, 3), (224, 224)) == pytest.approx(0.1 * 8**0.5)
    assert um_per_input_px(None, (10, 10), (5, 5)) is None


def test_an_unfamiliar_scale_takes_the_word_from_the_network(embedded):
    image = field(6, BLASTS, 0.12)
    size = embedded.model.preprocessing.size
    um = um_per_input_px(segment(image).um_per_px, image.shape, size)
    familiar = replace(embedded.model.metadata.ood_detector, bound=np.inf)

    def finding(scale: ScaleRange | None):
        metadata = replace(embedded.model.metadata, ood_detector=familiar, scale=scale)
        return Classifier(replace(embedded.model, metadata=metadata)).classify(image)

    for scale in (None, ScaleRange(um / 1.2, um * 1.2)):
        known = finding(scale)
        assert known.in_distribution and known.leukaemia_probability == known.evidence["network"]
    strange = finding(ScaleRange(um * 1.9, um * 2.1))
    assert not strange.in_distribution and "200\u00a0% of the size" in strange.reasons[0]
    assert strange.decision == "suspicious" and strange.leukaemia_probability == strange.evidence["cells"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_section_of_tissue_is_no_smear(embedded, kind):
    rng = np.random.default_rng(3)
    for _ in range(4):
        reading = embedded.analyse(section(rng, kind))
        assert reading.finding.decision == "uncertain"
        assert reading.segmentation is None or reading.segmentation.um_per_px is None


def test_a_field_out_of_focus_has_no_scale():
    image = field(7, BLASTS, 0.25)
    assert segment(image).um_per_px == pytest.approx(0.25, rel=0.15)
    blurred = cv2.GaussianBlur(image, (0, 0), 9)
    assert segment(blurred).um_per_px is None


def test_without_a_scale_a_network_that_knows_its_own_does_not_count(embedded):
    known = replace(embedded.model.metadata.ood_detector, bound=np.inf)
    image = rendering.render(5, width=640, height=480, white_cells={"blast": 4}, red_cover=0).image
    finding = Classifier(
        replace(embedded.model, metadata=replace(embedded.model.metadata, ood_detector=known))
    ).classify(image)
    assert finding.decision == "uncertain" and not finding.in_distribution
    assert "too few sharp red cells" in finding.reasons[0]


def test_a_model_without_a_class_of_leukaemia_decides_nothing_by_cells(embedded, smear):
    known = embedded.model.metadata
    known = replace(known, positive=(), operating_point=OperatingPoint(0.5, (0.0, 1.0), "none"))
    known = replace(known, ood_detector=replace(known.ood_detector, bound=np.inf))
    finding = Classifier(replace(embedded.model, metadata=known)).classify(smear)
    assert finding.evidence == {"network": None, "cells": None} and finding.decision == "uncertain"
    assert finding.leukaemia_probability is None and finding.as_json("a.png")["leukaemia_probability"] is None
    assert finding.headline == "Uncertain: no class of this model is known to mean leukaemia."
    assert "known to mean leukaemia" in finding.reasons[0]


def test_an_image_that_is_not_fit_is_not_searched_for_cells(embedded, smear):
    finding = embedded.classify(cv2.GaussianBlur(smear, (0, 0), 6))
    assert not finding.quality.usable and finding.decision == "uncertain"
    assert finding.evidence["cells"] is None and "cells" not in " ".join(finding.reasons)
    assert finding.headline == "Image quality too low." and finding.reasons == finding.quality.issues
    assert json.loads(json.dumps(finding.as_json("a.png")))["evidence"]["cells"] is None


def test_the_embedded_model_knows_its_scale():
    metadata = model_folder.load().metadata
    assert metadata.scale and 0.2 < metadata.scale.low < metadata.scale.high < 0.8, asdict(metadata.scale)


def test_healthy_fields_of_another_laboratory_are_never_suspicious_and_rarely_cleared(embedded, data):
    """Odd-numbered fields, which took no part in fitting; every eighth, so that it stays short.

    Nearly all of them show one white cell, or two. These are too few to clear anybody by.
    """
    files = [f for f in sorted((data / "bccd" / "JPEGImages").iterdir()) if int(f.stem[-5:]) % 2][::8]
    readings = [embedded.analyse(decode(file)) for file in files]
    said = [reading.finding.decision for reading in readings]
    assert said.count("suspicious") <= 1
    for reading in readings:
        counted = reading.verdict.cells.nucleated
        if not reading.finding.in_distribution and counted < cell_score.MIN_CELLS_TO_CLEAR:
            assert reading.finding.decision != "not suspicious"
            assert reading.verdict.cells.no_score_reason or "too few cells for a decision" in reading.finding.headline


def test_cells_alone_tell_leukaemia_from_haematogones(data):
    """Fields that took no part in fitting: every fourth of the training part did."""
    split = json.loads((model_folder.EMBEDDED / "evaluation" / "split.json").read_text())["files"]
    test = sorted(file for file, (part, _) in split.items() if part == "test")[::9]
    found = [weigh(decode(data / "aria" / file)).probability for file in test]
    ill = [not file.startswith("Benign") for file in test]
    known = [i for i, p in enumerate(found) if p is not None]
    assert len(known) >= 0.9 * len(test)
    assert roc_auc_score([ill[i] for i in known], [found[i] for i in known]) >= 0.8

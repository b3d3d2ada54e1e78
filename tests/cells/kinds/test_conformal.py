"""Sets of kinds: they hold the true kind as often as promised, and say when a laboratory breaks the promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from crepes import ConformalClassifier

from leuko.cells.kinds.conformal import EVIDENCE, LEVEL, Calibration
from leuko.cells.kinds.names import KINDS, kind_of


def answers(rng: np.random.Generator, count: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """True kinds, and probabilities that lean towards them."""
    kinds = rng.integers(0, len(KINDS), count)
    logits = rng.normal(size=(count, len(KINDS)))
    logits[np.arange(count), kinds] += sharpness
    shares = np.exp(logits)
    return kinds, shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    kinds, probabilities = answers(rng, 1600)
    scores = tuple(np.sort(probabilities[kinds == kind, kind]) for kind in range(len(KINDS)))
    return Calibration(scores, np.sort(rng.chisquare(24, 400)))


def test_p_values_are_those_of_a_mondrian_conformal_classifier(calibration):
    _, probabilities = answers(np.random.default_rng(1), 50)
    ours = calibration.p_values(probabilities)
    for kind, own in enumerate(calibration.probabilities):
        oracle = ConformalClassifier().fit(1 - own)
        expected = oracle.predict_p(1 - probabilities[:, [kind]], smoothing=False)[:, 0]
        assert ours[:, kind] == pytest.approx(expected)


def test_the_true_kind_is_in_the_set_of_95_percent_of_every_kind(calibration):
    kinds, probabilities = answers(np.random.default_rng(2), 8000)
    sets = calibration.p_values(probabilities) > LEVEL
    for kind in range(len(KINDS)):
        covered = sets[kinds == kind, kind].mean()
        assert 0.90 < covered < 0.99
    assert sets.sum(axis=1).mean() < 6  # a set that holds all kinds would cover as well


def test_cells_unlike_those_of_calibration_are_noticed_and_others_rarely(calibration):
    rng = np.random.default_rng(3)
    alike = [calibration.evidence(rng.chisquare(24, 12)) for _ in range(400)]
    assert np.mean(np.array(alike) >= EVIDENCE) <= 0.05
    assert np.mean([calibration.evidence(2 * rng.chisquare(24, 12)) >= EVIDENCE for _ in range(50)]) > 0.9
    assert calibration.evidence(np.zeros(0)) == pytest.approx(1)


def test_a_calibration_is_the_same_after_storing(calibration, tmp_path):
    calibration.write(tmp_path / "calibration.json")
    again = Calibration.read(tmp_path / "calibration.json")
    assert np.allclose(again.novelties, calibration.novelties, rtol=1e-3)
    assert all(
        np.allclose(a, b, rtol=1e-3) for a, b in zip(again.probabilities, calibration.probabilities, strict=True)
    )
    with pytest.raises(KeyError):
        Calibration.of_json(json.loads('{"probabilities": {}, "novelties": []}'))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Neutrophils", "neutrophil"),
        ("Segmented_neutrophils", "neutrophil"),
        ("immature granulocyte", "immature_granulocyte"),
        ("IG", "immature_granulocyte"),
        ("Lymphoblasts", "blast"),
        ("Lymphocyte-variant", "lymphocyte"),
        ("NRBC", "erythroblast"),
        ("Benign", None),
        ("Plasma_cells", None),
    ],
)
def test_usual_names_of_kinds_are_understood(name, kind):
    assert kind_of(name) == kind

"""The figures of an evaluation, against scikit-learn, and their intervals, against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta
from sklearn import metrics as sk

from leuko.decision.calibration import fit_temperature
from leuko.evaluation.interval_text import UNDEFINED, value_text
from leuko.evaluation.metrics import Decisions, evaluate
from leuko.reports import tables
from leuko.stats import calibration_metrics
from leuko.stats.bootstrap import Bootstrap, Estimand
from leuko.stats.ranking_metrics import Ranking

LABELS = ("hem", "early", "pre", "pro")
POSITIVE = LABELS[1:]


def sample(images: int = 400, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truth of a middling classifier."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, images, p=[0.2, 0.2, 0.25, 0.35])
    logits = rng.normal(size=(images, 4)) + 1.6 * np.eye(4)[truth]
    if ties:
        logits = np.round(logits)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth


@pytest.fixture(scope="module", params=[False, True], ids=["smooth", "ties"])
def judged(request):
    probabilities, truth = sample(ties=request.param)
    return probabilities, truth, evaluate(probabilities, truth, LABELS, POSITIVE, 0.7).as_json()


def test_figures_of_all_classes_are_those_of_scikit_learn(judged):
    probabilities, truth, report = judged
    answer = probabilities.argmax(axis=1)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, answer, average="macro", zero_division=0)
    expected = {
        "accuracy": sk.accuracy_score(truth, answer),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, answer),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "mcc": sk.matthews_corrcoef(truth, answer),
        "auc_roc": sk.roc_auc_score(truth, probabilities, multi_class="ovr"),
        "auc_pr": sk.average_precision_score(np.eye(4)[truth], probabilities),
    }
    assert {name: report[name]["value"] for name in expected} == pytest.approx(expected)
    assert report["confusion"] == sk.confusion_matrix(truth, answer).tolist()
    for name in expected:
        assert report[name]["low"] < report[name]["value"] < report[name]["high"]


def test_figures_of_each_class_are_those_of_scikit_learn(judged):
    probabilities, truth, report = judged
    answer = probabilities.argmax(axis=1)
    for c, name in enumerate(LABELS):
        own, said = truth == c, answer == c
        expected = {
            "precision": sk.precision_score(own, said, zero_division=0),
            "recall": sk.recall_score(own, said),
            "specificity": sk.recall_score(~own, ~said),
            "f1": sk.f1_score(own, said),
            "auc_roc": sk.roc_auc_score(own, probabilities[:, c]),
            "auc_pr": sk.average_precision_score(own, probabilities[:, c]),
        }
        found = report["per_class"][name]
        assert {n: found[n]["value"] for n in expected} == pytest.approx(expected)
        assert found["images"] == own.sum()
        assert all(found[n]["low"] < found[n]["high"] for n in expected)


def test_leukaemia_figures_are_those_of_scikit_learn(judged):
    probabilities, truth, report = judged
    score = probabilities[:, 1:].sum(axis=1)
    ill, called = truth > 0, score >= 0.7
    expected = {
        "auc_roc": sk.roc_auc_score(ill, score),
        "auc_pr": sk.average_precision_score(ill, score),
        "sensitivity": sk.recall_score(ill, called),
        "specificity": sk.recall_score(~ill, ~called),
        "precision": sk.precision_score(ill, called),
        "negative_predictive_value": sk.precision_score(~ill, ~called),
        "f1": sk.f1_score(ill, called),
        "accuracy": sk.accuracy_score(ill, called),
        "balanced_accuracy": sk.balanced_accuracy_score(ill, called),
        "mcc": sk.matthews_corrcoef(ill, called),
    }
    assert {name: report["leukaemia"][name]["value"] for name in expected} == pytest.approx(expected)
    found = report["calibration"]
    assert found["leukaemia"]["after"]["brier"]["value"] == pytest.approx(sk.brier_score_loss(ill, score))
    brier = sk.brier_score_loss(truth, probabilities, labels=range(4), scale_by_half=False)
    assert found["classes"]["after"]["brier"]["value"] == pytest.approx(brier)


def test_a_class_without_images_is_left_out_of_the_means_and_has_no_recall():
    probabilities, truth = sample()
    some = truth != 2
    report = evaluate(probabilities[some], truth[some], LABELS, POSITIVE, 0.5).as_json()
    answer = probabilities[some].argmax(axis=1)
    assert report["f1"]["value"] == pytest.approx(sk.f1_score(truth[some], answer, labels=[0, 1, 3], average="macro"))
    assert report["per_class"]["pre"]["recall"] == {"value": None, "low": None, "high": None}
    assert UNDEFINED in tables.markdown(tables.per_class(report))


def test_one_class_alone_has_the_figures_that_can_be_had():
    probabilities, truth = sample()
    report = evaluate(probabilities[truth == 0], truth[truth == 0], LABELS, POSITIVE, 0.5).as_json()
    assert all(report["leukaemia"][name]["value"] is None for name in ("sensitivity", "auc_roc", "precision", "mcc"))
    assert report["f1"]["value"] is None and report["recall"]["value"] == report["accuracy"]["value"]
    assert 0 < report["leukaemia"]["specificity"]["value"] < 1


def test_weights_stand_for_repeated_images():
    probabilities, truth = sample(60)
    weights = np.random.default_rng(1).integers(0, 4, 60)
    again = np.repeat(np.arange(60), weights)
    ranking, ill = Ranking(probabilities[:, 0]), truth == 0
    for name, oracle in (("auc_roc", sk.roc_auc_score), ("auc_pr", sk.average_precision_score)):
        found = getattr(ranking, name)(weights[None].astype(np.float32), ill)[0]
        assert found == pytest.approx(oracle(ill[again], probabilities[again, 0]))


def test_groups_widen_the_interval_to_its_true_width():
    """Groups of 25 images that are right or wrong together are worth 40 images, not 1,000."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 25)
    right = np.repeat(rng.random(40) < 0.8, 25)
    truth = np.zeros(1000, int)

    def width(given) -> float:
        found = Bootstrap(truth, given).intervals(
            lambda w: {"x": Estimand.proportion(w @ right.astype(np.float32), w.sum(axis=1))}
        )
        return found["x"]["high"] - found["x"]["low"]

    expected = 2 * 1.96 * right.std()
    assert width(groups) == pytest.approx(expected / 40**0.5, rel=0.15)
    assert width(None) == pytest.approx(expected / 1000**0.5, rel=0.15)
    assert width([f"image {i:04d}" for i in range(1000)]) == width(None)


def test_few_groups_are_said_and_images_drawn_within_them():
    probabilities, truth = sample()
    report = evaluate(probabilities, truth, LABELS, POSITIVE, 0.5, groups=truth).as_json()
    assert report["groups"] == 4 and "1 of hem" in report["intervals"] and "larger" in report["intervals"]
    assert report["accuracy"]["low"] < report["accuracy"]["high"]


def test_all_right_is_not_certainty():
    """The bound is that of Clopper and Pearson for as many images."""
    truth = np.repeat([0, 1], 30)
    probabilities = np.eye(2)[truth] * 0.8 + 0.1
    report = evaluate(probabilities, truth, ("healthy", "blast"), ("blast",), 0.5).as_json()
    assert report["leukaemia"]["sensitivity"]["low"] == pytest.approx(beta.ppf(0.025, 30, 1))
    assert report["leukaemia"]["sensitivity"]["high"] == 1


def test_all_right_of_few_patients_is_less_certain_than_of_many_images():
    truth, patients = np.repeat([0, 1], 300), np.repeat(np.arange(24), 25)
    report = evaluate(
        np.eye(2)[truth] * 0.8 + 0.1, truth, ("healthy", "blast"), ("blast",), 0.5, groups=patients
    ).as_json()
    assert report["leukaemia"]["sensitivity"]["low"] == pytest.approx(beta.ppf(0.025, 12, 1))
    assert report["accuracy"]["low"] == pytest.approx(beta.ppf(0.025, 24, 1))
    assert report["per_class"]["blast"]["precision"]["low"] == pytest.approx(beta.ppf(0.025, 12, 1))


def test_intervals_are_the_same_every_time():
    probabilities, truth = sample(80)
    assert (
        evaluate(probabilities, truth, LABELS, POSITIVE, 0.5).as_json()
        == evaluate(probabilities, truth, LABELS, POSITIVE, 0.5).as_json()
    )


def by_hand(confidence: np.ndarray, right: np.ndarray, edges: np.ndarray) -> float:
    which = np.digitize(confidence, edges)
    return sum((which == b).mean() * abs(right[which == b].mean() - confidence[which == b].mean()) for b in set(which))


def test_calibration_errors_are_those_of_their_definition():
    probabilities, truth = sample(1000)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    report = evaluate(probabilities, truth, LABELS, POSITIVE, 0.5).as_json()["calibration"]["classes"]["after"]
    inner = np.arange(1, 15) / 15
    assert report["ece_equal_width"]["value"] == pytest.approx(by_hand(confidence, right, inner))
    assert report["ece"]["value"] == pytest.approx(by_hand(confidence, right, np.quantile(confidence, inner)))


def test_a_perfect_model_lies_within_what_is_simulated_for_it_and_an_overconfident_one_does_not():
    rng = np.random.default_rng(3)
    probability = rng.beta(5, 1, 600)
    statement = calibration_metrics.leukaemia_predictions(probability, rng.random(600) < probability)
    perfect = calibration_metrics.simulate_perfect_calibration(probability)["ece"]
    everyone = np.ones((1, 600))
    assert perfect["low"] <= calibration_metrics.calibration_error(statement, everyone)[0] <= perfect["high"]
    boastful = calibration_metrics.leukaemia_predictions(probability**0.3, statement.outcome)
    bound = calibration_metrics.simulate_perfect_calibration(boastful.probability)["ece"]["high"]
    assert calibration_metrics.calibration_error(boastful, everyone)[0] > bound


def test_scaling_is_shown_before_and_after():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 2000)
    logits = 4 * (rng.normal(size=(2000, 4)) + np.eye(4)[truth])
    temperature = fit_temperature(logits[:1000], truth[:1000])

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    scaled = softmax(logits[1000:] / temperature)
    assert np.allclose(calibration_metrics.unscaled_probabilities(scaled, temperature), softmax(logits[1000:]))
    earlier = calibration_metrics.unscaled_probabilities(scaled, temperature)
    report = evaluate(scaled, truth[1000:], LABELS, POSITIVE, 0.5, unscaled=earlier).as_json()["calibration"]["classes"]
    assert report["after"]["ece"]["value"] < 0.06 < 0.2 < report["before"]["ece"]["value"]


def test_risk_and_coverage():
    probabilities, truth = sample(200)
    report = evaluate(probabilities, truth, LABELS, POSITIVE, 0.5).as_json()["risk_coverage"]
    order = np.argsort(-probabilities.max(axis=1))
    wrong = (probabilities.argmax(axis=1) != truth)[order]
    risks = [wrong[:k].mean() for k in range(1, 201)]
    assert report["aurc"]["value"] == pytest.approx(np.mean(risks))
    assert report["risk_at"]["1.00"] == pytest.approx(wrong.mean())
    assert report["risk_at"]["0.50"] == pytest.approx(risks[99])


def test_decisions_come_with_their_coverage():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    said = [
        "not suspicious",
        "suspicious",
        "uncertain",
        "uncertain",
        *["suspicious"] * 4,
        "not suspicious",
        "uncertain",
    ]
    in_distribution = np.arange(10) != 3
    probabilities = np.eye(2)[truth] * 0.8 + 0.1
    decisions = Decisions(np.array(said), in_distribution, np.ones(10, bool), probabilities[:, 1])
    found = evaluate(probabilities, truth, ("healthy", "blast"), ("blast",), 0.5, decisions=decisions).as_json()[
        "decisions"
    ]
    expected = {
        "coverage": 0.7,
        "coverage_positive": 5 / 6,
        "coverage_negative": 0.5,
        "right": 5 / 7,
        "sensitivity": 0.8,
        "specificity": 0.5,
        "suspicious": 0.5,
        "unfamiliar": 0.1,
        "unusable": 0.0,
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected)


def test_figures_as_text():
    probabilities, truth = sample()
    report = evaluate(probabilities, truth, LABELS, POSITIVE, 0.5).as_json()
    text = tables.as_text(report, LABELS)
    for word in ("Accuracy", "Balanced accuracy", "AUC-PR", "Leukaemia: sensitivity at 0.500", "true class ↓"):
        assert word in text
    assert value_text(report["f1"]["value"]) in text

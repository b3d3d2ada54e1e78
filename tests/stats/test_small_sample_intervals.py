"""Small numbers look small: no figure of few images, however good, is shown as certain."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from leuko.adaptation import cross_validation
from leuko.data.splitting.groups import Groups
from leuko.evaluation import metrics, shortcut_audit
from leuko.evaluation.interval_text import UNDEFINED, figure_text, interval_text
from leuko.reports import comparison, tables
from leuko.reports.cards import model_card
from leuko.reports.evaluation.highlights import highlights
from leuko.reports.wording import percent_interval
from leuko.stats import bootstrap, calibration_metrics, proportions, small_sample_intervals
from leuko.stats.bootstrap import Bootstrap, Estimand
from tests.reports.test_model_card import measured

LABELS = ("healthy", "blast")
TRUTHS = {"one image": [1], "two images": [0, 1], "one class": [1] * 12, "five of a class": [0] * 250 + [1] * 5}
TRUTHS |= {"forty": [0, 1] * 20, "a few of each": [0] * 3 + [1] * 4}
ANSWERS = {"all right": 0.999, "sure and right": 1.0, "all wrong": 0.001, "sure and wrong": 0.0, "undecided": 0.5}
GROUPS = {"each its own": 1, "pairs": 2, "one group": 1000}  # images of a group
SAME = re.compile(r"(?<![-.\d])(-?\d+(?:\.\d+)?)(?:\s?%)? to \1(?![\d.])")


def widths(tree: Any, place: str = "") -> dict[str, float]:
    """The width of every interval in a report, by its place."""
    if isinstance(tree, dict):
        if {"value", "low", "high"} <= tree.keys():
            return {} if tree["low"] is None else {place: tree["high"] - tree["low"]}
        # What a perfect model would show is no estimate: it may be the same in all simulations.
        return {k: v for n, each in tree.items() if n != "perfect" for k, v in widths(each, f"{place}/{n}").items()}
    return {}


def report_of(truth: np.ndarray, right: float, groups: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    own = np.eye(2)[truth]
    probabilities = own * right + (1 - own) * (1 - right)
    said = np.where(probabilities[:, 1] >= 0.5, "suspicious", "not suspicious")
    everywhere = np.ones(len(truth), bool)
    decisions = metrics.Decisions(said, everywhere, everywhere, probabilities[:, 1])
    report = metrics.evaluate(
        probabilities, truth, LABELS, ("blast",), 0.5, groups=groups, decisions=decisions
    ).as_json()
    answer = probabilities.argmax(axis=1)
    report["colour_baseline"] = shortcut_audit.with_intervals(answer, truth, groups) | {"how": "learnt here"}
    changed = shortcut_audit.accuracy_and_f1(
        {"as they are": answer, "borders": answer, "stain of X": 1 - answer}, truth, groups
    )
    report["shortcuts"] = {name: {"network": found, "familiar": 1.0} for name, found in changed.items()}
    return probabilities, report


@pytest.mark.parametrize("images, answers, together", product(TRUTHS, ANSWERS, GROUPS))
def test_no_interval_is_without_width(images, answers, together, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    monkeypatch.setattr(calibration_metrics, "SIMULATED", 100)
    truth = np.array(TRUTHS[images])
    _, report = report_of(truth, ANSWERS[answers], np.arange(len(truth)) // GROUPS[together])
    assert not [place for place, width in widths(report).items() if width < 0.0005], report["intervals"]
    text = "\n".join(
        [
            tables.as_text(report),
            tables.summary(report),
            tables.risk_coverage(report),
            tables.markdown(tables.per_class(report)),
            tables.markdown([("", "", ""), *tables.decisions(report)]),
            tables.markdown(tables.calibration(report)),
            *(point.text for point in highlights(report | {"data": {"unreadable": 0}})),
        ]
    )
    assert not SAME.findall(text), text
    assert UNDEFINED in text or images not in ("one image", "one class")


@pytest.mark.parametrize("images", ["two images", "five of a class", "forty"])
def test_cards_and_tables_show_no_certainty(images, tmp_path):
    truth = np.array(TRUTHS[images])
    probabilities, report = report_of(truth, 1.0, np.arange(len(truth)))
    metadata, _ = measured()
    model_card.write_card(tmp_path / "README.md", metadata, "resnet50", LABELS, report)
    result = comparison.MethodResult("x", "X", probabilities, "measured", "", 1.0, 1.0, 1.0)
    data = comparison.ComparedData(
        name="d",
        labels=LABELS,
        positive=("blast",),
        truth=truth,
        groups=np.arange(len(truth)),
        sizes={"test": len(truth)},
        split="by hand",
        folds=1,
    )
    comparison.write([result], {}, data, tmp_path)
    for file in ("README.md", "comparison.md", "comparison.html", ".eval_results/test.yaml"):
        text = (tmp_path / file).read_text()
        assert "1.000" in text or "1.0" in text
        assert not SAME.findall(text), file
    names, values = ((tmp_path / "comparison.csv").read_text().splitlines()[i].split(",") for i in (0, 1))
    line = dict(zip(names, values, strict=True))
    assert all(float(line[f"{f}_low"]) < float(line[f"{f}_high"]) for f in ("accuracy", "f1", "auc_roc"))


def test_adapting_shows_no_certainty_and_says_what_is_few():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [60, 6])
    features = (rng.normal(size=(66, 1, 8)) / 50 + 4 * truth[:, None, None]).astype(np.float32)
    groups = Groups(np.arange(66), np.zeros(66, bool), (), "each image by itself")
    found = cross_validation.cross_validate([features], truth, features[:, 0], groups, LABELS, ("blast",), 0)
    report = found.as_json() | {"images": 66}
    assert report["accuracy"]["value"] == 1
    assert not [place for place, width in widths(report).items() if width < 0.0005]
    text = model_card.cross_validation_table(report)
    assert not SAME.findall(text) and "only 6 of the images are of blast" in text


def test_bounds_are_those_of_clopper_and_pearson_and_of_newcombe():
    truth = np.repeat([0, 1], [250, 5])
    _, report = report_of(truth, 0.9, np.arange(255))
    assert report["per_class"]["blast"]["recall"]["low"] == pytest.approx(beta.ppf(0.025, 5, 1))
    assert report["leukaemia"]["auc_roc"]["low"] == pytest.approx(
        small_sample_intervals.auc_interval(1.0, 5, 250)["low"]
    )
    assert 0.2 < report["f1"]["low"] < 0.6  # of five images
    assert proportions.clopper_pearson_interval(0.3, 10)["low"] == pytest.approx(beta.ppf(0.025, 3, 8))
    assert proportions.clopper_pearson_interval(-1.0, 10, -1.0, 1.0)["high"] == pytest.approx(
        2 * beta.ppf(0.975, 1, 10) - 1
    )


def test_the_exact_bound_holds_as_often_as_it_says():
    """Of a model that is wrong in 3 % of all images, 20 images often show no error; the interval still holds it."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        right = rng.random(20) < 0.97
        resamples, share = (
            Bootstrap(np.zeros(20, int)),
            lambda w, r=right: {"x": Estimand.proportion(w @ r, w.sum(axis=1))},
        )
        found = resamples.intervals(share)
        held += found["x"]["low"] <= 0.97 <= found["x"]["high"]
    assert held >= 180


def test_few_images_and_few_groups_are_named():
    counts = np.repeat([0, 1], [250, 5])
    said = " ".join(small_sample_intervals.small_sample_warnings(LABELS, counts, np.arange(255)))
    assert "Only 5 of the images are of blast" in said and "50 times as many images of healthy" in said
    assert not small_sample_intervals.small_sample_warnings(LABELS, np.repeat([0, 1], 30), np.arange(60))
    (said,) = small_sample_intervals.small_sample_warnings(LABELS, np.repeat([0, 1], 30), np.repeat([0, 1, 2, 3], 15))[
        :1
    ]
    assert "30 images of healthy are of 2 groups" in said
    _, report = report_of(counts, 0.9, np.arange(255))
    assert "only 5 of the test images are of blast" in tables.as_text(report)


def test_means_over_splits_that_do_not_differ_have_a_width():
    assert shortcut_audit.mean_interval([1.0] * 5, 0.25, 40)["low"] == pytest.approx(beta.ppf(0.025, 40, 1))
    assert shortcut_audit.mean_interval([0.8], 0.25, 40)["low"] is None
    assert figure_text(shortcut_audit.mean_interval([0.8], 0.25, 40)) == "0.800 (interval not estimable)"
    assert percent_interval(0.997, 0.999) == "99.7 to 99.9\u00a0%" and percent_interval(0.2, 0.31) == "20 to 31\u00a0%"


def test_an_interval_that_rounds_to_one_number_is_told_more_exactly():
    assert interval_text({"value": 0.99998, "low": 0.99994, "high": 1.0}) == "0.9999 to 1.0000"


def test_what_is_stored_is_json(tmp_path: Path):
    _, report = report_of(np.array([0, 1]), 1.0, np.arange(2))
    assert "NaN" not in json.dumps(report) and "Infinity" not in json.dumps(report)

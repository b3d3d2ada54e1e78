"""The model card: whatever it says was measured, and the Hub's own library reads it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from leuko.decision.calibration import OperatingPoint
from leuko.decision.out_of_distribution import MahalanobisOOD
from leuko.evaluation import metrics, shortcut_audit
from leuko.networks.model_folder import EMBEDDED, RESULTS, ModelMetadata
from leuko.reports.cards import model_card
from leuko.stats import calibration_metrics
from tests.conftest import ROOT
from tests.evaluation.test_metrics import LABELS, POSITIVE, sample

RUN = {
    "dataset": "smears",
    "clean": True,
    "backbone": "resnet50",
    "lr": 0.0005,
    "balance": "none",
    "augment": "strong",
    "group_column": None,
    "seed": 3,
    "steps": 325,
    "split": "80:10:10 by group, seed 3: 40 blocks of 60 consecutive files",
    "images": {"train": 800, "validation": 100, "test": 400},
    "fingerprint": "f6edbf7576a5daea",
}


def measured() -> tuple[ModelMetadata, dict]:
    """A run's metadata, and its figures as `metrics.json` holds them."""
    probabilities, truth = sample()
    groups, earlier = np.arange(400) // 8, calibration_metrics.unscaled_probabilities(probabilities, 0.8)
    point = OperatingPoint.fit(probabilities[:, 1:].sum(axis=1), truth > 0)
    decisions = metrics.Decisions(
        np.array([point.decide(p) for p in probabilities[:, 1:].sum(axis=1)]),
        np.arange(400) % 20 > 0,
        np.ones(400, bool),
        probabilities[:, 1:].sum(axis=1),
    )
    report = metrics.evaluate(
        probabilities, truth, LABELS, POSITIVE, point.threshold, groups=groups, unscaled=earlier, decisions=decisions
    ).as_json()
    colours = np.random.default_rng(0).normal(size=(400, 9)) + truth[:, None]
    report["colour_baseline"] = shortcut_audit.colour_baseline(colours, truth, colours[::-1], truth[::-1], groups)
    metadata = ModelMetadata(
        name="Deep Leuko resnet50 on smears",
        positive=POSITIVE,
        temperature=0.8,
        operating_point=point,
        ood_detector=MahalanobisOOD.fit(colours, colours),
        training=RUN,
    )
    return metadata, json.loads(json.dumps(report))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, ModelMetadata, dict]:
    folder = tmp_path_factory.mktemp("card")
    metadata, report = measured()
    model_card.write_card(folder / "README.md", metadata, "resnet50", LABELS, report)
    return folder, metadata, report


def numbers(value: object) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()), set())
    if isinstance(value, (list, tuple)):
        return set().union(*map(numbers, value), set())
    return {float(value)} if isinstance(value, (int, float)) else set()


def test_every_figure_of_the_card_was_measured(written):
    folder, metadata, report = written
    body = ModelCard.load(folder / "README.md").text
    known = numbers(report) | numbers(metadata.operating_point.as_json()) | {metadata.temperature}
    known = {f"{number:.3f}" for number in known}
    shown = set(re.findall(r"(?<![\w.])\d\.\d{3}(?![\d.])", body))
    assert len(shown) > 100 and shown <= known


def test_every_figure_has_its_interval(written):
    body = ModelCard.load(written[0] / "README.md").text
    for title in (
        "Accuracy",
        "Balanced accuracy",
        "F1 (macro)",
        "Leukaemia: AUC-PR",
        "decided, of images without leukaemia",
    ):
        line = next(line for line in body.splitlines() if line.startswith(f"| {title} |"))
        assert re.search(r"\| \d\.\d{3} \| \d\.\d{3} to \d\.\d{3} \|$", line)
    table = [line for line in body.splitlines() if re.match(rf"\| ({'|'.join(LABELS)}) \| \d+ \| \d\.", line)]
    assert len(table) == 4 and all(len(re.findall(r"\(\d\.\d{3} to \d\.\d{3}\)", line)) == 6 for line in table)
    assert re.search(r"nearest neighbours.*accuracy\n?.*\d\.\d{3} \(\d", body)


def test_the_card_tells_what_a_reader_needs(written):
    body = ModelCard.load(written[0] / "README.md").text
    for words in (
        "Research use only",
        "## Intended use",
        "## Limits",
        "## Data terms",
        "## Calibration",
        "a perfectly calibrated model",
        "before scaling",
        "## Decision",
        "50 groups",
        "--positive ",
        "--backbone resnet50 --lr 0.0005 --balance none --augment strong --seed 3",
    ):
        assert words in body
    assert "--clean" in body and "None" not in body and "group-column" not in body


def test_the_hub_reads_the_front_matter(written):
    folder, _, report = written
    data = ModelCard.load(folder / "README.md").data
    assert data.model_name == "Deep Leuko resnet50 on smears" and data.pipeline_tag == "image-classification"
    found = {(r.dataset_config, r.metric_type): r for r in data.eval_results}
    f1 = found["classes", "f1"]
    assert f1.metric_value == round(report["f1"]["value"], 4) and f1.dataset_name == "smears"
    assert f"{report['f1']['low']:.3f} to {report['f1']['high']:.3f}" in f1.metric_name
    ill = report["leukaemia"]
    assert found["leukaemia-or-not", "specificity"].metric_value == round(ill["specificity"]["value"], 4)


def test_the_hub_reads_the_results(written):
    place, _, report = written
    entries = parse_eval_result_entries(yaml.safe_load((place / RESULTS).read_text()))
    values = {entry.task_id: entry.value for entry in entries}
    assert values["f1_macro"] == round(report["f1"]["value"], 4)
    assert values["leukaemia_sensitivity"] == round(report["leukaemia"]["sensitivity"]["value"], 4)
    assert all(entry.dataset_id == "smears" and "95 % interval" in entry.notes for entry in entries)


def test_data_of_the_hub_are_linked_and_audits_told(tmp_path):
    metadata, report = measured()
    metadata = replace(metadata, training=RUN | {"dataset": "user/smears"})
    answers = {name: sample()[0].argmax(axis=1) for name in ("as they are", "grey", "cells only")}
    told = shortcut_audit.accuracy_and_f1(answers, sample()[1])
    report["shortcuts"] = {name: {"network": figures, "familiar": 0.5} for name, figures in told.items()}
    model_card.write_card(tmp_path / "README.md", metadata, "resnet50", LABELS, report)
    read = ModelCard.load(tmp_path / "README.md")
    assert read.data.datasets == ["user/smears"]
    assert "## Shortcuts" in read.text and "| cells only |" in read.text


def test_the_documents_name_what_there_is_and_quote_what_was_measured():
    readme = "\n".join(file.read_text() for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
    for name in re.findall(r"-m\s+benchmarks\.(\w+)", readme):
        assert find_spec(f"benchmarks.{name}")
    told = json.loads((EMBEDDED / "evaluation" / "metrics.json").read_text())
    ill = told["leukaemia"]
    folds = json.loads((ROOT / "benchmarks" / "results" / "crossvalidation.json").read_text())
    for name, figure in (
        ("F1 (macro)", told["f1"]),
        ("leukaemia against not: AUC-ROC", ill["auc_roc"]),
        ("F1 (macro)", folds["F1 (macro)"]),
        ("leukaemia: AUC-ROC", folds["leukaemia: AUC-ROC"]),
    ):
        assert f"| {name} | {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}) |" in readme
    pair = ", ".join(
        f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
        for figure in (ill["sensitivity"], ill["specificity"])
    )
    assert ill["threshold"] == 0.5 and f"| sensitivity, specificity at 0.5 | {pair} |" in readme
    assert f"| {len(folds['folds'])} grouped folds |" in readme

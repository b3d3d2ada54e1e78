"""The frozen recipe of the embedded default in repeated cross-validation by group.

    python -m benchmarks.crossvalidation ../shared/data/aria --repeats 5

In every fold a network is trained, its temperature, operating point and familiarity are fitted on an inner validation
part, cut by group from the training part, and the fold's own images are opened once, at the end. What is said of each
is kept in RUNS/crossvalidation/R-F.npz, and folds that are there already are kept, so that it can be interrupted: 5 × 5
folds take several hours on two cores. The summary goes to benchmarks/results/crossvalidation.json after every fold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipe import ROOT, settings
from leuko.data.groups import Groups, Series
from leuko.data.split import Split, folds
from leuko.evaluation import metrics
from leuko.evaluation.audit import mean_interval, neighbours
from leuko.evaluation.metrics import Verdicts
from leuko.training import trial
from leuko.training.finish import calibrate, examine
from leuko.training.task import Task

COUNT = 5  # folds
INNER = 8  # the validation part is one of so many parts of the training part
RESULTS = ROOT / "benchmarks" / "results" / "crossvalidation.json"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="the Aria images, one folder a class")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folds", type=int, default=None, help="how many folds to do, from the first (default: all)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "crossvalidation")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trial.quiet()
    given.runs.mkdir(parents=True, exist_ok=True)
    task = trial.task_of(settings(given.data, given.runs / "model", seed=0), print)
    for number, split in enumerate(splits(task, given.repeats)):
        if given.folds is not None and number >= given.folds:
            break
        file = given.runs / f"{number // COUNT}-{number % COUNT}.npz"
        if not file.exists():
            print(f"Fold {number + 1} of {given.repeats * COUNT}.", flush=True)
            keep(file, fold(replace(task, split=split, learning=split.train), given.data, seed=number))
        summary = summarise(sorted(given.runs.glob("*-*.npz")), task)
        given.results.write_text(json.dumps(summary, indent=1) + "\n")
    print(as_markdown(summary))


def splits(task: Task, repeats: int) -> Iterator[Split]:
    """The folds, each with a validation part of its own."""
    names = [task.labels[i] for i in task.truth]
    for number, outer in enumerate(folds(names, task.split.groups, count=COUNT, repeats=repeats)):
        within = of_rows(outer.groups, outer.train)
        inner = next(folds([names[row] for row in outer.train], within, count=INNER, seed=number))
        train, validation = outer.train[inner.train], outer.train[inner.test]
        left_out = np.sort(np.concatenate([outer.left_out, outer.train[inner.left_out]]))
        yield Split(train, validation, outer.test, left_out, outer.groups, outer.how, outer.seed)


def of_rows(groups: Groups, rows: np.ndarray) -> Groups:
    """The groups of some rows, numbered anew; files that stood side by side still do."""
    place = np.full(len(groups.group), -1)
    place[rows] = np.arange(len(rows))
    series: list[Series] = []
    for each in groups.series:
        inside = place[each.rows]
        series.append(replace(each, rows=inside[inside >= 0]))
    return Groups(np.unique(groups.group[rows], return_inverse=True)[1], groups.spare[rows], tuple(series), groups.how)


def fold(task: Task, data: str, seed: int) -> dict[str, np.ndarray]:
    """Train, calibrate, and ask about the test part, once."""
    with tempfile.TemporaryDirectory() as scratch:
        how = settings(data, Path(scratch) / "model", seed=seed)
        trained = trial.train(task, how)
        model = calibrate(trained.network, task, trained.how, how, trained.steps)
    judged, _ = examine(model, task)
    split, point, verdicts = task.split, model.knowledge.operating_point, judged.verdicts
    return {
        "rows": split.test[judged.rows],
        "train": split.train,
        "probabilities": judged.probabilities,
        "threshold": np.array(point.threshold),
        "abstain": np.array(point.abstain),
        "temperature": np.array(model.knowledge.temperature),
        "colour": neighbours(task.colours[split.train], task.truth[split.train], judged.colours),
        "validation": np.array([trained.validation["loss"], trained.validation["f1"]]),
        "seconds": np.array(trained.seconds),
        **verdicts._asdict(),
    }


def keep(file: Path, found: dict[str, np.ndarray]) -> None:
    """Write the file in one step, so that one that is there is whole."""
    draft = file.with_suffix(".part")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, **found)
    draft.replace(file)


FIGURES = {
    "F1 (macro)": ("f1",),
    "accuracy": ("accuracy",),
    "AUC-ROC (macro)": ("auc_roc",),
    "leukaemia: AUC-ROC": ("leukaemia", "auc_roc"),
    "calibration error (ECE)": ("calibration", "classes", "after", "ece"),
    "calibration error of a perfect model": ("calibration", "classes", "perfect", "ece"),
    "leukaemia: sensitivity at the stored threshold": ("leukaemia", "sensitivity"),
    "leukaemia: specificity at the stored threshold": ("leukaemia", "specificity"),
    "share of images decided": ("decisions", "coverage"),
    "sensitivity among those decided": ("decisions", "sensitivity"),
    "specificity among those decided": ("decisions", "specificity"),
    "colour statistics alone: F1 (macro)": ("colour_baseline", "f1"),
}


def summarise(files: list[Path], task: Task) -> dict[str, Any]:
    """Every figure of every fold, with mean, spread and 95 % interval of the mean."""
    reports, shares, seconds = [], [], []
    for file in files:
        with np.load(file, allow_pickle=False) as found:
            reports.append(report(dict(found), task))
            shares.append(len(found["rows"]) / len(found["train"]))
            seconds.append(float(found["seconds"]))
    summary: dict[str, Any] = {"folds": [file.stem for file in files], "images": len(task.rows), "seconds": seconds}
    for name, path in FIGURES.items():
        values = [pick(each, path) for each in reports]
        known = [value for value in values if value is not None]
        spread = mean_interval(known, float(np.mean(shares))) if len(known) > 1 else {"value": None}
        sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
        summary[name] = spread | {"sd": sd, "values": values}
    return summary


def report(found: dict[str, np.ndarray], task: Task) -> dict[str, Any]:
    """All figures of one fold, from what was kept of it."""
    truth = task.truth[found["rows"]]
    verdicts = Verdicts(*(found[name] for name in Verdicts._fields))
    figures = metrics.evaluate(
        found["probabilities"], truth, task.labels, task.positive, float(found["threshold"]), verdicts=verdicts
    )
    colour = metrics.evaluate(np.eye(len(task.labels))[found["colour"]], truth, task.labels, (), 0.5)
    return figures | {"colour_baseline": colour}


def pick(report: dict[str, Any], path: tuple[str, ...]) -> float | None:
    """A figure's value."""
    for key in path:
        report = report[key]
    return report["value"]


def as_markdown(summary: dict[str, Any]) -> str:
    lines = [f"| {len(summary['folds'])} folds | mean | sd | 95 % interval of the mean |", "|---|---|---|---|"]
    for name in FIGURES:
        s = summary[name]
        if s["value"] is not None:
            lines.append(f"| {name} | {s['value']:.3f} | {s['sd']:.3f} | {s['low']:.3f} to {s['high']:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

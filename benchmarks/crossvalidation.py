"""Repeated cross-validation by group for the fixed recipe of the embedded model.

    python -m benchmarks.crossvalidation ../shared/data/aria --repeats 5

In every fold, a network is trained. Its temperature, operating point and out-of-distribution detector are fitted on an
inner validation part, which is separated by group from the training part. The test images of the fold are used only
once, at the end. Results are written to benchmarks/results/crossvalidation.json after every fold, and finished folds
are kept, so the benchmark can be interrupted. 5 × 5 folds take several hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import side_by_side
from benchmarks.recipe import RECIPE, ROOT, settings
from leuko.data.splitting.groups import Groups, Series
from leuko.data.splitting.split import Split, folds
from leuko.evaluation.interval_text import interval_text
from leuko.evaluation.shortcut_audit import mean_interval
from leuko.experiments import single_run
from leuko.training.finalize import calibrate, evaluate_on_test
from leuko.training.prepare_data import TrainingData

COUNT = 5  # folds
INNER = 8  # the validation part is one of so many parts of the training part
RESULTS = ROOT / "benchmarks" / "results" / "crossvalidation.json"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="the Aria images, one folder a class")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folds", type=int, default=None, help="how many folds to do, from the first (default: all)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    task = single_run.load_training_data(settings(given.data, Path("model"), seed=0), print)
    asked = {"recipe": RECIPE, "data": task.fingerprint}
    measured = side_by_side.kept(given.results, asked).get("folds", {})
    jobs = {}
    for number, split in enumerate(islice(splits(task, given.repeats), given.folds)):
        name = f"{number // COUNT}-{number % COUNT}"
        if name not in measured:
            jobs[name] = partial(fold, replace(task, split=split, learning=split.train), given.data, seed=number)

    def keep(name: str, figures: dict[str, float | None]) -> None:
        measured[name] = figures
        print(f"{name}: {json.dumps(figures)}", flush=True)
        side_by_side.write(given.results, {"asked": asked} | summarise(dict(sorted(measured.items()))))

    side_by_side.work(jobs, keep)
    print(as_markdown(summarise(measured)))


def splits(task: TrainingData, repeats: int) -> Iterator[Split]:
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


def fold(task: TrainingData, data: str, seed: int) -> dict[str, float | None]:
    """Train, calibrate, and ask about the test part, once.

    Returns:
        `FIGURES`; `share`, images tested for each one trained on; `seconds` of the training.
    """
    with tempfile.TemporaryDirectory() as scratch:
        how = settings(data, Path(scratch) / "model", seed=seed)
        trained = single_run.train(task, how)
        model = calibrate(trained.network, task, trained.how, how, trained.steps)
    judged, report = evaluate_on_test(model, task)
    figures = {name: pick(report, path) for name, path in FIGURES.items()}
    return figures | {"share": len(judged.rows) / len(task.split.train), "seconds": trained.seconds}


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
    "colour statistics alone: F1 (macro)": ("colour_baseline", "intervals", "f1"),
}


def summarise(measured: dict[str, dict[str, float | None]]) -> dict[str, Any]:
    """Every figure with its mean over the folds, its spread and the 95 % interval of the mean; and the folds."""
    share = float(np.mean([each["share"] for each in measured.values()]))
    summary: dict[str, Any] = {}
    for name in FIGURES:
        known = [each[name] for each in measured.values() if each[name] is not None]
        spread = mean_interval(known, share) if len(known) > 1 else {"value": None}
        summary[name] = spread | {"sd": float(np.std(known, ddof=1)) if len(known) > 1 else None}
    return summary | {"folds": measured}


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
            lines.append(f"| {name} | {s['value']:.3f} | {s['sd']:.3f} | {interval_text(s)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""The table of a comparison: as CSV for programs, as Markdown and HTML for people, and as a plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np

from leuko.evaluation import metrics
from leuko.evaluation.interval_text import figure_text
from leuko.reports import tables
from leuko.reports.rendering import render
from leuko.stats import paired_tests
from leuko.stats.bootstrap import Interval

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Part = Literal["measured", "scratch"]

FIGURES = {
    "accuracy": "accuracy",
    "f1": "F1 (macro)",
    "auc_roc": "AUC-ROC (macro)",
    "leukaemia_auc_roc": "leukaemia AUC-ROC",
}
MIN_GROUPS = 11  # with fewer, the test by group can hardly find a difference: p ≥ 2^(1 − groups)
TITLES: dict[Part, str] = {
    "measured": "Compared",
    "scratch": "From scratch, not converged: no conclusions are drawn from these",
}
PAGE = "comparison.md"
PLOT_ALT = f"{FIGURES['f1']} of each method with its 95 % interval"


@dataclass(frozen=True)
class MethodResult:
    """The result of a method on all test images.

    Attributes:
        name, title: of the method, on the command line and for people.
        probabilities: float, test images × classes.
        part: `measured`, or `scratch` for a network from random weights that did not converge.
        note: for the last column.
        train_seconds, megabytes, latency_ms: what it costs.
    """

    name: str
    title: str
    probabilities: np.ndarray
    part: Part
    note: str
    train_seconds: float
    megabytes: float
    latency_ms: float


@dataclass(frozen=True)
class ComparedData:
    """The data of a comparison.

    Attributes:
        name: of the data.
        labels, positive: class names, and those that mean leukaemia.
        truth, groups: int, of all test images, in the order of the results' probabilities.
        sizes: images of each part, of the first fold in cross-validation.
        split: how the data were split, in words.
        folds: number of folds; 1 for a single split.
    """

    name: str
    labels: tuple[str, ...]
    positive: tuple[str, ...]
    truth: np.ndarray
    groups: np.ndarray
    sizes: Mapping[str, int]
    split: str
    folds: int


@dataclass(frozen=True)
class _Line:
    """A line of the table.

    Attributes:
        result: the method and its costs.
        figures: by the names of `FIGURES`, as far as defined for these data.
        correct: bool, which test images it predicts correctly.
        intervals, warnings: from `leuko.evaluation.metrics.Evaluation`.
        p_mcnemar, p_by_group: p values against the best method; None for the best and for `scratch`.
    """

    result: MethodResult
    figures: dict[str, Interval]
    correct: np.ndarray
    intervals: str
    warnings: tuple[str, ...]
    p_mcnemar: float | None = None
    p_by_group: float | None = None


def scratch_note(effort: str) -> str:
    """The note of a network that was trained from random weights with some `effort` (epochs and image size)."""
    return f"from scratch, {effort}, not converged"


def write(results: Sequence[MethodResult], failed: Mapping[str, str], data: ComparedData, folder: Path) -> None:
    """Write `comparison.csv`, `.md`, `.html` and `.png`; without results, nothing.

    Args:
        results: the methods that were run.
        failed: titles of the methods that could not be run, with the reason.
        data: what they were run on.
        folder: where to write.
    """
    if not results:
        return
    lines = [_line(result, data) for result in results]
    best = _best(lines)
    if best:
        lines = _tested(lines, best, data.groups)
    lines.sort(key=lambda line: -(line.figures["f1"]["value"] or 0.0))
    _write_csv(lines, folder / "comparison.csv")
    _write_plot(lines, folder / "comparison.png")
    content = {
        "title": f"Comparison on {data.name}",
        "paragraphs": [*_paragraphs(lines, best, data), *(f"{title}: {reason}." for title, reason in failed.items())],
        "parts": [
            {"title": title, "rows": _rows([line for line in lines if line.result.part == part])}
            for part, title in TITLES.items()
            if any(line.result.part == part for line in lines)
        ],
        "plot_alt": PLOT_ALT,
    }
    for file in (PAGE, "comparison.html"):
        (folder / file).write_text(render(f"{file}.jinja", **content), encoding="utf-8")


def _line(result: MethodResult, data: ComparedData) -> _Line:
    evaluation = metrics.evaluate(result.probabilities, data.truth, data.labels, data.positive, 0.5, groups=data.groups)
    overall = evaluation.overall
    figures = {"accuracy": overall.accuracy, "f1": overall.f1, "auc_roc": overall.auc_roc}
    if evaluation.leukaemia:
        figures["leukaemia_auc_roc"] = evaluation.leukaemia.auc_roc
    correct = result.probabilities.argmax(axis=1) == data.truth
    return _Line(result, figures, correct, evaluation.intervals, evaluation.warnings)


def _best(lines: Sequence[_Line]) -> _Line | None:
    """The measured method with the most correct predictions."""
    measured = [line for line in lines if line.result.part == "measured"]
    return max(measured, key=lambda line: int(line.correct.sum()), default=None)


def _tested(lines: Sequence[_Line], best: _Line, groups: np.ndarray) -> list[_Line]:
    """The lines, with p values of every other measured method against the best one, corrected after Holm."""
    others = [line for line in lines if line.result.part == "measured" and line is not best]
    p_mcnemar = paired_tests.holm([paired_tests.mcnemar(best.correct, line.correct) for line in others])
    p_by_group = paired_tests.holm(
        [paired_tests.group_permutation_test(best.correct, line.correct, groups) for line in others]
    )
    tested = {
        line.result.name: replace(line, p_mcnemar=by_image, p_by_group=by_group)
        for line, by_image, by_group in zip(others, p_mcnemar, p_by_group, strict=True)
    }
    return [tested.get(line.result.name, line) for line in lines]


def _paragraphs(lines: Sequence[_Line], best: _Line | None, data: ComparedData) -> list[str]:
    images, groups = len(data.truth), len(np.unique(data.groups))
    sizes = ", ".join(f"{number} {part}" for part, number in data.sizes.items())
    methods = "All methods on the same split:"
    if data.folds > 1:
        methods = f"All methods in the same {data.folds} folds: each is trained {data.folds} times, the first time on"
    paragraphs = [
        f"{methods} {sizes} images. {data.split}.",
        f"In brackets: {lines[0].intervals}. {tables.EXACT_INTERVALS} {images} test images in {groups} groups are one "
        "sample of one data set: overlapping intervals do not distinguish methods, and in another laboratory the order "
        "may differ.",
        "Trained in: includes measuring the training and validation images. Latency: median time from a decoded image "
        f"to its prediction on this machine. Leukaemic classes: {', '.join(data.positive) or 'none known'}.",
    ]
    if best:
        limit = f"; with {groups} groups its p cannot be below {2.0 ** (1 - groups):.3f}" if groups < MIN_GROUPS else ""
        paragraphs.append(
            f"The p values test whether a method is correct as often as the best one ({best.result.title}, chosen on "
            "these test images, which favours it), corrected for their number after Holm. McNemar's test assumes "
            "independent images, which images of one patient are not: rely on the test by group" + limit + "."
        )
    paragraphs += lines[0].warnings
    if any(line.result.part == "scratch" for line in lines):
        paragraphs.append(
            "Networks without available pretrained weights were trained from random weights for a few epochs; they are "
            "listed apart. With an internet connection, the same command uses the pretrained weights."
        )
    return paragraphs


def _rows(lines: Sequence[_Line]) -> tables.Rows:
    """The lines of one part of the table; the first row is the header."""
    figures = lines[0].figures
    header = ["method", *(FIGURES[name] for name in figures), "trained in", "size", "latency"]
    tested = lines[0].result.part == "measured"
    if tested:
        header += ["p against the best: McNemar", "by group"]
    rows: tables.Rows = [(*header, "note")]
    for line in lines:
        result = line.result
        cells = [result.title, *(figure_text(figure) for figure in line.figures.values()), _time(result.train_seconds)]
        cells += [f"{result.megabytes:.1f} MB", f"{result.latency_ms:.1f} ms"]
        if tested:
            cells += [_p_value(line.p_mcnemar), _p_value(line.p_by_group)]
        rows.append((*cells, result.note))
    return rows


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _p_value(value: float | None) -> str:
    if value is None:
        return "best"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _write_csv(lines: Sequence[_Line], file: Path) -> None:
    figures = list(lines[0].figures)
    header = ["name", "title", "part", *(f"{name}{end}" for name in figures for end in ("", "_low", "_high"))]
    header += ["train_seconds", "megabytes", "latency_ms", "p_mcnemar", "p_by_group", "note"]
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(header)
        for line in lines:
            result = line.result
            values = [line.figures[name][end] for name in figures for end in ("value", "low", "high")]
            costs = [result.train_seconds, result.megabytes, result.latency_ms]
            row = [result.name, result.title, result.part, *values, *costs, line.p_mcnemar, line.p_by_group]
            table.writerow([*row, result.note])


def _write_plot(lines: Sequence[_Line], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.28 * len(lines)), layout="constrained")
    for part, colour, label in (("measured", "C0", "compared"), ("scratch", "0.6", "from scratch, not converged")):
        places = [place for place, line in enumerate(lines) if line.result.part == part]
        if places:
            f1 = [lines[place].figures["f1"] for place in places]
            values = np.array([figure["value"] for figure in f1], float)
            ends = np.abs(np.array([[figure["low"], figure["high"]] for figure in f1], float).T - values)
            axes.errorbar(values, places, xerr=ends, fmt="o", color=colour, label=label)
    axes.set_yticks(range(len(lines)), [line.result.title for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{FIGURES['f1']} on the test images, with its 95 % interval")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=130)
    plt.close(figure)

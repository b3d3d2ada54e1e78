"""The plots of an evaluation, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from leuko.evaluation.interval_text import figure_text, value_text
from leuko.reports import tables
from leuko.reports.plot_style import PALETTE, as_png, colour, marker

SMALL = (5.6, 4.9)  # inches
WIDE = (8.2, 4.4)
_SCALING = {"after": "after scaling", "before": "before scaling"}


def draw(
    probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], report: dict[str, Any] | None = None
) -> dict[str, bytes]:
    """Draw all plots but those of the audits; returns PNGs by name.

    Args:
        probabilities: float, N × classes.
        truth: int, N.
        labels: class names.
        report: `leuko.evaluation.metrics.Evaluation.as_json`; without it, calibration and risk are not drawn, and areas
            have no intervals.
    """
    matrix = np.zeros((len(labels), len(labels)), int)
    np.add.at(matrix, (truth, probabilities.argmax(axis=1)), 1)
    drawn = {
        "confusion_matrix": confusion_matrix(matrix, labels),
        "roc": roc(probabilities, truth, labels, report),
        "precision_recall": precision_recall(probabilities, truth, labels, report),
    }
    if report:
        drawn["reliability"] = reliability(report["calibration"])
        drawn["risk_coverage"] = risk_coverage(report["risk_coverage"])
    return drawn


def write(
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    folder: Path,
    report: dict[str, Any] | None = None,
) -> None:
    """Write the plots as PNG files into an existing folder; see `draw` for the arguments."""
    for name, png in draw(probabilities, truth, labels, report).items():
        (folder / f"{name}.png").write_bytes(png)


@as_png
def confusion_matrix(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """Counts, shaded by their share of the true class (the row)."""
    figure = Figure(figsize=SMALL)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(matrix):
        ink = "black" if shares[row, column] > 0.5 else "white"
        axes.text(column, row, f"{number:,}", ha="center", va="center", color=ink)
    axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 5 else 40)
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{matrix.sum():,} images")
    return figure


@as_png
def roc(
    probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], report: dict[str, Any] | None = None
) -> Figure:
    """The ROC curve of each class against the rest."""
    figure = Figure(figsize=SMALL)
    axes = figure.subplots()
    for c, name in _with_both_classes(truth, labels):
        false, true, _ = roc_curve(truth == c, probabilities[:, c])
        axes.plot(false, true, color=colour(c), label=_with_area(name, "auc_roc", auc(false, true), report), lw=1.8)
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="Each class against the rest (area)")
    _legend(axes, "lower right")
    return figure


@as_png
def precision_recall(
    probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], report: dict[str, Any] | None = None
) -> Figure:
    """The precision–recall curve of each class against the rest."""
    figure = Figure(figsize=SMALL)
    axes = figure.subplots()
    for c, name in _with_both_classes(truth, labels):
        precision, recall, _ = precision_recall_curve(truth == c, probabilities[:, c])
        area = average_precision_score(truth == c, probabilities[:, c])
        label = _with_area(name, "auc_pr", area, report)
        axes.step(recall, precision, where="post", color=colour(c), label=label, lw=1.8)
    axes.set(xlabel="recall", ylabel="precision", title="Each class against the rest (area)", ylim=(-0.03, 1.03))
    _legend(axes, "lower left")
    return figure


@as_png
def reliability(calibration: Mapping[str, Any]) -> Figure:
    """Reliability diagrams before and after scaling; the area of a point shows its number of images."""
    kinds = {kind: title for kind, title in _TITLES.items() if kind in calibration}
    figure = Figure(figsize=WIDE if len(kinds) > 1 else SMALL)
    for axes, (kind, title) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        for number, when in enumerate(("before", "after")):
            found = calibration[kind]["diagram"][when]
            error = figure_text(calibration[kind][when]["ece"])
            size = 30 + 120 * np.asarray(found["images"]) / max(sum(found["images"]), 1)
            axes.plot(found["said"], found["so"], color=colour(number), lw=1)
            label = f"{_SCALING[when]} (error {error})"
            axes.scatter(
                found["said"], found["so"], s=size, color=colour(number), marker=marker(number), label=label, alpha=0.8
            )
        perfect = tables.perfect_calibration(calibration[kind]["perfect"]["ece"])
        axes.set(xlabel="probability", ylabel="observed share", ylim=(-0.03, 1.03))
        axes.set_title(f"{title}\n(perfect model: error {perfect})")
        axes.legend(loc="lower right", fontsize=9)
    return figure


_TITLES = {"classes": "The most probable class is right", "leukaemia": "The image shows leukaemia"}


@as_png
def risk_coverage(found: Mapping[str, Any]) -> Figure:
    """Error rate of the most confident predictions, against their share of the images."""
    figure = Figure(figsize=SMALL)
    axes = figure.subplots()
    curve = found["curve"]
    axes.plot(curve["coverage"], curve["risk"], color=PALETTE[0], lw=1.8)
    axes.set(xlabel="coverage: share of the images, most confident first", ylabel="error rate among them", xlim=(0, 1))
    axes.set_ylim(0, max(max(curve["risk"]) * 1.15, 0.02))
    axes.set_title(f"Risk and coverage\n(area {figure_text(found['aurc'])})")
    return figure


@as_png
def robustness(found: Mapping[str, Sequence[float]], unchanged: float) -> Figure:
    """Macro-F1 against the strength of each corruption; the first strength is 0."""
    figure = Figure(figsize=WIDE)
    axes = figure.subplots()
    for number, (name, values) in enumerate(found.items()):
        axes.plot(
            range(len(values) + 1),
            [unchanged, *values],
            color=colour(number),
            marker=marker(number),
            label=name,
            lw=1.6,
        )
    axes.axhline(unchanged - 0.03, color="#444444", ls="--", lw=1, label="3 points lost")
    axes.axvline(3, color="0.8", lw=1)
    axes.set(xlabel="strength (0: unchanged, 3: middle)", ylabel="F1 (macro)", ylim=(0, 1.03))
    axes.legend(loc="lower left", ncols=2)
    return figure


@as_png
def shortcuts(views: Mapping[str, Mapping[str, Any]], chance: float) -> Figure:
    """Macro-F1 of the network and of colour statistics on changed images."""
    figure = Figure(figsize=(WIDE[0], 1.6 + 0.5 * len(views)))
    axes = figure.subplots()
    for number, (who, title) in enumerate((("network", "the network"), ("colour_baseline", "colour statistics alone"))):
        f1 = {place: view[who]["f1"] for place, view in enumerate(views.values()) if view.get(who)}
        if not f1:
            continue
        values = np.array([figure["value"] for figure in f1.values()])
        below = values - [figure["low"] for figure in f1.values()]
        above = [figure["high"] for figure in f1.values()] - values
        axes.errorbar(
            values,
            np.array(list(f1)) + 0.22 * (number - 0.5),
            xerr=np.maximum([below, above], 0),
            ls="",
            marker=marker(number),
            color=colour(number),
            ms=8,
            capsize=3,
            label=title,
        )
    axes.axvline(chance, color="#444444", ls="--", lw=1, label="chance")
    axes.set_yticks(range(len(views)), list(views))
    axes.invert_yaxis()
    axes.set(xlabel="F1 (macro)", xlim=(0, 1.03))
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _with_area(name: str, figure: str, area: float, report: dict[str, Any] | None) -> str:
    """A class with the area under its curve and, if there is a report, the interval."""
    return f"{name}: {figure_text(report['per_class'][name][figure]) if report else value_text(area)}"


def _with_both_classes(truth: np.ndarray, labels: Sequence[str]) -> list[tuple[int, str]]:
    """The classes that some, but not all, images belong to."""
    return [(c, name) for c, name in enumerate(labels) if 0 < (truth == c).sum() < len(truth)]


def _legend(axes: Axes, place: Literal["lower left", "lower right"]) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place)

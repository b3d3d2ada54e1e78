"""Figures of a classifier, each with its uncertainty, and their plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.stats import rankdata
from sklearn import metrics as sk

from leuko.models.classifier import leukaemia_probability

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RESAMPLES = 1000
RESAMPLED = "over images of this test split; images of one patient are alike, so the true uncertainty is larger"


def evaluate(
    probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], positive: Sequence[str], threshold: float
) -> dict[str, Any]:
    """All figures of one test split, ready for JSON.

    Args:
        probabilities: float, N × classes, rows sum to 1.
        truth: int, N.
        labels: class names in the order of the columns.
        positive: the names that mean leukaemia; may be empty, then there are no leukaemia figures.
        threshold: from which probability on an image counts as leukaemia.

    Returns:
        `images`, `accuracy`, `precision`, `recall`, `f1`, `auc_roc` (macro means, each `{"value", "low", "high"}` with
        a 95 % bootstrap interval), `per_class`, `confusion` (rows are the truth), `leukaemia`.
    """
    predicted = probabilities.argmax(axis=1)
    report: dict[str, Any] = {"images": len(truth), "intervals": RESAMPLED}
    report |= _with_intervals(lambda i: _macro(probabilities[i], truth[i]), truth)
    each = sk.precision_recall_fscore_support(truth, predicted, labels=np.arange(len(labels)), zero_division=0)
    report["per_class"] = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "images": int(n)}
        for name, p, r, f, n in zip(labels, *each, strict=True)
    }
    report["confusion"] = sk.confusion_matrix(truth, predicted, labels=np.arange(len(labels))).tolist()
    if 0 < len(positive) < len(labels):
        ill = np.isin(truth, [labels.index(name) for name in positive])
        score = leukaemia_probability(probabilities, labels, positive)
        report["leukaemia"] = {"threshold": threshold}
        report["leukaemia"] |= _with_intervals(lambda i: _two_way(score[i], ill[i], threshold), ill)
    return report


def _macro(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy and macro means; one confusion matrix serves all, since a bootstrap asks a thousand times."""
    classes = probabilities.shape[1]
    confusion = np.bincount(truth * classes + probabilities.argmax(axis=1), minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    right, said, were = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = right / np.maximum(said, 1), right / np.maximum(were, 1)
    return {
        "accuracy": right.sum() / len(truth),
        "precision": precision.mean(),
        "recall": recall.mean(),
        "f1": (2 * right / np.maximum(said + were, 1)).mean(),
        "auc_roc": np.mean([_auc(column, truth == c) for c, column in enumerate(probabilities.T)]),
    }


def _two_way(score: np.ndarray, ill: np.ndarray, threshold: float) -> dict[str, float]:
    called = score >= threshold
    return {"auc_roc": _auc(score, ill), "sensitivity": called[ill].mean(), "specificity": 1 - called[~ill].mean()}


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic (Hanley & McNeil 1982); nan with one class only."""
    n, m = positive.sum(), (~positive).sum()
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def _with_intervals(
    figures: Callable[[np.ndarray], dict[str, float]], strata: np.ndarray
) -> dict[str, dict[str, float]]:
    """Figures with 95 % percentile bootstrap intervals; resampled within classes, so that none vanishes."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    draws = [figures(np.concatenate([rng.choice(rows, len(rows)) for rows in members])) for _ in range(RESAMPLES)]
    intervals = {}
    for name, value in figures(np.arange(len(strata))).items():
        low, high = np.quantile([draw[name] for draw in draws], [0.025, 0.975])
        intervals[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return intervals


def as_text(report: dict[str, Any], labels: Sequence[str]) -> str:
    """The figures as lines for a terminal or, being Markdown, for a card."""
    names = {
        "accuracy": "Accuracy",
        "precision": "Precision (macro)",
        "recall": "Recall (macro)",
        "f1": "F1 (macro)",
        "auc_roc": "AUC-ROC (one against rest, macro)",
    }
    lines = [f"| figure ({report['images']} test images) | value | 95 % interval |", "|---|---|---|"]
    rows = [(title, report[key]) for key, title in names.items()]
    if "leukaemia" in report:
        ill = report["leukaemia"]
        at = f"at {ill['threshold']:.3f}"
        rows += [
            ("Leukaemia: AUC-ROC", ill["auc_roc"]),
            (f"Leukaemia: sensitivity {at}", ill["sensitivity"]),
            (f"Leukaemia: specificity {at}", ill["specificity"]),
        ]
    lines += [f"| {t} | {v['value']:.3f} | {v['low']:.3f} to {v['high']:.3f} |" for t, v in rows]
    lines += ["", "| truth ↓ answer → | " + " | ".join(labels) + " | recall |", "|---" * (len(labels) + 2) + "|"]
    for name, row in zip(labels, report["confusion"], strict=True):
        cells = " | ".join(str(n) for n in row)
        lines.append(f"| {name} | {cells} | {report['per_class'][name]['recall']:.3f} |")
    return "\n".join(lines)


def plot(probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], folder: Path) -> None:
    """Write `confusion_matrix.png` and `roc.png` into an existing folder."""
    figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
    sk.ConfusionMatrixDisplay.from_predictions(
        truth,
        probabilities.argmax(axis=1),
        labels=np.arange(len(labels)),
        display_labels=labels,
        cmap="cividis",
        colorbar=False,
        ax=axes,
    )
    axes.set(xlabel="Network", ylabel="Truth", title=f"{len(truth)} test images")
    figure.savefig(folder / "confusion_matrix.png", dpi=150)
    plt.close(figure)

    figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
    for column, name in enumerate(labels):
        false, true, _ = sk.roc_curve(truth == column, probabilities[:, column])
        axes.plot(false, true, label=f"{name} ({sk.auc(false, true):.3f})")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", title="Each class against the rest (AUC)")
    axes.legend(loc="lower right")
    figure.savefig(folder / "roc.png", dpi=150)
    plt.close(figure)

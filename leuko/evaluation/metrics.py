"""Figures of a classifier, each with its uncertainty, and their plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
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
    classes = np.arange(len(labels))

    def macro(score: Callable[..., Any]) -> Callable[[np.ndarray], float]:
        return lambda i: score(truth[i], predicted[i], labels=classes, average="macro", zero_division=0)

    everything = {
        "accuracy": lambda i: sk.accuracy_score(truth[i], predicted[i]),
        "precision": macro(sk.precision_score),
        "recall": macro(sk.recall_score),
        "f1": macro(sk.f1_score),
        "auc_roc": lambda i: _auc(truth[i], probabilities[i]),
    }
    each = sk.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    report: dict[str, Any] = {"images": len(truth), "intervals": RESAMPLED}
    report |= {name: _with_interval(score, truth) for name, score in everything.items()}
    report["per_class"] = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "images": int(n)}
        for name, p, r, f, n in zip(labels, *each, strict=True)
    }
    report["confusion"] = sk.confusion_matrix(truth, predicted, labels=classes).tolist()
    if 0 < len(positive) < len(labels):
        ill = np.isin(truth, [labels.index(name) for name in positive])
        score = leukaemia_probability(probabilities, labels, positive)
        called = score >= threshold
        report["leukaemia"] = {
            "auc_roc": _with_interval(lambda i: float(sk.roc_auc_score(ill[i], score[i])), ill),
            "threshold": threshold,
            "sensitivity": _with_interval(lambda i: float(called[i][ill[i]].mean()), ill),
            "specificity": _with_interval(lambda i: float(1 - called[i][~ill[i]].mean()), ill),
        }
    return report


def _auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over the classes of one against the rest, as scikit-learn's `ovr` macro average."""
    return float(np.mean([sk.roc_auc_score(truth == c, p) for c, p in enumerate(probabilities.T)]))


def _with_interval(score: Callable[[np.ndarray], float], strata: np.ndarray) -> dict[str, float]:
    """The score and its 95 % percentile bootstrap interval; resampled within classes, so that none vanishes."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    draws = [score(np.concatenate([rng.choice(rows, len(rows)) for rows in members])) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": float(score(np.arange(len(strata)))), "low": float(low), "high": float(high)}


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

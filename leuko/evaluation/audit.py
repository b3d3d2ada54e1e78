"""Shortcuts: how far one gets without looking at a single cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leuko.data.split import Split


def colour_baseline(
    training: np.ndarray, training_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> dict[str, float]:
    """Five nearest neighbours on colour statistics alone: what any accuracy must be read against.

    Of fewer than five training images, all are asked.

    Args:
        training, test: float, N × 9, from `leuko.images.stain.colour_statistics`.
        training_labels, test_labels: int, N.

    Returns:
        `accuracy` and macro `f1` on the test images.
    """
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier(min(5, len(training)))).fit(
        training, training_labels
    )
    return _figures(test_labels, neighbours.predict(test))


def shortcuts(
    views: Mapping[str, np.ndarray], labels: np.ndarray, splits: Sequence[Split]
) -> dict[str, dict[str, dict[str, float]]]:
    """How far five nearest neighbours get on views of the images that hold no cells, over several splits.

    Args:
        views: by name, float, N × D: colour statistics, image borders, scale-bar corners, …
        labels: int, N.
        splits: two or more, over the same rows; the training part learns, the test part is asked.

    Returns:
        For each view, and for `majority` (always the largest class of the training part): `accuracy` and macro `f1`,
        each `{"value", "low", "high"}`: the mean over the splits with its 95 % interval.
    """
    labels = np.asarray(labels)
    answers = {name: [_ask(view, labels, split) for split in splits] for name, view in views.items()}
    majority = []
    for split in splits:
        largest = np.bincount(labels[split.train]).argmax()
        majority.append(_figures(labels[split.test], np.full(len(split.test), largest)))
    answers["majority"] = majority
    share = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    return {
        name: {figure: mean_interval([answer[figure] for answer in each], share) for figure in ("accuracy", "f1")}
        for name, each in answers.items()
    }


def mean_interval(values: Sequence[float], test_share: float) -> dict[str, float]:
    """Mean over repeated splits with its 95 % interval.

    Training sets overlap, so the variance is corrected after Nadeau & Bengio 2003, doi:10.1023/A:1024068626366.

    Args:
        values: one figure for each split, 0 to 1, at least two.
        test_share: test rows for each training row.

    Returns:
        `value`, `low`, `high`, within 0 to 1.
    """
    mean, sd, n = float(np.mean(values)), float(np.std(values, ddof=1)), len(values)
    half = float(student.ppf(0.975, n - 1)) * sd * (1 / n + test_share) ** 0.5
    return {"value": mean, "low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}


def _ask(view: np.ndarray, labels: np.ndarray, split: Split) -> dict[str, float]:
    return colour_baseline(view[split.train], labels[split.train], view[split.test], labels[split.test])


def _figures(truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(truth, answer)),
        "f1": float(f1_score(truth, answer, average="macro")),
    }

"""Shortcuts: how far one gets without looking at a single cell."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def colour_baseline(
    training: np.ndarray, training_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> dict[str, float]:
    """Five nearest neighbours on colour statistics alone: what any accuracy must be read against.

    Args:
        training, test: float, N × 9, from `leuko.images.stain.colour_statistics`.
        training_labels, test_labels: int, N.

    Returns:
        `accuracy` and macro `f1` on the test images.
    """
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier(5)).fit(training, training_labels)
    answer = neighbours.predict(test)
    return {
        "accuracy": float(accuracy_score(test_labels, answer)),
        "f1": float(f1_score(test_labels, answer, average="macro")),
    }

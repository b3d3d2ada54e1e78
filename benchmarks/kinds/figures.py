"""Figures of cells whose kind is known, with 95 % intervals by resampling groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from leuko.cells.kinds.names import KINDS
from leuko.stats.bootstrap import Bootstrap, Estimand, Interval

BINS = 10


def accuracy(
    probabilities: np.ndarray, kinds: np.ndarray, groups: np.ndarray, among: Sequence[str] = KINDS
) -> dict[str, Interval]:
    """Balanced accuracy and expected calibration error of N cells.

    Args:
        probabilities: float, N × 8.
        kinds: int, N, of `KINDS`.
        groups: N, resampled together.
        among: the kinds that answers are taken from; probabilities are rescaled to them.
    """
    codes = [KINDS.index(kind) for kind in among]
    shares = probabilities[:, codes] / np.maximum(probabilities[:, codes].sum(axis=1, keepdims=True), 1e-9)
    found, sure = np.array(codes)[shares.argmax(axis=1)], shares.max(axis=1)
    right = (found == kinds).astype(float)
    present = np.unique(kinds)

    def balanced(weights: np.ndarray) -> Estimand:
        of_kind = [weights[:, kinds == kind] for kind in present]
        recalls = [
            (w @ right[kinds == kind]) / np.maximum(w.sum(axis=1), 1e-9)
            for w, kind in zip(of_kind, present, strict=True)
        ]
        return Estimand.bounded(np.mean(recalls, axis=0))

    def calibration(weights: np.ndarray) -> Estimand:
        places = np.minimum((sure * BINS).astype(int), BINS - 1)
        error = np.zeros(len(weights))
        for place in range(BINS):
            there = places == place
            error += np.abs(weights[:, there] @ (right - sure)[there])
        return Estimand.upward_biased(error / weights.sum(axis=1))

    bootstrap = Bootstrap(kinds, groups)
    return bootstrap.intervals(lambda w: {"balanced_accuracy": balanced(w), "ece": calibration(w)})


def auc(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> Interval:
    """Area under the ROC curve: float, N; bool, N; N."""

    def of(weights: np.ndarray) -> dict[str, Estimand]:
        values = [
            roc_auc_score(positive, scores, sample_weight=w) if (w[positive] > 0).any() and (w[~positive] > 0).any()
            else np.nan
            for w in weights
        ]  # fmt: skip
        return {"auc": Estimand.auc(np.array(values), weights @ positive, weights @ ~positive)}

    return Bootstrap(positive.astype(int), groups).intervals(of)["auc"]


def confusion(probabilities: np.ndarray, kinds: np.ndarray) -> list[list[int]]:
    """How often each kind (rows) is taken for each (columns), in the order of `KINDS`."""
    table = np.zeros((len(KINDS), len(KINDS)), int)
    np.add.at(table, (kinds, probabilities.argmax(axis=1)), 1)
    return table.tolist()

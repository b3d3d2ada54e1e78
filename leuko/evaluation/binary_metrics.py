"""Figures of leukaemia against no leukaemia, and of the decisions, under weights of the images.

As in `leuko.evaluation.class_metrics`, weights are float32, B × N.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from leuko.evaluation.class_metrics import Estimands, matthews_correlation
from leuko.stats.bootstrap import Estimand
from leuko.stats.ranking_metrics import Ranking

# Undefined unless there are images with and without leukaemia: they would be 0 or 1 for any prediction.
NEED_BOTH = ("precision", "negative_predictive_value", "f1", "balanced_accuracy", "mcc")


class Decisions(NamedTuple):
    """The findings of a model on N images, without the class probabilities.

    Attributes:
        decision: str, N: "suspicious", "not suspicious" or "uncertain".
        in_distribution: bool, N: whether the images resemble the training images.
        usable: bool, N: whether the image quality is sufficient.
        leukaemia: float, N, 0 to 1: probability of leukaemia; it may rest on more than the class probabilities.
    """

    decision: np.ndarray
    in_distribution: np.ndarray
    usable: np.ndarray
    leukaemia: np.ndarray


def leukaemia_figures(weights: np.ndarray, score: np.ndarray, threshold: float, has_leukaemia: np.ndarray) -> Estimands:
    """Figures at a threshold, and the areas under the curves.

    Args:
        weights: float32, B × N.
        score: float, N: probability of leukaemia.
        threshold: from this probability on, an image is predicted as leukaemia.
        has_leukaemia: bool, N: the truth.
    """
    predicted = score >= threshold
    cells = np.stack(
        [
            predicted & has_leukaemia,
            predicted & ~has_leukaemia,
            ~predicted & has_leukaemia,
            ~predicted & ~has_leukaemia,
        ],
        axis=1,
    )
    tp, fp, fn, tn = (weights @ cells.astype(np.float32)).astype(np.float64).T
    sensitivity, specificity = Estimand.proportion(tp, tp + fn), Estimand.proportion(tn, tn + fp)
    ranking = Ranking(score)
    figures: Estimands = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": Estimand.proportion(tp + tn, tp + fp + fn + tn),
        "precision": Estimand.proportion(tp, tp + fp),
        "negative_predictive_value": Estimand.proportion(tn, tn + fn),
        "f1": Estimand.proportion(tp, tp + (fp + fn) / 2),
        "balanced_accuracy": Estimand.bounded((sensitivity.values + specificity.values) / 2),
        "mcc": Estimand.bounded(matthews_correlation(np.stack([tp, fn, fp, tn], axis=1).reshape(-1, 2, 2)), -1.0, 1.0),
        "auc_roc": Estimand.auc(
            ranking.auc_roc(weights, has_leukaemia), weights @ has_leukaemia, weights @ ~has_leukaemia
        ),
        "auc_pr": Estimand.bounded(ranking.auc_pr(weights, has_leukaemia)),
    }
    if has_leukaemia.all() or not has_leukaemia.any():
        figures |= dict.fromkeys(NEED_BOTH, Estimand.bounded(np.full(len(weights), np.nan)))
    return figures


def decision_figures(weights: np.ndarray, decisions: Decisions, has_leukaemia: np.ndarray | None) -> Estimands:
    """Shares of the images by decision; with the truth (bool, N) also how many of the decided images are correct."""

    def share(part: np.ndarray, whole: np.ndarray | None = None) -> Estimand:
        among = np.ones(len(part), bool) if whole is None else whole
        return Estimand.proportion(weights @ (part & among), weights @ among.astype(np.float32))

    suspicious, decided = decisions.decision == "suspicious", decisions.decision != "uncertain"
    figures: Estimands = {
        "coverage": share(decided),
        "suspicious": share(suspicious),
        "unfamiliar": share(~decisions.in_distribution),
        "unusable": share(~decisions.usable),
    }
    if has_leukaemia is not None:
        figures |= {
            "coverage_positive": share(decided, has_leukaemia),
            "coverage_negative": share(decided, ~has_leukaemia),
            "right": share(suspicious == has_leukaemia, decided),
            "sensitivity": share(suspicious, decided & has_leukaemia),
            "specificity": share(~suspicious, decided & ~has_leukaemia),
        }
    return figures

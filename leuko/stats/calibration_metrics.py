"""Calibration metrics: expected calibration error, Brier score, and the error that chance alone causes.

The expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599) is the mean difference, over
bins, between the mean probability of the predictions and the share of them that are right. Bins of equal mass are
reported: on smears nearly all probabilities are above 0.95, so one of 15 bins of equal width holds nearly all images
and hides the rest, and bins of equal mass are less biased (Nixon et al. 2019, arXiv:1904.01685; Roelofs et al. 2022,
arXiv:2012.08668). The error in bins of equal width is given beside it, for comparison with other work. Both are above
zero even for perfect probabilities, the more so the fewer the images; therefore the error of a perfect model on as many
images is simulated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from leuko.stats.bootstrap import Estimand, Estimands
from leuko.stats.proportions import TAIL

BINS = 15  # as most publications use
SIMULATED = 1000  # perfectly calibrated models; enough for a stable 95 % range

HOW = (
    f"Expected calibration error in {BINS} bins of equal mass (ece) and of equal width (ece_equal_width); perfect: "
    f"what a perfectly calibrated model would show on as many images (mean and 95 % range of {SIMULATED} simulations)"
)


class BinaryPredictions(NamedTuple):
    """Predictions with a probability, and whether they are right.

    Attributes:
        probability: float, N, 0 to 1.
        outcome: bool, N: whether the predicted event is true.
        squares: float, N: each image's part of the Brier score (Brier 1950).
        worst: the largest possible value of these.
    """

    probability: np.ndarray
    outcome: np.ndarray
    squares: np.ndarray
    worst: float


def unscaled_probabilities(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities, N × classes, of a network before its logits were divided by a temperature."""
    return np.exp(log_softmax(temperature * np.log(np.maximum(probabilities, 1e-300)), axis=1))


def top_class_predictions(probabilities: np.ndarray, truth: np.ndarray) -> BinaryPredictions:
    """The prediction that the most probable class is the right one.

    Args:
        probabilities: float, N × classes; the Brier score is that of all classes, 0 to 2.
        truth: int, N.
    """
    squares = ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1)
    return BinaryPredictions(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, squares, 2.0)


def leukaemia_predictions(probability: np.ndarray, positive: np.ndarray) -> BinaryPredictions:
    """The prediction that an image shows leukaemia: probability, float, N, and truth, bool, N; Brier score 0 to 1."""
    return BinaryPredictions(probability, positive, (probability - positive) ** 2, 1.0)


def bins(probability: np.ndarray, equal_mass: bool = True) -> np.ndarray:
    """The bin of each probability, int, N; equal probabilities share a bin, so there may be fewer than `BINS`."""
    inner = np.arange(1, BINS) / BINS
    return np.searchsorted(np.unique(np.quantile(probability, inner)) if equal_mass else inner, probability, "right")


def calibration_error(predictions: BinaryPredictions, weights: np.ndarray, equal_mass: bool = True) -> np.ndarray:
    """Expected calibration error under B weightings of N images, B × N; float, B, 0 to 1."""
    which = bins(predictions.probability, equal_mass)
    gap = predictions.outcome - predictions.probability
    difference = weights @ (np.eye(which.max() + 1)[which] * gap[:, None])
    return np.abs(difference).sum(axis=1) / weights.sum(axis=1)


def estimands(predictions: BinaryPredictions, weights: np.ndarray) -> Estimands:
    """Calibration errors and Brier score under B weightings of N images, B × N."""
    return {
        "ece": Estimand.upward_biased(calibration_error(predictions, weights)),
        "ece_equal_width": Estimand.upward_biased(calibration_error(predictions, weights, equal_mass=False)),
        "brier": Estimand.bounded(weights @ predictions.squares / weights.sum(axis=1), 0.0, predictions.worst),
    }


def simulate_perfect_calibration(probability: np.ndarray) -> dict[str, dict[str, float]]:
    """The calibration errors of a perfectly calibrated model on as many images.

    Truths are drawn from the probabilities (float, N), image by image. Where images come in groups that are right or
    wrong together, chance causes larger errors.

    Returns:
        `ece` and `ece_equal_width`: `value` (mean), `low` and `high` (95 % of the simulations).
    """
    rng = np.random.default_rng(0)
    result = {}
    for name, equal_mass in (("ece", True), ("ece_equal_width", False)):
        which = bins(probability, equal_mass)
        drawn = rng.random((SIMULATED, len(probability)), dtype=np.float32) < probability
        difference = (drawn - probability) @ np.eye(which.max() + 1)[which]
        errors = np.abs(difference).sum(axis=1) / len(probability)
        low, high = np.quantile(errors, [TAIL, 1 - TAIL])
        result[name] = {"value": float(errors.mean()), "low": float(low), "high": float(high)}
    return result


def reliability_diagram(predictions: BinaryPredictions) -> dict[str, list[float]]:
    """The reliability diagram (DeGroot & Fienberg 1983).

    Returns:
        For each bin of equal mass: `said` (mean probability), `so` (share of true events) and `images`. The names are
        those of `metrics.json` in model folders.
    """
    which = bins(predictions.probability)
    present = np.unique(which)
    return {
        "said": [float(predictions.probability[which == b].mean()) for b in present],
        "so": [float(predictions.outcome[which == b].mean()) for b in present],
        "images": [int((which == b).sum()) for b in present],
    }

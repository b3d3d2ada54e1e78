"""Whether probabilities mean what they say: calibration error, Brier score, and what chance alone would show.

The expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599) is the mean distance between how
sure the answers of a bin are and how many of them are right. Bins of equal mass are the ones reported: on smears nearly
all answers are surer than 0.95, so that of 15 bins of equal width one holds nearly everything and hides the rest, and
bins of equal mass are less biased (Nixon et al. 2019, arXiv:1904.01685; Roelofs et al. 2022, arXiv:2012.08668). The
error in bins of equal width stands beside it, for comparison with other work. Both are above zero even for perfect
probabilities, the more so the fewer the images; so the error of a perfect model on as many images is simulated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from leuko.stats.bootstrap import Estimand, Estimands
from leuko.stats.proportions import TAIL

BINS = 15
SIMULATED = 1000  # perfectly calibrated models

HOW = (
    f"Expected calibration error in {BINS} bins of equal mass (ece) and of equal width (ece_equal_width); perfect: "
    f"what a perfectly calibrated model would show on as many images (mean and 95 % range of {SIMULATED} simulations)"
)


class BinaryPredictions(NamedTuple):
    """Something that is said with a probability, and whether it was so.

    Attributes:
        probability: float, N, 0 to 1.
        so: bool, N.
        squares: float, N: each image's part of the Brier score (Brier 1950).
        worst: the largest of these that there can be.
    """

    probability: np.ndarray
    so: np.ndarray
    squares: np.ndarray
    worst: float


def unscaled_probabilities(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (N × classes) that a network gave before its logits were divided by `temperature`."""
    return np.exp(log_softmax(temperature * np.log(np.maximum(probabilities, 1e-300)), axis=1))


def top_class_predictions(probabilities: np.ndarray, truth: np.ndarray) -> BinaryPredictions:
    """That the most probable class is the right one, for probabilities N × classes and truth, int, N.

    The Brier score is that of all classes, 0 to 2.
    """
    squares = ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1)
    return BinaryPredictions(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, squares, 2.0)


def leukaemia_predictions(probability: np.ndarray, ill: np.ndarray) -> BinaryPredictions:
    """That an image shows leukaemia, for its probability, float, N, and the truth, bool, N; Brier score 0 to 1."""
    return BinaryPredictions(probability, ill, (probability - ill) ** 2, 1.0)


def bins(probability: np.ndarray, equal_mass: bool = True) -> np.ndarray:
    """The bin of each probability, int, N; equal probabilities share a bin, so that there may be fewer than `BINS`."""
    inner = np.arange(1, BINS) / BINS
    return np.searchsorted(np.unique(np.quantile(probability, inner)) if equal_mass else inner, probability, "right")


def calibration_error(statement: BinaryPredictions, weights: np.ndarray, equal_mass: bool = True) -> np.ndarray:
    """Expected calibration error under B weightings of N images, B × N; float, B, 0 to 1."""
    which = bins(statement.probability, equal_mass)
    gap = statement.so - statement.probability
    off = weights @ (np.eye(which.max() + 1)[which] * gap[:, None])
    return np.abs(off).sum(axis=1) / weights.sum(axis=1)


def estimands(statement: BinaryPredictions, weights: np.ndarray) -> Estimands:
    """Calibration errors and Brier score under B weightings of N images, B × N."""
    return {
        "ece": Estimand.upward_biased(calibration_error(statement, weights)),
        "ece_equal_width": Estimand.upward_biased(calibration_error(statement, weights, equal_mass=False)),
        "brier": Estimand.bounded(weights @ statement.squares / weights.sum(axis=1), 0.0, statement.worst),
    }


def simulate_perfect_calibration(probability: np.ndarray) -> dict[str, dict[str, float]]:
    """The calibration errors of a model whose every word is true, on as many images.

    Truths are drawn from the probabilities (float, N) themselves, image by image; where images come in groups that are
    right or wrong together, chance does more.

    Returns:
        `ece` and `ece_equal_width`: `value` (mean), `low` and `high` (95 % of the simulations).
    """
    rng = np.random.default_rng(0)
    found = {}
    for name, equal_mass in (("ece", True), ("ece_equal_width", False)):
        which = bins(probability, equal_mass)
        drawn = rng.random((SIMULATED, len(probability)), dtype=np.float32) < probability
        off = (drawn - probability) @ np.eye(which.max() + 1)[which]
        errors = np.abs(off).sum(axis=1) / len(probability)
        low, high = np.quantile(errors, [TAIL, 1 - TAIL])
        found[name] = {"value": float(errors.mean()), "low": float(low), "high": float(high)}
    return found


def reliability_diagram(statement: BinaryPredictions) -> dict[str, list[float]]:
    """The reliability diagram (DeGroot & Fienberg 1983): for each bin of equal mass what was said, and what was so."""
    which = bins(statement.probability)
    held = np.unique(which)
    return {
        "said": [float(statement.probability[which == b].mean()) for b in held],
        "so": [float(statement.so[which == b].mean()) for b in held],
        "images": [int((which == b).sum()) for b in held],
    }

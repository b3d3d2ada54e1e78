"""From scores to statements: temperature, operating point, abstention, and knowing what was seen in training.

Everything here is fitted on validation images and stored in `leuko.json`; nothing is fitted on a test split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Decision = Literal["suspicious", "not suspicious", "uncertain"]

SENSITIVITY = 0.98
SPECIFICITY = 0.98
PRIOR = 0.3  # standard deviation of log T
CLEAR_ODDS = 3.0  # a probability within 1:3 and 3:1 is no answer, however well two classes were told apart
FAMILIAR = 0.99  # share of validation images that must count as seen before


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The most probable temperature.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599, section 4.2, with a normal prior on
    log T: on a validation split without a single error the likelihood alone grows without end as T goes to 0, and the
    network would be made certain of everything because few images were at hand.

    Args:
        logits: float, N × classes.
        labels: int, N, 0 to classes − 1.

    Returns:
        T, by which logits are to be divided.
    """

    def loss(log_t: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].sum()
        return (log_t / PRIOR) ** 2 / 2 - likelihood

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


@dataclass(frozen=True)
class OperatingPoint:
    """How a leukaemia probability becomes a decision.

    Attributes:
        threshold: two-way decision: suspicious at or above it.
        abstain: (low, high): below low not suspicious, at or above high suspicious, uncertain between.
        chosen: how, in words.
    """

    threshold: float
    abstain: tuple[float, float]
    chosen: str

    @classmethod
    def fit(cls, probability: np.ndarray, positive: np.ndarray) -> OperatingPoint:
        """Choose the operating point on validation images.

        The threshold is the largest one up to 0.5 that finds 98 % of the positives. The upper bound is the smallest
        from 0.5 up that clears 98 % of the negatives; between the bounds lie at least all odds from 1:3 to 3:1.

        Args:
            probability: float, N, calibrated probability of leukaemia, 0 to 1.
            positive: bool, N.
        """
        threshold = high = 0.5
        if positive.any():
            threshold = min(threshold, float(np.quantile(probability[positive], 1 - SENSITIVITY, method="lower")))
        if not positive.all():
            cleared = float(np.quantile(probability[~positive], SPECIFICITY, method="higher"))
            high = max(high, float(np.nextafter(cleared, 1)))
        low = min(threshold, 1 / (1 + CLEAR_ODDS))
        high = max(high, CLEAR_ODDS / (1 + CLEAR_ODDS))
        return cls(
            threshold,
            (low, high),
            f"the largest threshold up to 0.5 with a sensitivity of {SENSITIVITY} on {len(probability)} validation "
            f"images; the upper bound clears {SPECIFICITY} of those without leukaemia",
        )

    def decide(self, probability: float) -> Decision:
        """The decision for one leukaemia probability, 0 to 1."""
        low, high = self.abstain
        if probability < low:
            return "not suspicious"
        return "suspicious" if probability >= high else "uncertain"

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> OperatingPoint:
        """Read what `as_json` wrote."""
        return cls(stored["threshold"], tuple(stored["abstain"]), stored["chosen"])


@dataclass(frozen=True)
class Familiarity:
    """How far an image's features lie from those of the training images.

    The distance is the root mean square of the features' deviations, each in units of its standard deviation over
    the training images: the Mahalanobis distance with a diagonal covariance (Lee et al. 2018, arXiv:1807.03888).

    Attributes:
        mean, spread: float32, features.
        bound: distance up to which an image counts as in distribution.
    """

    mean: np.ndarray
    spread: np.ndarray
    bound: float

    @classmethod
    def fit(cls, training: np.ndarray, validation: np.ndarray) -> Familiarity:
        """Statistics from training features (N × features), the bound from validation features."""
        mean = training.mean(axis=0)
        # A feature that never moved in training must not turn a small change into an infinite distance.
        spread = np.maximum(training.std(axis=0), 0.1 * training.std() + 1e-6)
        loose = cls(mean.astype(np.float32), spread.astype(np.float32), np.inf)
        return cls(loose.mean, loose.spread, float(np.quantile(loose.distance(validation), FAMILIAR)))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance of features, … × features, float; 1 is typical of the training images."""
        return np.sqrt((((features - self.mean) / self.spread) ** 2).mean(axis=-1))

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`, to 4 significant digits."""
        return {
            "mean": [float(f"{v:.4g}") for v in self.mean],
            "spread": [float(f"{v:.4g}") for v in self.spread],
            "bound": self.bound,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Familiarity:
        """Read what `as_json` wrote."""
        return cls(np.float32(stored["mean"]), np.float32(stored["spread"]), stored["bound"])

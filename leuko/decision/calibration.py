"""Calibration of a network: temperature, operating point and abstention bounds.

Everything here is fitted on validation images and stored in `leuko.json`; nothing is fitted on a test split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from leuko.decision.cell_score import CLEAR_ODDS, Decision

SENSITIVITY = 0.98
SPECIFICITY = 0.98
PRIOR = 0.3  # standard deviation of log T


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

    from scipy.optimize import minimize_scalar  # late: half a second, and serving fits nothing

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
        low, high = stored["abstain"]
        return cls(stored["threshold"], (low, high), stored["chosen"])

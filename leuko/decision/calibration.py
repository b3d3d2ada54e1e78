"""Calibration of a network: temperature, operating point and abstention bounds.

Everything here is fitted on validation images and stored in `leuko.json`; nothing is fitted on a test split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from leuko.decision.cell_score import CLEAR_ODDS, Decision

SENSITIVITY = 0.98  # of the two-way threshold on validation images; one missed case in fifty
SPECIFICITY = 0.98  # of the upper abstention bound on validation images
LOG_TEMPERATURE_SD = 0.3  # of the prior: T is 0.55 to 1.8 in 95 of 100 networks


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature by which logits are divided to calibrate them (maximum a posteriori).

    Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599, section 4.2, with a normal prior on
    log T: on a validation split without a single error the likelihood alone grows without limit as T goes to 0, and the
    network would become certain of everything because the images were few.

    Args:
        logits: float, N × classes.
        labels: int, N, 0 to classes − 1.

    Returns:
        T, above 0.
    """
    from scipy.optimize import minimize_scalar  # imported late: it takes half a second, and serving fits nothing

    def loss(log_t: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].sum()
        return (log_t / LOG_TEMPERATURE_SD) ** 2 / 2 - likelihood

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


@dataclass(frozen=True)
class OperatingPoint:
    """How a leukaemia probability becomes a decision.

    Attributes:
        threshold: of the two-way decision: suspicious at or above it.
        abstain: low and high: not suspicious below low, suspicious from high on, uncertain between.
        chosen: how the point was chosen, in words.
    """

    threshold: float
    abstain: tuple[float, float]
    chosen: str

    @classmethod
    def fit(cls, probability: np.ndarray, positive: np.ndarray) -> OperatingPoint:
        """Choose the operating point on validation images.

        The threshold is the largest one up to 0.5 with a sensitivity of 98 %. The upper bound is the smallest one from
        0.5 on with a specificity of 98 %. Between the bounds lie at least all odds from 1:3 to 3:1.

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

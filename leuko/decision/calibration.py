"""From scores to statements: temperature, operating point, abstention, and knowing what was seen in training.

Everything here is fitted on validation images and stored in `leuko.json`; nothing is fitted on a test split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import log_softmax

from leuko.decision.cell_score import CLEAR_ODDS, Decision

SENSITIVITY = 0.98
SPECIFICITY = 0.98
PRIOR = 0.3  # standard deviation of log T
DIRECTIONS = 16  # in which features vary most within a class
FAMILIAR = 0.97  # share of validation images that must count as seen before; a bound nearer to the last ones is chance


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


@dataclass(frozen=True)
class MahalanobisOOD:
    """How far the direction of an image's features lies from those of the training images.

    The distance is that of Mahalanobis from the nearest class (Lee et al. 2018, arXiv:1807.03888), over the square root
    of the number of features. Features are first given length 1 (Mueller & Hein, "Mahalanobis++", 2025,
    arXiv:2505.18032): what a network does not know makes all its features small, and small features lie near every
    mean. The covariance within the classes is that of probabilistic principal components (Tipping & Bishop 1999,
    doi:10.1111/1467-9868.00196): a variance along each of a few directions, and one for all the rest.

    Attributes:
        mean: float32, classes × features; a single row where classes were not told apart.
        directions: float32, directions × features; rows of length 1, at right angles to one another.
        variance: float32, directions + 1: along each of them, and of the rest.
        bound: distance up to which an image counts as in distribution.
    """

    mean: np.ndarray
    directions: np.ndarray
    variance: np.ndarray
    bound: float

    @classmethod
    def fit(cls, training: np.ndarray, validation: np.ndarray, labels: np.ndarray | None = None) -> MahalanobisOOD:
        """Statistics from training features (N × features), the bound from validation features.

        Args:
            training, validation: float, N × features.
            labels: int, N, the classes of the training images; None: all are taken together.
        """
        training = _direction(training)
        number = np.zeros(len(training), int) if labels is None else np.unique(labels, return_inverse=True)[1]
        mean = np.stack([training[number == c].mean(axis=0) for c in range(number.max() + 1)])
        _, size, directions = np.linalg.svd(training - mean[number], full_matrices=False)
        free = max(len(training) - len(mean), 1)
        variance = size**2 / free
        count = min(DIRECTIONS, free // 2, (training.shape[1] - 1) // 2)  # of few images, half of what they span
        rest = variance[count:].sum() / (training.shape[1] - count)
        # Features that never moved in training must not turn a small change into an infinite distance.
        variance = np.append(variance[:count] + rest, rest) + 1e-9
        loose = cls(mean.astype(np.float32), directions[:count].astype(np.float32), variance.astype(np.float32), np.inf)
        return replace(loose, bound=float(np.quantile(loose.distance(validation), FAMILIAR)))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance of features, … × features, float; about 1 is typical of the training images."""
        off = _direction(features)[..., None, :] - self.mean
        along = (off @ self.directions.T) ** 2
        rest = (off**2).sum(axis=-1) - along.sum(axis=-1)
        squares = (along / self.variance[:-1]).sum(axis=-1) + np.maximum(rest, 0) / self.variance[-1]
        return np.sqrt(squares.min(axis=-1) / self.mean.shape[-1])

    def knows(self, features: np.ndarray) -> np.ndarray:
        """Whether features, … × features, are in distribution; bool, …."""
        return self.distance(features) <= self.bound

    def as_json(self) -> dict[str, Any]:
        """As stored in `leuko.json`, to 4 significant digits."""
        rows = {"mean": self.mean, "directions": self.directions, "variance": self.variance[None]}
        # A text of numbers a row: as lists, they would be tens of thousands of lines.
        texts = {name: [" ".join(f"{v:.4g}" for v in row) for row in values] for name, values in rows.items()}
        return texts | {"bound": self.bound}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> MahalanobisOOD:
        """Read what `as_json` wrote.

        Raises:
            ValueError: it is not what `as_json` writes.
        """
        mean, directions, variance = (_numbers(stored[name]) for name in ("mean", "directions", "variance"))
        directions = directions.reshape(-1, mean.shape[1])
        if variance.shape != (1, len(directions) + 1):
            raise ValueError("there is not one variance for each direction and one for the rest")
        return cls(mean, directions, variance[0], stored["bound"])


def _direction(features: np.ndarray) -> np.ndarray:
    """Features, … × features, at length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def _numbers(rows: list[str]) -> np.ndarray:
    """Rows of numbers written as text; float32, rows × numbers."""
    if not all(isinstance(row, str) for row in rows):
        raise ValueError("these are not rows of numbers as text")
    return np.array([row.split() for row in rows], np.float32).reshape(len(rows), -1 if rows else 0)

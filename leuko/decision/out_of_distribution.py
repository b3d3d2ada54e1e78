"""Out-of-distribution detection: whether an image resembles the training images of a network.

By its features: their statistics come from training images, the bound from validation images, and both are stored in
`leuko.json`. And by the size of its cells (`leuko.decision.apparent_cell_size`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leuko.cells.segmentation import Segmentation
from leuko.decision.apparent_cell_size import ScaleRange, um_per_input_px
from leuko.decision.cell_score import lacks_plausible_red_cells

DIRECTIONS = 16  # principal directions within the classes that get a variance of their own; more change little
IN_DISTRIBUTION_SHARE = 0.97  # of validation images; a bound nearer to the last ones would be chance


@dataclass(frozen=True)
class MahalanobisOOD:
    """Mahalanobis distance of an image's features from those of the training images, and its bound.

    The distance is measured from the nearest class (Lee et al. 2018, arXiv:1807.03888), over the square root of the
    number of features. Features are first scaled to length 1 (Mueller & Hein, "Mahalanobis++", 2025, arXiv:2505.18032):
    unknown content makes all features small, and small features lie near every mean. The covariance within the classes
    is that of probabilistic principal components (Tipping & Bishop 1999, doi:10.1111/1467-9868.00196): a variance along
    each of a few directions, and one for all the rest.

    Attributes:
        mean: float32, classes × features; a single row where classes were not distinguished.
        directions: float32, directions × features; orthonormal rows.
        variance: float32, directions + 1: along each direction, and of the rest.
        bound: distance up to which an image is in distribution.
    """

    mean: np.ndarray
    directions: np.ndarray
    variance: np.ndarray
    bound: float

    @classmethod
    def fit(cls, training: np.ndarray, validation: np.ndarray, labels: np.ndarray | None = None) -> MahalanobisOOD:
        """Fit the statistics to training features (N × features) and the bound to validation features.

        Args:
            training: float, N × features.
            validation: float, M × features.
            labels: int, N: the classes of the training images; None: they are not distinguished.
        """
        training = _direction(training)
        number = np.zeros(len(training), int) if labels is None else np.unique(labels, return_inverse=True)[1]
        mean = np.stack([training[number == c].mean(axis=0) for c in range(number.max() + 1)])
        _, size, directions = np.linalg.svd(training - mean[number], full_matrices=False)
        free = max(len(training) - len(mean), 1)
        variance = size**2 / free
        count = min(
            DIRECTIONS, free // 2, (training.shape[1] - 1) // 2
        )  # of few images, half of the dimensions they span
        rest = variance[count:].sum() / (training.shape[1] - count)
        # A feature that is constant in training must not turn a small change into an infinite distance.
        variance = np.append(variance[:count] + rest, rest) + 1e-9
        loose = cls(mean.astype(np.float32), directions[:count].astype(np.float32), variance.astype(np.float32), np.inf)
        return replace(loose, bound=float(np.quantile(loose.distance(validation), IN_DISTRIBUTION_SHARE)))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance of features, … × features, float; about 1 is typical of the training images."""
        offset = _direction(features)[..., None, :] - self.mean
        along = (offset @ self.directions.T) ** 2
        rest = (offset**2).sum(axis=-1) - along.sum(axis=-1)
        squares = (along / self.variance[:-1]).sum(axis=-1) + np.maximum(rest, 0) / self.variance[-1]
        return np.sqrt(squares.min(axis=-1) / self.mean.shape[-1])

    def is_in_distribution(self, features: np.ndarray) -> np.ndarray:
        """Whether features, … × features, are in distribution: bool, …."""
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


def ood_reason(
    detector: MahalanobisOOD,
    features: np.ndarray,
    scale: ScaleRange | None = None,
    segmentation: Segmentation | None = None,
    shape: tuple[int, ...] = (),
    input_size: tuple[int, int] = (0, 0),
) -> str:
    """Why an image is out of distribution for a network, in a few words; empty if it is in distribution.

    Args:
        detector: fitted to the network's training images.
        features: float, of the image.
        scale: at which the network saw its training images; None if unknown: cell size is not checked.
        segmentation: of the image; None: cell size is not checked.
        shape: of the part of the image that the network is shown, height and width first.
        input_size: of the network's input, height and width.
    """
    if segmentation and scale:
        um_per_px = um_per_input_px(segmentation.um_per_px, shape, input_size)
        if um_per_px is None or lacks_plausible_red_cells(segmentation):
            return "unknown cell size: too few sharp red cells; out of focus, or not a smear"
        size = scale.relative_cell_size(um_per_px)
        if size != 1:
            return f"cell size: the cells appear at {100 * size:.0f}\u00a0% of the size in the training images"
    return "" if detector.is_in_distribution(features) else "appearance"


def _direction(features: np.ndarray) -> np.ndarray:
    """Features, … × features, at length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def _numbers(rows: list[str]) -> np.ndarray:
    """Rows of numbers written as text; float32, rows × numbers."""
    if not all(isinstance(row, str) for row in rows):
        raise ValueError("these are not rows of numbers as text")
    return np.array([row.split() for row in rows], np.float32).reshape(len(rows), -1 if rows else 0)

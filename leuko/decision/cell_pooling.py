"""What the cells of a field say together about leukaemia: a Bayes factor from the blast probability of each cell.

Each cell is a blast or not. The share of blasts has one distribution in fields of leukaemia and another in fields
without, both Beta. The Bayes factor compares how well they explain the cells, with the share integrated out, because it
is not known. The likelihood ratio of a single cell is bounded: a network that has not seen a laboratory is surer of it
than it may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

NODES = 64  # of the numerical integration over the share


@dataclass(frozen=True)
class PoolingParameters:
    """The distributions of the share of blasts, and how much one cell says.

    Attributes:
        with_leukaemia, without: of the share of cells that the network takes for blasts: both parameters of a Beta.
        neutral: the blast probability of a cell that says nothing.
        max_ratio: largest likelihood ratio of one cell, and inverse of the least.
    """

    with_leukaemia: tuple[float, float]
    without: tuple[float, float]
    neutral: float
    max_ratio: float


# Least log loss on the fields of `python -m benchmarks.elsewhere fit`.
PARAMETERS = PoolingParameters((2.0, 1.0), (1.0, 2.0), 0.2, 50.0)


def log_bayes_factor(probabilities: np.ndarray, parameters: PoolingParameters = PARAMETERS) -> float:
    """The logarithm of the Bayes factor for leukaemia; 0 without cells.

    Args:
        probabilities: float, N, of a blast, 0 to 1.
        parameters: see `PoolingParameters`.
    """
    odds = probabilities / np.maximum(1 - probabilities, 1e-9)
    ratios = np.clip(
        odds * (1 - parameters.neutral) / parameters.neutral, 1 / parameters.max_ratio, parameters.max_ratio
    )
    shares = (np.arange(NODES) + 0.5) / NODES
    cells = np.log(shares[:, None] * ratios + 1 - shares[:, None]).sum(axis=1)
    with_leukaemia, without = (_log_beta(shares, *prior) for prior in (parameters.with_leukaemia, parameters.without))
    return float(logsumexp(cells + with_leukaemia) - logsumexp(cells + without))


def _log_beta(shares: np.ndarray, a: float, b: float) -> np.ndarray:
    """The logarithm of a Beta density at shares, scaled so that its values sum to 1."""
    logs = (a - 1) * np.log(shares) + (b - 1) * np.log1p(-shares)
    return np.asarray(logs - logsumexp(logs))

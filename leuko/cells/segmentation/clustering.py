"""Three clustering methods for colours behind one interface: fuzzy c-means, k-means, and Otsu's thresholds.

Each method takes colours, the weight of each, and a first guess of the cluster centres. It returns a function that
gives the memberships of any colours in every cluster. The segmentation depends on that function alone, so that methods
can be compared with everything else equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist


@dataclass(frozen=True)
class ClusteringParameters:
    """Parameters of the clustering methods.

    Attributes:
        fuzziness: exponent m of fuzzy c-means, above 1; 2 as Bezdek 1981 proposes.
        max_iterations: far more than the 10 to 30 that colours of smears need.
        tolerance: movement of the centres at which to stop, relative to the spread of the points; finer steps move no
            pixel to another cluster.
        histogram_levels: levels in which Otsu's thresholds are searched, as of an 8-bit image.
    """

    fuzziness: float = 2.0
    max_iterations: int = 100
    tolerance: float = 1e-3
    histogram_levels: int = 256


DEFAULTS = ClusteringParameters()

Memberships = Callable[[np.ndarray], np.ndarray]
ClusteringMethod = Callable[[np.ndarray, np.ndarray, np.ndarray], Memberships]


def fuzzy_c_means(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """Fuzzy c-means: every point belongs to every cluster by a degree (Bezdek 1981, doi:10.1007/978-1-4757-0450-1).

    Args:
        points: float, N × D.
        weights: float, N: the weight of each point.
        start: float, K × D: first guess of the centres; the clusters keep this order.

    Returns:
        A function of points, M × D, that gives their memberships, M × K; rows sum to 1.
    """
    centres = _iterate(points, start, lambda c: weights * _fuzzy(points, c) ** DEFAULTS.fuzziness)
    return lambda colours: fuzzy_memberships(colours, centres)


def k_means(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """k-means: every point belongs to the nearest centre (Lloyd 1982); arguments and result as of `fuzzy_c_means`."""

    def nearest(colours: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return np.eye(len(centres))[cdist(colours, centres, "sqeuclidean").argmin(axis=1)]

    centres = _iterate(points, start, lambda c: weights * nearest(points, c).T)
    return lambda colours: nearest(colours, centres)


def otsu(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """Otsu's thresholds on the line from the first to the last centre (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    K − 1 thresholds separate K clusters. They maximise the variance between the clusters, found by dynamic programming
    over the levels of a histogram (Liao, Chen & Chung 2001 for the criterion). Arguments and result as of
    `fuzzy_c_means`; memberships are 0 or 1.
    """
    levels = DEFAULTS.histogram_levels
    direction = start[-1] - start[0]
    values = points @ direction
    counts, edges = np.histogram(values, levels, weights=weights)
    count_below = np.concatenate([[0], np.cumsum(counts)])
    moment_below = np.concatenate([[0], np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)])
    count = count_below[None] - count_below[:, None]  # from the level of the row to that of the column
    gain = np.divide(
        (moment_below[None] - moment_below[:, None]) ** 2, count, out=np.full(count.shape, -np.inf), where=count > 0
    )  # what a cluster of these levels adds to the variance between clusters
    best, cuts = gain[0], []
    for _ in range(len(start) - 1):
        options = best[:, None] + gain
        cuts.append(options.argmax(axis=0))
        best = options.max(axis=0)
    level, thresholds = levels, []
    for cut in reversed(cuts):
        level = int(cut[level])
        thresholds.append(edges[level])
    return lambda colours: np.eye(len(start))[np.searchsorted(thresholds[::-1], colours @ direction)]


METHODS: dict[str, ClusteringMethod] = {"fuzzy": fuzzy_c_means, "k-means": k_means, "otsu": otsu}


def fuzzy_memberships(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships of points, M × D, in clusters with given centres, K × D: M × K; rows sum to 1 (Bezdek 1981)."""
    return _fuzzy(points, centres).T


def _fuzzy(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships transposed, K × M, which is several times as fast to sum."""
    closeness = np.maximum(cdist(centres, points, "sqeuclidean"), 1e-12) ** (-1 / (DEFAULTS.fuzziness - 1))
    return closeness / closeness.sum(axis=0)


def _iterate(points: np.ndarray, start: np.ndarray, weights_for: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Move centres to the weighted means of their clusters until they rest; an empty cluster keeps its centre.

    `weights_for` gives the weight of every point in every cluster for given centres, K × N.
    """
    centres = np.asarray(start, dtype=float)
    threshold = DEFAULTS.tolerance * max(float(points.std()), 1e-12)
    for _ in range(DEFAULTS.max_iterations):
        weight = weights_for(centres)
        total = weight.sum(axis=1, keepdims=True)
        moved = np.where(total > 0, weight @ points / np.maximum(total, 1e-300), centres)
        if np.abs(moved - centres).max() < threshold:
            return moved
        centres = moved
    return centres

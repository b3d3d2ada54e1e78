"""Three ways to sort colours into groups, behind one interface: fuzzy c-means, k-means, and Otsu's thresholds.

Each takes colours, how often each occurs, and where the groups are thought to be; each answers with a function that
gives any colour's membership in every group. The segmentation stands on that function alone, so that the methods can
be compared with everything else equal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

FUZZINESS = 2.0  # the exponent m of fuzzy c-means, as Bezdek 1981 proposes
STEPS = 100
TOLERANCE = 1e-3  # of the centres' movement, relative to the spread of the points
LEVELS = 256  # of the histogram in which thresholds are sought

Memberships = Callable[[np.ndarray], np.ndarray]
Method = Callable[[np.ndarray, np.ndarray, np.ndarray], Memberships]


def fuzzy_c_means(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """Fuzzy c-means: every point belongs to every group by a degree (Bezdek 1981, doi:10.1007/978-1-4757-0450-1).

    Args:
        points: float, N × D.
        weights: float, N, how much each point counts.
        start: float, K × D, first guess of the centres; the groups keep this order.

    Returns:
        A function of points, M × D, that gives their memberships, M × K, rows summing to 1.
    """
    centres = _iterate(points, start, lambda c: weights * _fuzzy(points, c) ** FUZZINESS)
    return lambda colours: fuzzy_memberships(colours, centres)


def k_means(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """k-means: every point belongs to the nearest centre (Lloyd 1982); arguments and answer as `fuzzy_c_means`."""

    def nearest(colours: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return np.eye(len(centres))[cdist(colours, centres, "sqeuclidean").argmin(axis=1)]

    centres = _iterate(points, start, lambda c: weights * nearest(points, c).T)
    return lambda colours: nearest(colours, centres)


def otsu(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """Otsu's thresholds on the line from the first to the last group (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    K groups are parted by K − 1 thresholds, the best of all by dynamic programming over the levels (Liao, Chen & Chung
    2001 for the criterion); arguments and answer as `fuzzy_c_means`, memberships being 0 or 1.
    """
    line = start[-1] - start[0]
    values = points @ line
    counts, edges = np.histogram(values, LEVELS, weights=weights)
    share = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)])
    number = share[None] - share[:, None]  # of levels from row to column
    gain = np.divide(
        (moment[None] - moment[:, None]) ** 2, number, out=np.full(number.shape, -np.inf), where=number > 0
    )  # what a group of levels adds to the variance between groups
    best, cuts = gain[0], []
    for _ in range(len(start) - 1):
        options = best[:, None] + gain
        cuts.append(options.argmax(axis=0))
        best = options.max(axis=0)
    place, thresholds = LEVELS, []
    for cut in reversed(cuts):
        place = int(cut[place])
        thresholds.append(edges[place])
    return lambda colours: np.eye(len(start))[np.searchsorted(thresholds[::-1], colours @ line)]


def fuzzy_memberships(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships of points, M × D, in groups with given centres, K × D: M × K, rows summing to 1 (Bezdek 1981)."""
    return _fuzzy(points, centres).T


def _fuzzy(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships the other way round, K × M, which is several times as fast to sum."""
    closeness = np.maximum(cdist(centres, points, "sqeuclidean"), 1e-12) ** (-1 / (FUZZINESS - 1))
    return closeness / closeness.sum(axis=0)


def _iterate(points: np.ndarray, start: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Move centres to the weighted means of what belongs to them until they rest; an empty group stays where it is.

    `weigh` gives the weight of every point in every group for given centres, K × N.
    """
    centres = np.asarray(start, dtype=float)
    still = TOLERANCE * max(float(points.std()), 1e-12)
    for _ in range(STEPS):
        weight = weigh(centres)
        total = weight.sum(axis=1, keepdims=True)
        moved = np.where(total > 0, weight @ points / np.maximum(total, 1e-300), centres)
        if np.abs(moved - centres).max() < still:
            return moved
        centres = moved
    return centres

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
TOLERANCE = 1e-4  # of the centres' movement, relative to the spread of the points
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
    centres = _iterate(points, start, lambda c: weights[:, None] * fuzzy_memberships(points, c) ** FUZZINESS)
    return lambda colours: fuzzy_memberships(colours, centres)


def k_means(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """k-means: every point belongs to the nearest centre (Lloyd 1982); arguments and answer as `fuzzy_c_means`."""

    def nearest(colours: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return np.eye(len(centres))[cdist(colours, centres, "sqeuclidean").argmin(axis=1)]

    centres = _iterate(points, start, lambda c: weights[:, None] * nearest(points, c))
    return lambda colours: nearest(colours, centres)


def otsu(points: np.ndarray, weights: np.ndarray, start: np.ndarray) -> Memberships:
    """Otsu's thresholds on the line from the first to the last group (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    Two groups are parted by one threshold, three by two (Liao, Chen & Chung 2001); arguments and answer as
    `fuzzy_c_means`, memberships being 0 or 1.

    Raises:
        ValueError: more than three groups.
    """
    if not 2 <= len(start) <= 3:
        raise ValueError("Otsu's thresholds are made for two or three groups.")
    line = start[-1] - start[0]
    values = points @ line
    counts, edges = np.histogram(values, LEVELS, weights=weights)
    middles = (edges[1:] + edges[:-1]) / 2
    share = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * middles)])

    def between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """What a group of levels adds to the variance between groups."""
        number = share[high] - share[low]
        return np.divide((moment[high] - moment[low]) ** 2, number, out=np.zeros(number.shape), where=number > 0)

    cuts = np.arange(1, LEVELS)
    if len(start) == 2:
        best = [int(np.argmax(between(np.zeros_like(cuts), cuts) + between(cuts, np.full_like(cuts, LEVELS)))) + 1]
    else:
        low, high = np.meshgrid(cuts, cuts, indexing="ij")
        gain = between(np.zeros_like(low), low) + between(low, high) + between(high, np.full_like(high, LEVELS))
        best = [int(i) + 1 for i in np.unravel_index(np.where(low < high, gain, -1).argmax(), gain.shape)]
    thresholds = edges[best]
    return lambda colours: np.eye(len(start))[np.searchsorted(thresholds, colours @ line)]


def fuzzy_memberships(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Memberships of points, M × D, in groups with given centres, K × D: M × K, rows summing to 1 (Bezdek 1981)."""
    closeness = np.maximum(cdist(points, centres, "sqeuclidean"), 1e-12) ** (-1 / (FUZZINESS - 1))
    return closeness / closeness.sum(axis=1, keepdims=True)


def _iterate(points: np.ndarray, start: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Move centres to the weighted means of what belongs to them until they rest; an empty group stays where it is."""
    centres = np.asarray(start, dtype=float)
    still = TOLERANCE * max(float(points.std()), 1e-12)
    for _ in range(STEPS):
        weight = weigh(centres)
        total = weight.sum(axis=0)[:, None]
        moved = np.where(total > 0, weight.T @ points / np.maximum(total, 1e-300), centres)
        if np.abs(moved - centres).max() < still:
            return moved
        centres = moved
    return centres

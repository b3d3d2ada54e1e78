"""Assign groups to the parts of a split: randomly, with shares as close to the target as the groups allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DRAWS = 200  # largest number of random assignments that are tried
NEAR_ENOUGH = 2.0  # percentage points; the first draw within it is taken, because a longer search favours some groups


def assign(
    counts: np.ndarray, shares: np.ndarray, off: Callable[[np.ndarray], float], rng: np.random.Generator
) -> np.ndarray | None:
    """Draw random assignments until one is close enough to the target shares; otherwise return the best one.

    Args:
        counts: int, G × classes: number of images of each group in each class.
        shares: float, one per part, sum 1: target share of the images in each part.
        off: computes the error of an assignment (int, G: the part of each group), in percentage points; infinite if
            the assignment cannot be used.
        rng: random generator.

    Returns:
        int, G: the part of each group; None if no assignment was found in which every part has every class.
    """
    best, least = None, np.inf
    for _ in range(DRAWS):
        part = _draw(counts, shares, rng)
        if part is None:
            continue
        sizes = np.bincount(part, counts.sum(axis=1), len(shares)) / counts.sum()
        badness = max(off(part), 100 * np.abs(sizes - shares).max())
        if badness < least:
            best, least = part, badness
        if least <= NEAR_ENOUGH:
            break
    return best


def class_table(part: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Number of images of each class in parts 0, 1 and 2; int, 3 × classes. Rows of part -1 are ignored."""
    used = part >= 0
    return np.bincount(part[used] * (label.max() + 1) + label[used], minlength=3 * (label.max() + 1)).reshape(3, -1)


def shares_off(table: np.ndarray, label: np.ndarray) -> float:
    """Largest difference between the share of a class in a part and in all labels; percentage points."""
    whole = np.bincount(label) / len(label)
    return float(100 * np.abs(table / table.sum(axis=1, keepdims=True) - whole).max())


def _draw(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """One random greedy assignment; None if a part lacks a class."""
    totals = counts.sum(axis=0)
    part, have = np.full(len(counts), -1), np.zeros((len(shares), len(totals)))
    # First, each part gets a group of each class, beginning with rare classes and small parts.
    for c in np.argsort((counts > 0).sum(axis=0)):
        for p in np.argsort(shares):
            if have[p, c] == 0:
                free = np.flatnonzero((part == -1) & (counts[:, c] > 0))
                if not len(free):
                    return None
                chosen = rng.choice(free)
                part[chosen] = p
                have[p] += counts[chosen]
    excess = have - shares[:, None] * totals
    for g in rng.permutation(np.flatnonzero(part == -1)):
        # The part where the squared distance from the target shares, summed over all classes, increases least.
        part[g] = ((2 * excess + counts[g]) * counts[g] / totals**2).sum(axis=1).argmin()
        excess[part[g]] += counts[g]
    return part

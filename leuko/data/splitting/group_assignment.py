"""Which group goes into which part: random, and as near to the wanted shares as the groups allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DRAWS = 200  # assignments tried at most
NEAR_ENOUGH = 2.0  # percentage points: the first draw this near is taken; choosing on would favour some groups


def assign(
    counts: np.ndarray, shares: np.ndarray, off: Callable[[np.ndarray], float], rng: np.random.Generator
) -> np.ndarray | None:
    """Draw assignments until one is near enough, else take the best.

    Args:
        counts: int, G × classes: images of each group in each class.
        shares: float, parts, sum 1: of the images, wanted in each part.
        off: from an assignment (int, G: the part of each group) to how bad it is, in percentage points; infinite if it
            cannot be used.
        rng: of all chance.

    Returns:
        int, G: the part of each group; None if none was found in which each part has each class.
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
    """Images of each class in parts 0, 1 and 2; int, 3 × classes. Rows of part -1 do not count."""
    used = part >= 0
    return np.bincount(part[used] * (label.max() + 1) + label[used], minlength=3 * (label.max() + 1)).reshape(3, -1)


def shares_off(table: np.ndarray, label: np.ndarray) -> float:
    """How far a class's share of a part (a row of the table) is from its share of all labels, at worst; points."""
    whole = np.bincount(label) / len(label)
    return float(100 * np.abs(table / table.sum(axis=1, keepdims=True) - whole).max())


def _draw(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """One random greedy assignment; None if a part was left without a class."""
    totals = counts.sum(axis=0)
    part, have = np.full(len(counts), -1), np.zeros((len(shares), len(totals)))
    # Rare classes and small parts first: each part gets a group of each class before anything else is weighed.
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
        # Where the squared distance from the wanted shares, over all classes, grows least.
        part[g] = ((2 * excess + counts[g]) * counts[g] / totals**2).sum(axis=1).argmin()
        excess[part[g]] += counts[g]
    return part

"""Whether one classifier is better than another on the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

FLIPS = 20_000


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> float:
    """The exact McNemar test: of the images that only one gets right, is it as often the one as the other?

    McNemar 1947, doi:10.1007/BF02295996; exact, by the binomial distribution. It takes images for independent, which
    those of one patient are not: then p is too small, and `group_permutation_test` is to be believed.

    Args:
        first_right, second_right: bool, N: which images each classifier gets right.

    Returns:
        p, two-sided, 0 to 1.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def group_permutation_test(first_right: np.ndarray, second_right: np.ndarray, groups: np.ndarray) -> float:
    """The same question, with whole groups as the units: a randomisation test.

    If there were no difference, then in every group of images the two could as well change places. So each group's
    difference in right answers gets a random sign, many times (Fisher's randomisation; Good, Permutation, Parametric
    and Bootstrap Tests of Hypotheses, 2005).

    Args:
        first_right, second_right: bool, N.
        groups: int, N: which images belong together.

    Returns:
        p, two-sided: the share of sign patterns with as large a difference in all.
    """
    each = np.bincount(np.unique(groups, return_inverse=True)[1], first_right.astype(float) - second_right)
    each = each[each != 0]
    if not len(each):
        return 1.0
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (FLIPS, len(each)))
    as_large = (np.abs(signs @ each) >= abs(each.sum()) - 1e-9).sum()
    return float((as_large + 1) / (FLIPS + 1))


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979, "A simple sequentially rejective multiple test procedure")."""
    order, corrected, floor = np.argsort(values), [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = floor
    return corrected

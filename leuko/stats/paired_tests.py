"""Paired tests: whether one classifier is better than another on the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 20_000  # p = 0.05 is then known to about 0.003 (95 % of the runs); of up to 14 groups all patterns are used


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> float:
    """Exact McNemar test: among the images that only one classifier gets right, is it as often either one?

    McNemar 1947, doi:10.1007/BF02295996; exact, by the binomial distribution. It assumes independent images. Images of
    one patient are not independent: then p is too small, and `group_permutation_test` is the test to use.

    Args:
        first_correct: bool, N: which images the first classifier gets right.
        second_correct: bool, N: the same for the second.

    Returns:
        p, two-sided, 0 to 1.
    """
    from scipy.stats import binomtest  # imported late: it takes half a second

    only_first = int((first_correct & ~second_correct).sum())
    only_second = int((second_correct & ~first_correct).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def group_permutation_test(first_correct: np.ndarray, second_correct: np.ndarray, groups: np.ndarray) -> float:
    """Paired permutation test with groups of images as the units.

    Without a difference between the classifiers, the two could be exchanged in every group. The difference in correct
    answers of each group therefore gets either sign (Good, *Permutation, Parametric and Bootstrap Tests of Hypotheses*,
    2005). All patterns of signs are used where they are at most `RESAMPLES`, else as many random ones.

    Args:
        first_correct: bool, N: which images the first classifier gets right.
        second_correct: bool, N: the same for the second.
        groups: N: which images belong together.

    Returns:
        p, two-sided, above 0 and up to 1: the proportion of patterns with at least as large a difference.
    """
    from scipy.stats import permutation_test  # imported late: it takes half a second

    group = np.unique(groups, return_inverse=True)[1]
    differences = np.bincount(group, first_correct.astype(float) - second_correct)
    differences = differences[differences != 0]
    if len(differences) < 2:  # no difference, or one that is as large with either sign
        return 1.0
    result = permutation_test(
        (differences,),
        lambda signed, axis: np.abs(signed.sum(axis=axis)),
        permutation_type="samples",  # of one sample: its signs
        alternative="greater",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979, "A simple sequentially rejective multiple test procedure")."""
    order, corrected, floor = np.argsort(p_values), [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = floor
    return corrected

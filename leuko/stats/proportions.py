"""Confidence intervals of a proportion: Wilson's, and the exact one of Clopper and Pearson."""

from __future__ import annotations

from math import sqrt

from scipy.special import betaincinv

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution, for two-sided 95 % intervals
TAIL = 0.025  # probability on either side of a 95 % interval
Interval = dict[str, float]  # `value`, `low` and `high`


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """95 % Wilson interval of a proportion; without trials it is 0 to 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927,
    doi:10.1080/01621459.1927.10502953.
    """
    if not trials:
        return 0.0, 1.0
    proportion, weight = successes / trials, Z**2 / trials
    centre = (proportion + weight / 2) / (1 + weight)
    half = Z * sqrt(proportion * (1 - proportion) / trials + weight / (4 * trials)) / (1 + weight)
    # Rounding must not put a proportion of 0 or 1 outside its interval.
    return max(0.0, min(proportion, centre - half)), min(1.0, max(proportion, centre + half))


def proportion_interval(value: float, count: float) -> Interval:
    """A proportion with its 95 % Wilson interval.

    Args:
        value: 0 to 1; it may be the mean of several proportions.
        count: number of independent units.

    Returns:
        `value`, `low` and `high`, 0 to 1.
    """
    low, high = wilson_interval(value * count, count)
    return {"value": value, "low": low, "high": high}


def clopper_pearson_interval(value: float, count: float, least: float = 0.0, most: float = 1.0) -> Interval:
    """A proportion, or a mean of values between two limits, with its exact 95 % interval.

    Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404. The interval covers the truth at least as often as stated, and
    it has a width even where the proportion is 0 or 1.

    Args:
        value: `least` to `most`.
        count: number of independent units, above 0.
        least: smallest possible value.
        most: largest possible value.

    Returns:
        `value`, `low` and `high`, `least` to `most`.
    """
    successes = count * min(max((value - least) / (most - least), 0.0), 1.0)
    low = float(betaincinv(successes, count - successes + 1, TAIL)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, count - successes, 1 - TAIL)) if successes < count else 1.0
    return {"value": value, "low": least + (most - least) * low, "high": least + (most - least) * high}

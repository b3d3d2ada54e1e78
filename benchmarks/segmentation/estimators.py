"""Figures of images as functions of weights, so that the bootstrap gives each an interval.

Arrays have one value for each image. An estimator takes weights, float, B × N: how often each image was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from leuko.stats.bootstrap import Bootstrap, Estimand, Interval

Estimator = Callable[[np.ndarray], Estimand]
Figures = dict[str, Interval]


def proportion(part: np.ndarray, whole: np.ndarray) -> Estimator:
    """The share of all `whole` that are `part`, for example of all cells."""
    return lambda weights: Estimand.proportion(weights @ np.asarray(part, float), weights @ np.asarray(whole, float))


def ratio(numerator: np.ndarray, denominator: np.ndarray, most: float = 1.0) -> Estimator:
    """The ratio of two sums over images, which is at most `most`."""
    of = proportion(numerator, denominator)
    return lambda weights: Estimand.bounded(of(weights).values, high=most)


def f1(hits: np.ndarray, true: np.ndarray, found: np.ndarray) -> Estimator:
    """The harmonic mean of precision and recall of all cells."""
    return ratio(2 * np.asarray(hits), np.asarray(true) + np.asarray(found))


def mean(values: Sequence[float] | np.ndarray, most: float = 1.0) -> Estimator:
    """The mean over the images where a value is known (not NaN)."""
    known = ~np.isnan(np.asarray(values, float))
    return ratio(np.nan_to_num(np.asarray(values, float)), known, most)


def share(are: Sequence[bool] | np.ndarray) -> Estimator:
    """The share of images of which something is true."""
    return proportion(np.asarray(are, float), np.ones(len(are)))


def total(values: np.ndarray) -> Estimator:
    """The sum over all images; of a sum of 0 the interval supposes at most 1 an image."""
    return lambda weights: Estimand.bounded(weights @ np.asarray(values, float), high=float(max(len(values), 1)))


def excess(numerator: np.ndarray, denominator: np.ndarray) -> Estimator:
    """The relative difference of two sums over images."""
    of = proportion(numerator, denominator)
    return lambda weights: Estimand.bounded(of(weights).values - 1, -1.0, 1.0)


def median(values: Sequence[float] | np.ndarray, most: float = 1.0) -> Estimator:
    """The median over the images where a value is known (not NaN); the lower one of two in the middle."""
    order = np.argsort(np.asarray(values, float), kind="stable")
    ranked = np.asarray(values, float)[order]
    order, ranked = order[~np.isnan(ranked)], ranked[~np.isnan(ranked)]

    def estimate(weights: np.ndarray) -> Estimand:
        reached = np.cumsum(weights[:, order], axis=1, dtype=np.float64)
        middle = (reached >= reached[:, -1:] / 2).argmax(axis=1)
        return Estimand.bounded(ranked[middle], high=most)

    return estimate


def loss(before: Estimator, after: Estimator) -> Estimator:
    """By how much a figure falls; where no image differs, the interval is that of a share of 0 of the images."""
    return lambda weights: Estimand.bounded(before(weights).values - after(weights).values)


def largest(figures: Sequence[Estimator]) -> Estimator:
    """The largest of several figures."""
    return lambda weights: Estimand.bounded(np.max([figure(weights).values for figure in figures], axis=0))


def intervals(estimators: Mapping[str, Estimator], images: int) -> Figures:
    """Value and 95 % interval of each figure of a number of images."""
    if not images:
        return {name: {"value": None, "low": None, "high": None, "images": 0} for name in estimators}
    return {
        name: {**interval, "images": images}
        for name, interval in Bootstrap(np.zeros(images, int))
        .intervals(lambda weights: {name: estimate(weights) for name, estimate in estimators.items()})
        .items()
    }

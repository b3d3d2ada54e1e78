"""Confidence intervals and warnings for few images.

With twenty images and no error, a bootstrap would find no uncertainty at all; these intervals do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from leuko.stats.proportions import Interval, Z, proportion_interval

MIN_IMAGES = 20  # of a class: all of 20 right still leave 17 % of errors possible (Clopper & Pearson)
MIN_GROUPS = 10  # of a class
MAX_IMBALANCE = 20  # images of one class for each of another, from which on accuracy is that of the larger class
_STEP = 1e-6  # away from 0 and 1, where the variance of an AUC vanishes


def small_sample_warnings(
    labels: Sequence[str], truth: np.ndarray, groups: np.ndarray, noun: str = "images"
) -> list[str]:
    """Why figures of these images are not reliable, one sentence each.

    Args:
        labels: class names; some may have no image.
        truth: int, N.
        groups: N: which images belong together.
        noun: what the images are called.
    """
    warnings = []
    counts = np.bincount(truth, minlength=len(labels))
    for number, (name, count) in enumerate(zip(labels, counts, strict=True)):
        group_count = len(np.unique(groups[truth == number]))
        if 0 < count < MIN_IMAGES:
            warnings.append(
                f"Only {count} of the {noun} {'is' if count == 1 else 'are'} of {name}: figures of this class, and "
                "means over the classes, are not reliable."
            )
        elif 0 < group_count < MIN_GROUPS and group_count < count:
            warnings.append(
                f"The {count} {noun} of {name} are of {group_count} {'group' if group_count == 1 else 'groups'} "
                "(patients, slides or blocks of files) only: figures of this class may not hold for other patients."
            )
    present = np.flatnonzero(counts)
    if len(present) > 1 and counts.max() >= MAX_IMBALANCE * counts[present].min():
        most, fewest = labels[int(counts.argmax())], labels[int(present[counts[present].argmin()])]
        warnings.append(
            f"There are {counts.max() / counts[present].min():.0f} times as many {noun} of {most} as of {fewest}: "
            f"accuracy hardly depends on {fewest}; read the figures of each class."
        )
    return warnings


def auc_interval(value: float, positives: float, negatives: float) -> Interval:
    """An area under the ROC curve with its 95 % interval, method 5 of Newcombe 2006 (doi:10.1002/sim.2324).

    Like Wilson's, it contains the true areas that could have given the observed one, so it has a width even if no pair
    is in the wrong order.

    Args:
        value: 0 to 1; it may be the mean of several areas.
        positives: number of independent positives.
        negatives: number of independent negatives.

    Returns:
        `value`, `low` and `high`, 0 to 1.
    """
    more = (positives + negatives) / 2 - 1

    def excess(true: float) -> float:
        variance = true * (1 - true) * (1 + more * (1 - true) / (2 - true) + more * true / (1 + true))
        return (true - value) ** 2 - Z**2 * variance / (positives * negatives)

    # At 0 and 1 both terms vanish; these are not the bounds.
    low = brentq(excess, 0, value - _STEP) if value > _STEP else 0.0
    high = brentq(excess, value + _STEP, 1) if value < 1 - _STEP else 1.0
    return {"value": value, "low": float(low), "high": float(high)}


def cross_validated_metrics(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray, labels: Sequence[str], positive: Sequence[str]
) -> dict[str, Interval]:
    """Metrics of cross-validated probabilities; the intervals count groups, since the images of a group are alike.

    Args:
        probabilities: float, R × N × classes, of R repeats; NaN where an image was not tested in a repeat.
        truth: int, N.
        groups: int, N.
        labels: class names in the order of the columns.
        positive: the names that mean leukaemia.

    Returns:
        `accuracy` and, one against rest, `auc_roc` (mean over the classes, with the interval of the class with the
        fewest groups); if some classes mean leukaemia and some do not, `leukaemia_auc_roc`, `sensitivity` and
        `specificity` (from a probability of 0.5 on).
    """
    tested = ~np.isnan(probabilities).any(axis=2)

    def mean(metric: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return float(np.mean([metric(p[known], truth[known]) for p, known in zip(probabilities, tested, strict=True)]))

    def group_count(rows: np.ndarray) -> int:
        return len(np.unique(groups[rows & tested.any(axis=0)]))

    each = [group_count(truth == c) for c in range(len(labels))]
    fewest = int(np.argmin(each))
    metrics = {
        "accuracy": proportion_interval(mean(lambda p, t: (p.argmax(axis=1) == t).mean()), group_count(truth >= 0)),
        "auc_roc": auc_interval(
            mean(lambda p, t: float(np.mean([roc_auc_score(t == c, p[:, c]) for c in range(len(labels))]))),
            each[fewest],
            group_count(truth != fewest),
        ),
    }
    if 0 < len(positive) < len(labels):
        columns = [labels.index(name) for name in positive]
        is_positive = np.isin(truth, columns)

        def score(p: np.ndarray) -> np.ndarray:
            return p[:, columns].sum(axis=1)

        positives, negatives = group_count(is_positive), group_count(~is_positive)
        area = mean(lambda p, t: roc_auc_score(np.isin(t, columns), score(p)))
        sensitivity = mean(lambda p, t: (score(p) >= 0.5)[np.isin(t, columns)].mean())
        specificity = mean(lambda p, t: (score(p) < 0.5)[~np.isin(t, columns)].mean())
        metrics["leukaemia_auc_roc"] = auc_interval(area, positives, negatives)
        metrics["sensitivity"] = proportion_interval(sensitivity, positives)
        metrics["specificity"] = proportion_interval(specificity, negatives)
    return metrics

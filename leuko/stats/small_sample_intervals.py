"""Figures from few images, with intervals that say so.

With twenty images and no error, a bootstrap would find no uncertainty at all; these intervals do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from leuko.stats.proportions import Interval, Z, proportion_interval

STEP = 1e-6
FEW_IMAGES = 20  # of a class: all of 20 right still leave 17 % of errors possible (Clopper & Pearson)
FEW_GROUPS = 10  # of a class
UNEQUAL = 20  # times as many images of one class as of another, from which on accuracy is that of the larger


def small_sample_warnings(
    labels: Sequence[str], truth: np.ndarray, groups: np.ndarray, what: str = "images"
) -> list[str]:
    """What forbids to rely on figures of these images, one sentence each.

    Args:
        labels: class names; of some there may be no image.
        truth: int, N.
        groups: N, which images belong together.
        what: the images are called.
    """
    said = []
    counts = np.bincount(truth, minlength=len(labels))
    for number, (name, count) in enumerate(zip(labels, counts, strict=True)):
        own = len(np.unique(groups[truth == number]))
        if 0 < count < FEW_IMAGES:
            said.append(
                f"Only {count} of the {what} {'is' if count == 1 else 'are'} of {name}: figures of this class say "
                "little, and so do means over the classes."
            )
        elif 0 < own < FEW_GROUPS and own < count:
            said.append(
                f"The {count} {what} of {name} are of {own} {'group' if own == 1 else 'groups'} (patients, slides or "
                f"blocks of files) only: figures of this class say little of other patients."
            )
    present = np.flatnonzero(counts)
    if len(present) > 1 and counts.max() >= UNEQUAL * counts[present].min():
        most, fewest = labels[int(counts.argmax())], labels[int(present[counts[present].argmin()])]
        said.append(
            f"There are {counts.max() / counts[present].min():.0f} times as many {what} of {most} as of {fewest}: "
            f"accuracy says hardly anything of {fewest}; read the figures of each class."
        )
    return said


def auc_interval(value: float, positives: float, negatives: float) -> Interval:
    """An area under the ROC curve with its 95 % interval, method 5 of Newcombe 2006 (doi:10.1002/sim.2324).

    Like Wilson's, it asks which true areas could have given the one that was found, so that it has a width even if no
    pair was in the wrong order.

    Args:
        value: 0 to 1; it may be the mean of several areas.
        positives, negatives: how many independent ones there are.

    Returns:
        `value`, `low` and `high`, 0 to 1.
    """
    more = (positives + negatives) / 2 - 1

    def beyond(true: float) -> float:
        variance = true * (1 - true) * (1 + more * (1 - true) / (2 - true) + more * true / (1 + true))
        return (true - value) ** 2 - Z**2 * variance / (positives * negatives)

    # At 0 and 1 themselves the variance vanishes, and with it the difference: that is not the bound looked for.
    low = brentq(beyond, 0, value - STEP) if value > STEP else 0.0
    high = brentq(beyond, value + STEP, 1) if value < 1 - STEP else 1.0
    return {"value": value, "low": float(low), "high": float(high)}


def cross_validated_metrics(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray, labels: Sequence[str], positive: Sequence[str]
) -> dict[str, Interval]:
    """Figures of cross-validated probabilities; intervals count groups, since the images of one are alike.

    Args:
        probabilities: float, R × N × classes, of R repeats; nan where a repeat did not ask about an image.
        truth: int, N.
        groups: int, N.
        labels: class names in the order of the columns.
        positive: the names that mean leukaemia.

    Returns:
        `accuracy` and, one against rest, `auc_roc` (mean over the classes, with the interval of the class that has the
        fewest groups); if some classes mean leukaemia and some do not, `leukaemia_auc_roc`, `sensitivity` and
        `specificity` (from a probability of 0.5 on).
    """
    asked = ~np.isnan(probabilities).any(axis=2)

    def mean(figure: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return float(np.mean([figure(p[known], truth[known]) for p, known in zip(probabilities, asked, strict=True)]))

    def independent(rows: np.ndarray) -> int:
        return len(np.unique(groups[rows & asked.any(axis=0)]))

    each = [independent(truth == c) for c in range(len(labels))]
    fewest = int(np.argmin(each))
    found = {
        "accuracy": proportion_interval(mean(lambda p, t: (p.argmax(axis=1) == t).mean()), independent(truth >= 0)),
        "auc_roc": auc_interval(
            mean(lambda p, t: np.mean([roc_auc_score(t == c, p[:, c]) for c in range(len(labels))])),
            each[fewest],
            independent(truth != fewest),
        ),
    }
    if 0 < len(positive) < len(labels):
        which = [labels.index(name) for name in positive]
        ill = np.isin(truth, which)

        def score(p: np.ndarray) -> np.ndarray:
            return p[:, which].sum(axis=1)

        counts = independent(ill), independent(~ill)
        found["leukaemia_auc_roc"] = auc_interval(
            mean(lambda p, t: roc_auc_score(np.isin(t, which), score(p))), *counts
        )
        found["sensitivity"] = proportion_interval(
            mean(lambda p, t: (score(p) >= 0.5)[np.isin(t, which)].mean()), counts[0]
        )
        found["specificity"] = proportion_interval(
            mean(lambda p, t: (score(p) < 0.5)[~np.isin(t, which)].mean()), counts[1]
        )
    return found

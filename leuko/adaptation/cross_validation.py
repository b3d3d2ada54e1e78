"""Nested cross-validation of a head on cached features: how it is to be fitted, and how good it then is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from leuko.adaptation.frozen_features import Head
from leuko.data.errors import DataError
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import folds
from leuko.decision.calibration import fit_temperature
from leuko.decision.out_of_distribution import IN_DISTRIBUTION_SHARE, MahalanobisOOD
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.stats import proportions, small_sample_intervals

FOLDS, REPEATS = 5, 3
INNER = 5  # folds in which a recipe is chosen
DOUBTFUL = 0.1  # probability of a label, by models that did not see it, below which it is worth a second look


STRENGTHS = 300.0, 30.0  # see `Head.fit`; the first where there is too little to choose by


class Recipe(NamedTuple):
    """On which trunk's features a head is fitted (its number), and how strictly."""

    trunk: int
    strength: float


@dataclass(frozen=True)
class Estimate:
    """What repeated cross-validation showed, each image judged by heads that had no part in it.

    Attributes:
        probabilities: float, repeats × N × classes, calibrated; nan where an image was left out of a repeat.
        temperature: by which logits are to be divided.
        distance: float, trunks × N: how unlike the images of the other folds an image is (`MahalanobisOOD`), on average.
        figures: with intervals, see `leuko.stats.small_sample_intervals.cross_validated_metrics`.
        baseline: accuracy of nearest neighbours on colour statistics, on the same folds.
        confusion: int, classes × classes, of the first repeat; rows are the truth.
        warnings: what forbids to rely on the figures (`leuko.stats.small_sample_intervals.small_sample_warnings`).
        how: one sentence.
    """

    probabilities: np.ndarray
    temperature: float
    distance: np.ndarray
    figures: dict[str, proportions.Interval]
    baseline: proportions.Interval
    confusion: np.ndarray
    warnings: list[str]
    how: str

    @property
    def mean(self) -> np.ndarray:
        """Probabilities, N × classes, over the repeats that asked about the image; nan where none did."""
        return _mean(self.probabilities)

    def ood_detector(self, features: np.ndarray, trunk: int) -> MahalanobisOOD:
        """What is in distribution: statistics of all images' features (N × D), the bound from held-out images.

        The distances of the very images that the statistics come from would be too small, the more so the fewer.
        """
        bound = float(np.nanquantile(self.distance[trunk], IN_DISTRIBUTION_SHARE))
        return replace(MahalanobisOOD.fit(features, features), bound=bound)

    def doubtful(self, truth: np.ndarray) -> np.ndarray:
        """Images, int, whose labels (int, N) the others speak against; the most doubtful first."""
        given = np.nan_to_num(self.mean[np.arange(len(truth)), truth], nan=1.0)
        order = np.argsort(given, kind="stable")
        return order[given[order] < DOUBTFUL]

    def as_json(self) -> dict[str, Any]:
        """As in `evaluation/metrics.json`."""
        return {
            "how": self.how,
            **self.figures,
            "colour_baseline": {"accuracy": self.baseline},
            "confusion": self.confusion.tolist(),
            "temperature": self.temperature,
            "warnings": self.warnings,
        }


@threadpool_limits.wrap(limits=1)  # for matrices as small as these, threads cost more than they bring
def estimate(
    features: Sequence[np.ndarray],
    truth: np.ndarray,
    colours: np.ndarray,
    groups: Groups,
    labels: Sequence[str],
    positive: Sequence[str],
    seed: int,
) -> Estimate:
    """Cross-validate by group, the recipe being chosen anew in every training part.

    Args:
        features: of each trunk float, N × views × D; heads are fitted on all views and asked about the first.
        truth: int, N.
        colours: float, N × 9, colour statistics.
        groups: of the images.
        labels: class names.
        positive: those that mean leukaemia.
        seed: of the folds.

    Raises:
        DataError: a class has fewer than two groups.
    """
    fewest = int(_groups_of_each(truth, groups.group, ~groups.spare).min())
    if fewest < 2:
        raise DataError(
            "All images of a class belong together (one patient or slide), so that nothing can be tried on others; "
            "bring images of at least two patients of each class."
        )
    count = min(FOLDS, fewest)
    logits = np.full((REPEATS, len(truth), len(labels)), np.nan)
    distance = np.full((REPEATS, len(features), len(truth)), np.nan)
    baseline = []
    for number, fold in enumerate(folds(truth, groups, count=count, repeats=REPEATS, seed=seed)):
        repeat, train, test = number // count, fold.train, fold.test
        recipe = choose([each[train] for each in features], truth[train], groups.group[train], seed)
        own = features[recipe.trunk]
        logits[repeat, test] = Head.fit(own[train], truth[train], len(labels), recipe.strength)(own[test, 0])
        for trunk, each in enumerate(features):
            distance[repeat, trunk, test] = MahalanobisOOD.fit(each[train, 0], each[train, 0]).distance(each[test, 0])
        asked = colour_baseline(colours[train], truth[train], colours[test], truth[test])
        baseline.append((len(test), asked["accuracy"]))
    known = [~np.isnan(repeat).any(axis=1) for repeat in logits]
    scaled = [fit_temperature(each[rows], truth[rows]) for each, rows in zip(logits, known, strict=True)]
    temperature = float(np.exp(np.mean(np.log(scaled))))
    probabilities = softmax(logits / temperature, axis=2)
    first = known[0]
    tested, right = np.array(baseline).T
    independent = len(np.unique(groups.group[first]))
    return Estimate(
        probabilities,
        temperature,
        _mean(distance),
        small_sample_intervals.cross_validated_metrics(probabilities, truth, groups.group, labels, positive),
        proportions.proportion_interval(float((tested * right).sum() / tested.sum()), independent),
        confusion_matrix(truth[first], probabilities[0, first].argmax(axis=1), labels=np.arange(len(labels))),
        small_sample_intervals.small_sample_warnings(labels, truth, groups.group),
        f"{REPEATS} × {count}-fold nested cross-validation by group, seed {seed}; {independent} groups",
    )


@threadpool_limits.wrap(limits=1)
def choose(features: Sequence[np.ndarray], truth: np.ndarray, groups: np.ndarray, seed: int) -> Recipe:
    """The first recipe whose cross-validated log loss on these images alone is no worse than the smallest one.

    No worse means by at most one standard error of the difference (Breiman et al., "Classification and regression
    trees", 1984): of so few images the smallest loss is often smallest by accident.

    Args:
        features: of each trunk float, N × views × D; the trunk that is to be preferred first.
        truth: int, N, 0 to classes − 1.
        groups: int, N.
        seed: of the folds.
    """
    recipes = [Recipe(trunk, strength) for trunk in range(len(features)) for strength in STRENGTHS]
    classes = truth.max() + 1
    loss = np.zeros((len(recipes), len(truth)))
    count = min(INNER, int(_groups_of_each(truth, groups).min()))
    inner = StratifiedGroupKFold(max(count, 2), shuffle=True, random_state=seed)
    for train, test in inner.split(truth, truth, groups) if count > 1 else ():
        if len(np.unique(truth[train])) < classes:
            continue
        for number, recipe in enumerate(recipes):
            own = features[recipe.trunk]
            logits = Head.fit(own[train], truth[train], classes, recipe.strength)(own[test, 0])
            loss[number, test] = -log_softmax(logits, axis=1)[np.arange(len(test)), truth[test]]
    more = loss - loss[loss.sum(axis=1).argmin()]
    enough = more.mean(axis=1) <= more.std(axis=1, ddof=1) / np.sqrt(len(truth))
    return recipes[int(enough.argmax())]


def _groups_of_each(truth: np.ndarray, groups: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    used = np.ones(len(truth), bool) if used is None else used
    return np.array([len(np.unique(groups[used & (truth == c)])) for c in np.unique(truth)])


def _mean(repeats: np.ndarray) -> np.ndarray:
    """Mean over the repeats, leaving out nan; nan where there is nothing else."""
    known = ~np.isnan(repeats)
    total = np.where(known, repeats, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))

"""Nested cross-validation on precomputed features: choose trunk and regularisation, and estimate performance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from leuko.adaptation.head_fitting import fit_head
from leuko.data.errors import DataError
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import folds
from leuko.decision.calibration import fit_temperature
from leuko.decision.out_of_distribution import IN_DISTRIBUTION_SHARE, MahalanobisOOD
from leuko.evaluation.shortcut_audit import colour_baseline
from leuko.stats.proportions import Interval, proportion_interval
from leuko.stats.small_sample_intervals import cross_validated_metrics, small_sample_warnings

FOLDS, REPEATS = 5, 3  # of the outer cross-validation
INNER_FOLDS = 5  # folds of the inner cross-validation, which chooses a recipe
LABEL_ERROR_PROBABILITY = 0.1  # a label is a possible error if its held-out probability is lower
INVERSE_REGULARIZATION = 300.0, 30.0  # see `fit_head`; the first is the default if there are too few groups to choose


@dataclass(frozen=True)
class Recipe:
    """Settings for fitting a head: the index of the trunk, and `inverse_regularization` of `fit_head`."""

    trunk: int
    inverse_regularization: float


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Results of repeated cross-validation. Every prediction comes from a head that was fitted without the image.

    Attributes:
        probabilities: float, repeats × N × classes, calibrated; NaN where an image was left out of a repeat.
        temperature: the divisor of the logits.
        distances: float, trunks × N: mean distance to the images of the other folds (`MahalanobisOOD`).
        figures: metrics with confidence intervals, see `leuko.stats.small_sample_intervals.cross_validated_metrics`.
        baseline: accuracy of nearest neighbours on colour statistics in the same folds.
        confusion: int, classes × classes, confusion matrix of the first repeat; rows are the true classes.
        warnings: reasons why the figures are unreliable (`leuko.stats.small_sample_intervals.small_sample_warnings`).
        description: one phrase that describes the procedure.
    """

    probabilities: np.ndarray
    temperature: float
    distances: np.ndarray
    figures: dict[str, Interval]
    baseline: Interval
    confusion: np.ndarray
    warnings: list[str]
    description: str

    @property
    def mean_probabilities(self) -> np.ndarray:
        """Mean over the repeats, N × classes; NaN for an image that no repeat predicted."""
        return _nan_mean(self.probabilities)

    def ood_detector(self, features: np.ndarray, trunk: int) -> MahalanobisOOD:
        """An out-of-distribution detector: statistics of all images (features N × D), threshold of held-out distances.

        Distances of images that were used for the statistics would be too small, especially with few images.
        """
        bound = float(np.nanquantile(self.distances[trunk], IN_DISTRIBUTION_SHARE))
        return replace(MahalanobisOOD.fit(features, features), bound=bound)

    def possible_label_errors(self, labels: np.ndarray) -> np.ndarray:
        """Indices of images with a label (int, N) of low held-out probability, the least probable first."""
        probability = np.nan_to_num(self.mean_probabilities[np.arange(len(labels)), labels], nan=1.0)
        order = np.argsort(probability, kind="stable")
        return order[probability[order] < LABEL_ERROR_PROBABILITY]

    def as_json(self) -> dict[str, Any]:
        """The results as JSON values, as in `evaluation/metrics.json`."""
        return {
            "how": self.description,
            **self.figures,
            "colour_baseline": {"accuracy": self.baseline},
            "confusion": self.confusion.tolist(),
            "temperature": self.temperature,
            "warnings": self.warnings,
        }


@threadpool_limits.wrap(limits=1)  # for small matrices, more threads are slower
def cross_validate(
    features: Sequence[np.ndarray],
    labels: np.ndarray,
    colours: np.ndarray,
    groups: Groups,
    class_names: Sequence[str],
    positive: Sequence[str],
    seed: int,
) -> CrossValidation:
    """Cross-validate by group; in every fold, the recipe is chosen again on the training part.

    Args:
        features: for each trunk float, N × (1 + views) × D; heads are fitted on all views, and tested on images without
            augmentation.
        labels: int, N.
        colours: float, N × 9, colour statistics.
        groups: the groups of the images.
        class_names: class names, in the order of the label numbers.
        positive: the classes that mean leukaemia.
        seed: seed of the folds.

    Raises:
        DataError: a class has fewer than two groups.
    """
    fewest = int(_groups_per_class(labels, groups.group, ~groups.spare).min())
    if fewest < 2:
        raise DataError(
            "All images of a class belong to one patient or slide, so that nothing can be tested on others; add images "
            "of at least two patients of each class."
        )
    count = min(FOLDS, fewest)
    logits = np.full((REPEATS, len(labels), len(class_names)), np.nan)
    distances = np.full((REPEATS, len(features), len(labels)), np.nan)
    baseline = []
    for number, fold in enumerate(folds(labels, groups, count=count, repeats=REPEATS, seed=seed)):
        repeat, train, test = number // count, fold.train, fold.test
        recipe = choose_recipe([each[train] for each in features], labels[train], groups.group[train], seed)
        chosen = features[recipe.trunk]
        fitted = fit_head(chosen[train], labels[train], len(class_names), recipe.inverse_regularization)
        logits[repeat, test] = fitted.head(chosen[test, 0])
        for trunk, each in enumerate(features):
            detector = MahalanobisOOD.fit(each[train, 0], each[train, 0])
            distances[repeat, trunk, test] = detector.distance(each[test, 0])
        by_colour = colour_baseline(colours[train], labels[train], colours[test], labels[test])
        baseline.append((len(test), by_colour["accuracy"]))
    predicted = [~np.isnan(repeat).any(axis=1) for repeat in logits]
    temperatures = [fit_temperature(each[rows], labels[rows]) for each, rows in zip(logits, predicted, strict=True)]
    temperature = float(np.exp(np.mean(np.log(temperatures))))
    probabilities = softmax(logits / temperature, axis=2)
    first = predicted[0]
    tested, accuracy = np.array(baseline).T
    independent = len(np.unique(groups.group[first]))
    return CrossValidation(
        probabilities,
        temperature,
        _nan_mean(distances),
        cross_validated_metrics(probabilities, labels, groups.group, class_names, positive),
        proportion_interval(float((tested * accuracy).sum() / tested.sum()), independent),
        confusion_matrix(labels[first], probabilities[0, first].argmax(axis=1), labels=np.arange(len(class_names))),
        small_sample_warnings(class_names, labels, groups.group),
        f"{REPEATS} × {count}-fold nested cross-validation by group, seed {seed}; {independent} groups",
    )


@threadpool_limits.wrap(limits=1)
def choose_recipe(features: Sequence[np.ndarray], labels: np.ndarray, groups: np.ndarray, seed: int) -> Recipe:
    """Choose a recipe by cross-validated log loss: the first recipe within one standard error of the best one.

    With so few images, the smallest loss is often due to chance. Therefore the one-standard-error rule is used (Breiman
    et al., "Classification and regression trees", 1984), here with the standard error of the difference.

    Args:
        features: for each trunk float, N × (1 + views) × D; the preferred trunk first.
        labels: int, N, 0 to classes − 1.
        groups: int, N.
        seed: seed of the folds.
    """
    recipes = [Recipe(trunk, value) for trunk in range(len(features)) for value in INVERSE_REGULARIZATION]
    classes = int(labels.max()) + 1
    loss = np.zeros((len(recipes), len(labels)))
    count = min(INNER_FOLDS, int(_groups_per_class(labels, groups).min()))
    inner = StratifiedGroupKFold(max(count, 2), shuffle=True, random_state=seed)
    for train, test in inner.split(labels, labels, groups) if count > 1 else ():
        if len(np.unique(labels[train])) < classes:
            continue
        for number, recipe in enumerate(recipes):
            chosen = features[recipe.trunk]
            head = fit_head(chosen[train], labels[train], classes, recipe.inverse_regularization).head
            log_probability = log_softmax(head(chosen[test, 0]), axis=1)
            loss[number, test] = -log_probability[np.arange(len(test)), labels[test]]
    excess = loss - loss[loss.sum(axis=1).argmin()]
    good_enough = excess.mean(axis=1) <= excess.std(axis=1, ddof=1) / np.sqrt(len(labels))
    return recipes[int(good_enough.argmax())]


def _groups_per_class(labels: np.ndarray, groups: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    used = np.ones(len(labels), bool) if used is None else used
    return np.array([len(np.unique(groups[used & (labels == c)])) for c in np.unique(labels)])


def _nan_mean(repeats: np.ndarray) -> np.ndarray:
    """Mean over the first axis that ignores NaN; NaN if all values are NaN."""
    known = ~np.isnan(repeats)
    total = np.where(known, repeats, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))

"""What is worth a second look: images unlike all others, and labels that the features speak against.

Both go by deep features, so they see what the network that made the features sees, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 10
COMPONENTS = 64  # of the features, in which distances are taken
MAX_DEVIATION = 5.0  # robust standard deviations of the logarithm of the distance
FOLDS = 5


@dataclass(frozen=True)
class Suspects:
    """Rows that stand out.

    Attributes:
        rows: int, the suspected rows, the most suspicious first.
        score: float, for each of `rows`.
    """

    rows: np.ndarray
    score: np.ndarray


def outliers(features: np.ndarray, pictures: np.ndarray) -> Suspects:
    """Images far from all others in feature space.

    The distance is the mean one to the ten nearest other pictures (Ramaswamy et al. 2000, doi:10.1145/335191.335437);
    it stands out if its logarithm lies over 5 robust standard deviations above the median.

    Args:
        features: float, N × D.
        pictures: int, N; copies of a picture, which have the same number, are not its neighbours.

    Returns:
        The outliers; their score is in robust standard deviations.
    """
    _, first, which = np.unique(pictures, return_index=True, return_inverse=True)
    points = features[first]
    if len(points) <= NEIGHBOURS:
        return Suspects(np.empty(0, int), np.empty(0))
    points = StandardScaler().fit_transform(points)
    points = PCA(min(COMPONENTS, *points.shape), random_state=0).fit_transform(points)
    distance = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors()[0].mean(axis=1)
    far = np.log(np.maximum(distance, 1e-12))
    spread = 1.4826 * np.median(np.abs(far - np.median(far)))
    deviation = ((far - np.median(far)) / max(spread, 1e-12))[which]
    rows = np.flatnonzero(deviation > MAX_DEVIATION)
    rows = rows[np.argsort(-deviation[rows], kind="stable")]
    return Suspects(rows, deviation[rows])


def label_errors(features: np.ndarray, labels: np.ndarray, pictures: np.ndarray) -> Suspects:
    """Labels that are likely wrong, by confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125).

    Every row is judged by a logistic regression on the others' features. Classes with fewer than five pictures are
    left out.

    Args:
        features: float, N × D.
        labels: int, N.
        pictures: int, N; copies of a picture, which have the same number, never judge one another.

    Returns:
        The suspected rows; their score is the probability that the label is right, 0 to 1.
    """
    known = [c for c in np.unique(labels) if len(np.unique(pictures[labels == c])) >= FOLDS]
    rows = np.flatnonzero(np.isin(labels, known))
    if len(known) < 2:
        return Suspects(np.empty(0, int), np.empty(0))
    given = np.searchsorted(known, labels[rows])
    probabilities = _out_of_fold(features[rows], given, pictures[rows])
    wrong = find_label_issues(given, probabilities, filter_by="both", n_jobs=1)
    quality = get_label_quality_scores(given, probabilities)
    order = np.flatnonzero(wrong)
    order = order[np.argsort(quality[order], kind="stable")]
    return Suspects(rows[order], quality[order])


def _out_of_fold(features: np.ndarray, labels: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Probabilities, N × classes, from models that have seen neither the row nor a copy of it."""
    probabilities = np.empty((len(labels), labels.max() + 1))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, labels, pictures):
        probabilities[test] = _model().fit(features[train], labels[train]).predict_proba(features[test])
    return probabilities


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=500))

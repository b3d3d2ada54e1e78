"""Find outliers (images unlike all others) and possible label errors (labels that contradict the features).

Both methods use deep features. The search for label errors also uses colour histograms, for two reasons. A network that
was trained on other classes may miss differences between these classes (granules, for example). And the stain of a
slide often correlates with its label.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 10
COMPONENTS = 64  # principal components of the features, in which distances are computed
MAX_DEVIATION = 4.0  # robust standard deviations of the logarithm of the distance
FOLDS = 5
MAX_CONFIDENCE = 0.1  # a label with a lower probability is a possible label error
STRENGTH = 8.0  # inverse regularisation strength, for features with a total variance of 1
_LEVELS = 6  # levels of each channel in the colour histograms
HUES = 2 * _LEVELS**3  # numbers in the colour histograms of an image


@dataclass(frozen=True)
class Suspects:
    """Suspicious rows (outliers or possible label errors).

    Attributes:
        rows: int, the suspected rows, the most suspicious first.
        score: float, one score for each of `rows`.
    """

    rows: np.ndarray
    score: np.ndarray


def outliers(features: np.ndarray, pictures: np.ndarray) -> Suspects:
    """Find images that are far from all others in feature space.

    The distance of an image is its mean distance to the ten nearest other pictures, divided by the same distance of
    these neighbours, because classes differ in spread (after the local outlier factor, Breunig et al. 2000,
    doi:10.1145/342009.335388). An image is an outlier if the logarithm of its distance is more than 4 robust standard
    deviations above the median.

    Args:
        features: float, N × D.
        pictures: int, N; copies and overlapping fields have the same number and are not neighbours of each other.

    Returns:
        The outliers; their score is in robust standard deviations.
    """
    _, first, which = np.unique(pictures, return_index=True, return_inverse=True)
    points = features[first]
    if len(points) <= NEIGHBOURS:
        return Suspects(np.empty(0, int), np.empty(0))
    points = StandardScaler().fit_transform(points)
    points = PCA(min(COMPONENTS, *points.shape), random_state=0).fit_transform(points)
    distances, neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors()
    distance = np.log(np.maximum(distances.mean(axis=1), 1e-12))
    far = distance - distance[neighbours].mean(axis=1)
    spread = 1.4826 * np.median(np.abs(far - np.median(far)))
    deviation = ((far - np.median(far)) / max(spread, 1e-12))[which]
    rows = np.flatnonzero(deviation > MAX_DEVIATION)
    rows = rows[np.argsort(-deviation[rows], kind="stable")]
    return Suspects(rows, deviation[rows])


def colours(image: np.ndarray) -> np.ndarray:
    """Colour histograms of the whole image and of its centre, where the cell of a single-cell image lies.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        float16, `HUES`: square roots of the shares; distances between them are Hellinger distances.
    """
    small = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    level = (small.astype(np.uint16) * _LEVELS) >> 8
    colour = (level[..., 0] * _LEVELS + level[..., 1]) * _LEVELS + level[..., 2]
    counts = [np.bincount(part.ravel(), minlength=_LEVELS**3) for part in (colour, colour[24:72, 24:72])]
    return np.concatenate([np.sqrt(c / c.sum()) for c in counts]).astype(np.float16)


def label_errors(features: np.ndarray, hues: np.ndarray, labels: np.ndarray, pictures: np.ndarray) -> Suspects:
    """Find possible label errors: labels with a low self-confidence, computed by cleanlab.

    The probabilities of each row come from a logistic regression that was fitted on other rows (Northcutt et al. 2021,
    doi:10.1613/jair.1.12125). Classes with fewer than five pictures are left out.

    Args:
        features: float, N × D.
        hues: float, N × `HUES`, from `colours`.
        labels: int, N.
        pictures: int, N; copies and overlapping fields have the same number and are in the same fold.

    Returns:
        The suspected rows; their score is the probability that the label is correct, 0 to 1.
    """
    known = [c for c in np.unique(labels) if len(np.unique(pictures[labels == c])) >= FOLDS]
    rows = np.flatnonzero(np.isin(labels, known))
    if len(known) < 2:
        return Suspects(np.empty(0, int), np.empty(0))
    given = np.searchsorted(known, labels[rows])
    confidence = get_label_quality_scores(
        given, _out_of_fold(_side_by_side(features, hues)[rows], given, pictures[rows])
    )
    order = np.argsort(confidence, kind="stable")
    order = order[confidence[order] < MAX_CONFIDENCE]
    return Suspects(rows[order], confidence[order])


def _side_by_side(features: np.ndarray, hues: np.ndarray) -> np.ndarray:
    """Join standardised features and histograms; each contributes half of a total variance of 1."""
    blocks = (StandardScaler().fit_transform(features), hues.astype(np.float32))
    centred = [block - block.mean(axis=0) for block in blocks]
    return np.hstack([block / np.sqrt(2 * max(block.var(axis=0).sum(), 1e-12)) for block in centred])


def _out_of_fold(features: np.ndarray, labels: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Probabilities, N × classes, from models that were fitted without the row and its copies."""
    probabilities = np.empty((len(labels), labels.max() + 1))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, labels, pictures):
        model = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3).fit(features[train], labels[train])
        probabilities[test] = model.predict_proba(features[test])
    return probabilities

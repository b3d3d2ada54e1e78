"""Clustering against independent implementations: scikit-fuzzy, scikit-learn and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import skfuzzy
from skimage.filters import threshold_multiotsu, threshold_otsu
from sklearn.cluster import KMeans

from leuko.cells.segmentation.clustering import fuzzy_c_means, k_means, otsu


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    rng = np.random.default_rng(0)
    middles, counts = [(0, 0, 0), (4, 1, 0), (8, 0, 5)], (400, 300, 60)
    return np.concatenate([rng.normal(m, 1, (n, 3)) for m, n in zip(middles, counts, strict=True)])


START = np.array([[0.5, 0, 0], [4, 0, 0], [7, 1, 4.0]])


def test_fuzzy_memberships_are_those_of_scikit_fuzzy(clouds):
    ours = fuzzy_c_means(clouds, np.ones(len(clouds)), START)(clouds)
    theirs = skfuzzy.cmeans(clouds.T, 3, 2.0, 1e-9, 1000, init=skfuzzy_start(clouds))[1].T
    order = [int(theirs[:400].mean(axis=0).argmax()), int(theirs[400:700].mean(axis=0).argmax())]
    order.append(3 - sum(order))
    assert np.abs(ours - theirs[:, order]).max() < 1e-3
    assert np.allclose(ours.sum(axis=1), 1)


def skfuzzy_start(points: np.ndarray) -> np.ndarray:
    nearest = ((points[:, None] - START) ** 2).sum(axis=2).argmin(axis=1)
    return np.eye(3)[nearest].T


@pytest.mark.parametrize("method", [fuzzy_c_means, k_means, otsu])
def test_a_weight_of_three_is_three_points(clouds, method):
    weights = np.random.default_rng(1).integers(1, 4, len(clouds))
    weighed = method(clouds, weights.astype(float), START)(clouds)
    repeated = method(np.repeat(clouds, weights, axis=0), np.ones(weights.sum()), START)(clouds)
    assert np.allclose(weighed, repeated)


def test_k_means_is_that_of_scikit_learn(clouds):
    ours = k_means(clouds, np.ones(len(clouds)), START)(clouds).argmax(axis=1)
    theirs = KMeans(3, init=START, n_init=1, tol=1e-12).fit_predict(clouds)
    assert (ours == theirs).all()


def test_thresholds_are_those_of_scikit_image(clouds):
    line = np.clip(clouds[:, :1], -3, 11)
    ones = np.ones(len(line))
    two = otsu(line, ones, np.array([[0.0], [8.0]]))(line).argmax(axis=1)
    assert np.mean(two == (line[:, 0] > threshold_otsu(line[:, 0]))) > 0.99
    three = otsu(line, ones, np.array([[0.0], [4.0], [8.0]]))(line).argmax(axis=1)
    assert np.mean(three == np.digitize(line[:, 0], threshold_multiotsu(line[:, 0], 3))) > 0.99
    four = otsu(line, ones, np.array([[0.0], [3.0], [5.0], [8.0]]))(line).argmax(axis=1)
    assert (
        np.mean(four == np.digitize(line[:, 0], threshold_multiotsu(line[:, 0], 4))) > 0.98
    )  # a cut through one cloud is less sharp


def test_a_group_that_nothing_belongs_to_stays_where_it_was():
    points = np.array([[0.0], [0.1], [1.0], [1.1]])
    member = k_means(points, np.ones(4), np.array([[0.0], [1.0], [50.0]]))(np.array([[0.05], [1.05], [49.0]]))
    assert (member == np.eye(3)).all()

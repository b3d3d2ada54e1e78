"""Fit a linear head to features of a frozen trunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from leuko.networks.linear_head import LinearHead

MAX_ITERATIONS = 300  # the solver usually needs fewer than 100
TOLERANCE = 1e-3  # tolerance of the solver; a smaller one takes longer and changes no prediction


@dataclass(frozen=True)
class FittedHead:
    """A linear head and the number of passes over the features that fitting took."""

    head: LinearHead
    iterations: int


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, inverse_regularization: float) -> FittedHead:
    """Fit a multinomial logistic regression with an L2 penalty; all classes have the same total weight.

    All augmented views are shifted by the same vector, so that their mean equals the mean of the images without
    augmentation. Without this correction, a common shift by augmentation would move the decision boundary, although new
    images are not shifted.

    Args:
        features: float, N × views × D; index 0 of the second axis is the image without augmentation. Not all rows may
            be equal.
        labels: int, N; each of 0 to `classes` − 1 must occur.
        classes: number of classes.
        inverse_regularization: as C of scikit-learn, but independent of D and of the number of views: 1 penalizes
            weights strongly, 1000 weakly.
    """
    count, views, dimensions = features.shape
    centre = features[:, 0].mean(axis=0, dtype=np.float64)
    rows = features - centre
    if views > 1:
        rows[:, 1:] -= rows[:, 1:].mean(axis=(0, 1))
    rows = rows.reshape(-1, dimensions)
    scale = max(float(rows.std()), 1e-9)
    model = LogisticRegression(C=inverse_regularization / dimensions, max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    class_weight = count / classes / np.bincount(labels, minlength=classes)
    model.fit(rows / scale, np.repeat(labels, views), np.repeat(class_weight[labels] / views, views))
    weight, bias = model.coef_ / scale, model.intercept_
    if classes == 2:  # scikit-learn gives one row of weights for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return FittedHead(LinearHead(weight, bias - weight @ centre), int(model.n_iter_.max()))

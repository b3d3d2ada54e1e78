"""Balance classes: class weights, over- and undersampling, and SMOTE on features.

These functions are for training rows only. Copies or mixtures of validation or test rows would make the results
invalid. Pass only the labels and features of the training part of a split (`leuko.data.splitting.split`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE

from leuko.data.errors import DataError

Synthesis = Literal["smote", "borderline", "svm", "adasyn"]
NEIGHBOURS = 5  # neighbours that SMOTE interpolates between; fewer in smaller classes
SURROUNDINGS = 10  # neighbours that borderline and SVM-SMOTE use to decide whether an image is near other classes

_NOTHING = "No images of small classes lie where {} would make up more of them; use smote."


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class weights for the loss, so that all classes have the same total weight; their mean over the images is 1.

    Args:
        labels: int, N, of the training rows.
        classes: number of classes.

    Returns:
        float, `classes`; 0 for a class without images.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.divide(len(labels), counts * np.count_nonzero(counts), out=np.zeros(classes), where=counts > 0)


def resample(labels: np.ndarray, how: Literal["over", "under"], seed: int) -> np.ndarray:
    """Resample rows so that all classes are as large as the largest (`over`) or the smallest class (`under`).

    Args:
        labels: int, N, of the training rows.
        how: `over` keeps every row and repeats random ones; `under` draws rows without replacement.
        seed: seed of the random choice.

    Returns:
        int, M: indices into `labels`, ascending.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    sizes = [len(rows) for rows in members]
    if how == "over":
        chosen = [np.append(rows, rng.choice(rows, max(sizes) - len(rows))) for rows in members]
    else:
        chosen = [rng.choice(rows, min(sizes), replace=False) for rows in members]
    return np.sort(np.concatenate(chosen))


def synthesise(
    features: np.ndarray, labels: Sequence[int] | np.ndarray, how: Synthesis = "smote", *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add synthetic feature vectors until all classes are about as large as the largest class.

    `smote` interpolates between neighbours of a class (Chawla et al. 2002, doi:10.1613/jair.953). Three variants add
    vectors only near other classes: `borderline` (Han et al. 2005, doi:10.1007/11538059_91), `svm` (Nguyen et al. 2011,
    doi:10.1504/IJKESDP.2011.039875) and `adasyn` (He et al. 2008, doi:10.1109/IJCNN.2008.4633969). All use
    imbalanced-learn. The features are not scaled before distances are computed: scale them first.

    Args:
        features: float, N × D, of the training rows; deep features or cell features, never pixels.
        labels: int, N.
        how: the variant.
        seed: seed of all random choices.

    Returns:
        features, labels: first the given rows, unchanged, then the synthetic rows.

    Raises:
        DataError: a class has only one row, so interpolation is not possible, or the variant finds no rows of small
            classes near other classes.
    """
    labels = np.asarray(labels)
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"Class {names[counts.argmin()]} has one training image only; SMOTE needs two. Use weights or `over`."
        )
    near = int(min(NEIGHBOURS, counts.min() - 1))
    around = int(min(SURROUNDINGS, len(labels) - 1))
    sampler = {
        "smote": lambda: SMOTE(k_neighbors=near, random_state=seed),
        "borderline": lambda: BorderlineSMOTE(k_neighbors=near, m_neighbors=around, random_state=seed),
        "svm": lambda: SVMSMOTE(k_neighbors=near, m_neighbors=around, random_state=seed),
        "adasyn": lambda: ADASYN(n_neighbors=near, random_state=seed),
    }[how]()
    try:
        more, more_labels = sampler.fit_resample(features, labels)
    except (RuntimeError, ValueError) as error:  # raised if classes do not touch
        if how == "smote":
            raise
        raise DataError(_NOTHING.format(how)) from error
    if len(more) == len(labels) and counts.min() < counts.max():
        raise DataError(_NOTHING.format(how))
    return more, more_labels

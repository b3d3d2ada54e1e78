"""Balance between classes, done to training rows alone."""

import numpy as np
import pytest

from leuko.data.errors import DataError
from leuko.data.splitting.balance import class_weights, resample, synthesise
from leuko.data.splitting.groups import find_groups
from leuko.data.splitting.split import folds


def clouds(counts, apart=1.5, seed=0):
    """Features of classes whose centres are `apart` standard deviations from one another."""
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.random.default_rng(seed).normal(size=(len(labels), 6))
    features[:, 0] += apart * labels
    return features, labels


def test_weights_give_each_class_the_same_say():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    weights = class_weights(labels, 3)
    assert np.allclose(weights * [60, 30, 10], weights[0] * 60)
    assert np.isclose(weights[labels].mean(), 1)
    assert class_weights(np.array([0, 0, 2]), 3)[1] == 0


def test_resampling_evens_the_classes_out():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 10]))
    over, under = resample(labels, "over", 3), resample(labels, "under", 3)
    assert np.bincount(labels[over]).tolist() == [60] * 3
    assert set(over) == set(range(100))  # nothing is lost
    assert np.bincount(labels[under]).tolist() == [10] * 3
    assert len(set(under)) == 30  # nothing is repeated
    assert (over == resample(labels, "over", 3)).all() and (under != resample(labels, "under", 4)).any()


@pytest.mark.parametrize("how", ["smote", "borderline", "svm", "adasyn"])
def test_made_up_features_fill_small_classes_and_leave_the_given_ones_alone(how):
    features, labels = clouds([80, 40, 20])
    more, names = synthesise(features, labels, how, seed=1)
    assert (more[:140] == features).all() and (names[:140] == labels).all()
    counts = np.bincount(names)
    assert counts[0] == 80 and counts[1:].min() > 60
    again, _ = synthesise(features, labels, how, seed=1)
    assert (again == more).all()


def test_smote_mixes_rows_of_one_class():
    features, labels = clouds([50, 12], apart=50)
    more, names = synthesise(features, labels, seed=0)
    made_up = more[62:]
    own = features[labels == 1]
    assert (names[62:] == 1).all() and len(made_up) == 38
    assert (made_up >= own.min(axis=0)).all() and (made_up <= own.max(axis=0)).all()


def test_two_rows_are_enough_to_mix():
    features, labels = clouds([50, 2])
    assert np.bincount(synthesise(features, labels, seed=0)[1]).tolist() == [50, 50]


def test_one_row_cannot_be_mixed():
    with pytest.raises(DataError, match=r"Class 1 has one training image only; SMOTE needs two"):
        synthesise(*clouds([50, 1]), seed=0)


def test_variants_say_when_they_find_nothing_to_do():
    for how in ("borderline", "svm"):
        with pytest.raises(DataError, match=f"{how}.*use smote"):
            synthesise(*clouds([50, 2]), how, seed=0)
    with pytest.raises(DataError, match=r"adasyn.*use smote"):
        synthesise(*clouds([50, 20], apart=100), "adasyn", seed=0)
    assert len(synthesise(*clouds([50, 50]), "adasyn", seed=0)[0]) == 100  # balanced already


def test_test_rows_do_not_touch_what_is_trained_on():
    """Whatever stands in the test rows, the balanced training part of a fold is the same."""
    features, labels = clouds([90, 60, 30])
    for fold in folds(labels, find_groups(labels), count=3):
        poisoned = features.copy()
        poisoned[fold.test] = 1e6
        made_up, _ = synthesise(poisoned[fold.train], labels[fold.train], seed=0)
        assert np.abs(made_up).max() < 100
        assert set(fold.train[resample(labels[fold.train], "over", 0)]) == set(fold.train)

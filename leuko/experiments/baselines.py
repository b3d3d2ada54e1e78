"""Classical methods: features of cells, colours or a frozen trunk, and a classifier on them.

Everything is fitted on the training part (imputation, scale, SMOTE, classifier); the validation part chooses among a
few settings by macro-F1; the test part is only predicted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from leuko.data.image_table import ImageTable
from leuko.data.splitting import balance
from leuko.data.splitting.split import Split
from leuko.experiments import array_files
from leuko.networks.classical_features import DescribeImage
from leuko.networks.classical_onnx import LEAST
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input

Classifier = Literal["svm", "forest", "tree", "neighbours"]

SAVE_EVERY = 100  # images


def trunk_features(network: Network, preprocessing: Preprocessing) -> DescribeImage:
    """A function from an image to its pooled features; puts the network into evaluation mode."""
    network.eval()

    def features(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network.pooled(network.trunk(torch.from_numpy(to_input(image, preprocessing))[None]))[0].numpy()

    return features


@dataclass(frozen=True)
class Features:
    """Features of all images.

    Attributes:
        matrix: float, N × D, NaN for features that could not be measured.
        seconds: mean time per image.
    """

    matrix: np.ndarray
    seconds: float


def compute_features(
    rows: ImageTable, describe: DescribeImage, cache: Path, key: str, progress: Callable[[Iterable, str, int], Iterable]
) -> Features:
    """Compute the features of every image; those in `cache` are not computed again.

    Args:
        rows: the images.
        describe: computes the features of one image.
        cache: npz file, written every `SAVE_EVERY` images.
        key: identifies the images and the features; a cache with another key is not used.
        progress: wraps an iterable with a description and a total.
    """
    done, seconds = _read(cache, key)
    todo = range(len(done), len(rows))
    for row in progress(todo, f"Computing features ({cache.stem})", len(todo)):
        image = rows.open_image(row)
        start = time.perf_counter()
        done.append(np.asarray(describe(image), np.float32))
        seconds += time.perf_counter() - start
        if len(done) % SAVE_EVERY == 0 or len(done) == len(rows):
            array_files.save(cache, matrix=np.stack(done), seconds=np.array(seconds), key=np.array(key))
    return Features(np.stack(done), seconds / max(len(done), 1))


def _read(cache: Path, key: str) -> tuple[list[np.ndarray], float]:
    if (stored := array_files.load(cache)) and str(stored["key"]) == key:
        return list(stored["matrix"]), float(stored["seconds"])
    return [], 0.0


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier.

    Attributes:
        prepare, classifier: its two steps.
        classes: number of classes.
    """

    prepare: Pipeline
    classifier: ClassifierMixin
    classes: int

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Uncalibrated logits, N × classes, of features, N × D: scores of an SVM, or logarithms of probabilities."""
        prepared = self.prepare.transform(features)
        if isinstance(self.classifier, SVC):
            scores = self.classifier.decision_function(prepared)
            known = np.stack([-scores, scores], axis=1) / 2 if scores.ndim == 1 else scores
        else:
            known = np.log(np.maximum(self.classifier.predict_proba(prepared), LEAST))
        logits = np.full((len(features), self.classes), np.log(LEAST))
        logits[:, self.classifier.classes_] = known
        return logits


def fit(kind: Classifier, features: np.ndarray, truth: np.ndarray, split: Split, *, smote: bool, seed: int) -> Fitted:
    """Fit a classifier on the training part, with the settings that are best on the validation part.

    Args:
        kind: SVM with a Gaussian kernel, random forest, decision tree, or five nearest neighbours.
        features: float, N × D, of all rows; NaN is replaced by the median of the training part.
        truth: int, N.
        split: of the same rows.
        smote: whether SMOTE makes the classes of the training part as large as the largest.
        seed: for all random choices.

    Raises:
        DataError: a class has too few images for SMOTE.
    """
    train, validation = split.train, split.validation
    prepare = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    prepared, labels = prepare.fit_transform(features[train]), truth[train]
    if smote:
        prepared, labels = balance.synthesise(prepared, labels, seed=seed)
    classes = int(truth.max()) + 1
    fitted = [
        Fitted(prepare, candidate.fit(prepared, labels), classes) for candidate in _candidates(kind, len(labels), seed)
    ]

    def validation_f1(one: Fitted) -> float:
        predicted = one.logits(features[validation]).argmax(axis=1)
        return f1_score(truth[validation], predicted, average="macro")

    return max(fitted, key=validation_f1) if len(fitted) > 1 else fitted[0]


def _candidates(kind: Classifier, images: int, seed: int) -> Sequence[ClassifierMixin]:
    """Classifiers to choose from, the simplest first: it is chosen if others are not better."""
    if kind == "svm":
        return [SVC(C=c) for c in (1.0, 0.1, 10.0, 100.0)]
    if kind == "forest":
        return [RandomForestClassifier(300, min_samples_leaf=leaf, random_state=seed) for leaf in (1, 3)]
    if kind == "tree":
        return [DecisionTreeClassifier(min_samples_leaf=leaf, random_state=seed) for leaf in (20, 5, 1)]
    return [KNeighborsClassifier(min(5, images))]

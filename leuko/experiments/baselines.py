"""What came before networks: measures of cells, colours or a frozen trunk, and a classifier on them.

Every number of a classifier (what replaces a missing value, the scale, SMOTE, the classifier itself) comes from the
training part; the validation part says which of a few settings is best, by macro-F1; the test part is only asked.
"""

from __future__ import annotations

import time
import zipfile
import zlib
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
from leuko.networks.classical_features import DescribeImage
from leuko.networks.classical_onnx import LEAST
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input

Classifier = Literal["svm", "forest", "tree", "neighbours"]

SAVED = 100  # images after which measures are saved


def trunk(network: Network, how: Preprocessing) -> DescribeImage:
    """A function that gives a network's pooled features of an image; the network is put into evaluation mode."""
    network.eval()

    def features(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network.pooled(network.trunk(torch.from_numpy(to_input(image, how))[None]))[0].numpy()

    return features


@dataclass(frozen=True)
class Measures:
    """Measures of all images of a task.

    Attributes:
        matrix: float, N × D, NaN where something could not be measured.
        seconds: that an image took, on average.
    """

    matrix: np.ndarray
    seconds: float


def measure(
    rows: ImageTable, describe: DescribeImage, cache: Path, key: str, progress: Callable[[Iterable, str, int], Iterable]
) -> Measures:
    """Measure every image, going on with what `cache` holds already.

    Args:
        rows: the images.
        describe: measures one.
        cache: npz file, written every `SAVED` images.
        key: names the images and the way they are measured; a cache of another key is not used.
        progress: wraps an iterable of a given name and total.
    """
    done, seconds = _read(cache, key)
    todo = range(len(done), len(rows))
    for row in progress(todo, f"Measuring ({cache.stem})", len(todo)):
        image = rows.open_image(row)
        start = time.perf_counter()
        done.append(np.asarray(describe(image), np.float32))
        seconds += time.perf_counter() - start
        if len(done) % SAVED == 0 or len(done) == len(rows):
            save_npz(cache, matrix=np.stack(done), seconds=np.array(seconds), key=np.array(key))
    return Measures(np.stack(done), seconds / max(len(done), 1))


def _read(cache: Path, key: str) -> tuple[list[np.ndarray], float]:
    if (stored := load_npz(cache)) and str(stored["key"]) == key:
        return list(stored["matrix"]), float(stored["seconds"])
    return [], 0.0


def save_npz(file: Path, **arrays: np.ndarray) -> None:
    """Write arrays so that the file is whole or not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part.npz")
    np.savez_compressed(draft, **arrays)
    draft.replace(file)


def load_npz(file: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file that `save_npz` wrote; None if there is none that can be read without pickle."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


@dataclass(frozen=True)
class Fitted:
    """A classifier on measures.

    Attributes:
        prepare, classifier: the two steps.
        classes: how many there are.
    """

    prepare: Pipeline
    classifier: ClassifierMixin
    classes: int

    def logits(self, measures: np.ndarray) -> np.ndarray:
        """N × D → N × classes: an SVM's scores, or the logarithms of probabilities, not calibrated."""
        given = self.prepare.transform(measures)
        if isinstance(self.classifier, SVC):
            scores = self.classifier.decision_function(given)
            known = np.stack([-scores, scores], axis=1) / 2 if scores.ndim == 1 else scores
        else:
            known = np.log(np.maximum(self.classifier.predict_proba(given), LEAST))
        logits = np.full((len(measures), self.classes), np.log(LEAST))
        logits[:, self.classifier.classes_] = known
        return logits


def fit(kind: Classifier, measures: np.ndarray, truth: np.ndarray, split: Split, *, smote: bool, seed: int) -> Fitted:
    """Fit a classifier on the training part, with the settings that do best on the validation part.

    Args:
        kind: SVM with a Gaussian kernel, random forest, decision tree, or five nearest neighbours.
        measures: float, N × D, of all rows; NaN is replaced by the median of the training part.
        truth: int, N.
        split: of the same rows.
        smote: whether SMOTE makes the classes of the training part as large as the largest.
        seed: of all chance.

    Raises:
        DataError: SMOTE has nothing to mix.
    """
    train, validation = split.train, split.validation
    prepare = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    given, labels = prepare.fit_transform(measures[train]), truth[train]
    if smote:
        given, labels = balance.synthesise(given, labels, seed=seed)
    classes = int(truth.max()) + 1
    fitted = [Fitted(prepare, one.fit(given, labels), classes) for one in _candidates(kind, len(labels), seed)]

    def worth(one: Fitted) -> float:
        answers = one.logits(measures[validation]).argmax(axis=1)
        return f1_score(truth[validation], answers, average="macro")

    return max(fitted, key=worth) if len(fitted) > 1 else fitted[0]


def _candidates(kind: Classifier, images: int, seed: int) -> Sequence[ClassifierMixin]:
    """Classifiers to choose from, the plainest first: of equals, it wins."""
    if kind == "svm":
        return [SVC(C=c) for c in (1.0, 0.1, 10.0, 100.0)]
    if kind == "forest":
        return [RandomForestClassifier(300, min_samples_leaf=leaf, random_state=seed) for leaf in (1, 3)]
    if kind == "tree":
        return [DecisionTreeClassifier(min_samples_leaf=leaf, random_state=seed) for leaf in (20, 5, 1)]
    return [KNeighborsClassifier(min(5, images))]

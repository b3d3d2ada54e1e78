"""Shortcuts and robustness: accuracy without any cells, and accuracy on changed images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leuko.data.image_table import ImageTable
from leuko.evaluation.predict_dataset import Progress
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.networks.model_folder import Model
from leuko.networks.runtime import runtime_of
from leuko.stats import proportions
from leuko.stats.bootstrap import NARROW, Bootstrap, Estimand, Interval

UNCHANGED = "as they are"  # name of the view without any change


class TrainTest(Protocol):
    """Row numbers, int, of the two sides of a split."""

    @property
    def train(self) -> np.ndarray:
        """Training rows."""

    @property
    def test(self) -> np.ndarray:
        """Test rows."""


class TrainingColours(NamedTuple):
    """What a colour baseline learns from: colour statistics, float, N × 9, and labels, int, N."""

    colours: np.ndarray
    labels: np.ndarray


def colour_baseline(
    training: np.ndarray,
    training_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    groups: np.ndarray | None = None,
    network: np.ndarray | None = None,
) -> dict[str, Any]:
    """Evaluate five nearest neighbours on colour statistics alone: the baseline for every accuracy.

    With fewer than five training images, all of them are neighbours.

    Args:
        training, test: float, N × 9, from `leuko.images.stain.colour_statistics.colour_statistics`.
        training_labels, test_labels: int, N.
        groups: N: which test images belong together, for the intervals; None: each image is a group.
        network: int, N: a network's predictions for the test images.

    Returns:
        `accuracy` and macro `f1` on the test images, and `intervals` with both as `{"value", "low", "high"}`; with
        `network` also `network_above`: its macro-F1 minus that of the baseline, from the same resamples.
    """
    predicted = nearest_neighbours(training, training_labels, test)
    figures = with_intervals(predicted, test_labels, groups)
    if network is None:
        return figures
    compared = accuracy_and_f1({"network": network, "baseline": predicted}, test_labels, groups)
    return figures | {"network_above": compared["baseline"]["lost"]}


def with_intervals(predicted: np.ndarray, truth: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    """`accuracy`, macro `f1`, and both as `intervals`, of predicted classes, int, N."""
    figures = accuracy_and_f1({"": predicted}, truth, groups)[""]
    intervals = {name: figures[name] for name in ("accuracy", "f1")}
    return {name: interval["value"] for name, interval in intervals.items()} | {"intervals": intervals}


def nearest_neighbours(training: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict the labels of `test` (M × D) from the five nearest of `training` (N × D, standardised); int, M."""
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(min(5, len(training))))
    return model.fit(training, labels).predict(test)


def accuracy_and_f1(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, dict[str, Interval]]:
    """Accuracy and macro-F1 of several sets of predictions for the same images, and the loss against the first set.

    Args:
        predictions: by name, int, N.
        truth: int, N; macro-F1 is the mean over the classes that occur in it.
        groups: N: which images belong together.

    Returns:
        By name: `accuracy`, `f1`, and `lost` (macro-F1 of the first set minus that of this one, from the same
        resamples).
    """
    size = max(int(truth.max()), *(int(predicted.max()) for predicted in predictions.values())) + 1
    present, bootstrap = np.unique(truth), Bootstrap(truth, groups)
    # One-hot cells of the flattened confusion matrix, N × size².
    cells = {
        name: np.eye(size**2, dtype=np.float32)[truth * size + predicted] for name, predicted in predictions.items()
    }
    first = next(iter(cells.values()))

    def macro_f1(confusion: np.ndarray) -> np.ndarray:
        correct = np.diagonal(confusion, axis1=1, axis2=2)
        predicted_and_actual = confusion.sum(axis=1) + confusion.sum(axis=2)
        return (2 * correct / np.maximum(predicted_and_actual, 1))[:, present].mean(axis=1)

    def estimands(weights: np.ndarray, cell: np.ndarray) -> dict[str, Estimand]:
        of_this, of_first = ((weights @ each).astype(np.float64).reshape(-1, size, size) for each in (cell, first))
        f1, correct = macro_f1(of_this), np.trace(of_this, axis1=1, axis2=2)
        return {
            "accuracy": Estimand.proportion(correct, of_this.sum(axis=(1, 2))),
            "f1": Estimand.bounded(f1),
            "lost": Estimand.bounded(macro_f1(of_first) - f1, -1.0, 1.0),
        }

    return {name: bootstrap.intervals(partial(estimands, cell=cell)) for name, cell in cells.items()}


def evaluate_views(
    model: Model,
    rows: ImageTable,
    views: Callable[[int, np.ndarray], Mapping[str, np.ndarray]],
    truth: np.ndarray,
    groups: np.ndarray,
    *,
    progress: Progress,
    to_class: Callable[[np.ndarray], np.ndarray] = lambda probabilities: probabilities.argmax(axis=1),
    reference: TrainingColours | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate a network, and colour statistics, on changed images; nothing is trained again.

    Args:
        model: a loaded model folder.
        rows: N readable images.
        views: from row number and image (uint8, H × W × 3, RGB) to its changed versions, with the same names each time.
        truth: int, N.
        groups: N.
        progress: wraps the row numbers.
        to_class: from class probabilities, M × C, to the classes of `truth`, int, M.
        reference: unchanged training colours for the colour baseline; None: no baseline.

    Returns:
        By name of the view, "as they are" first: `network` and, with a reference, `colour_baseline` (both as from
        `accuracy_and_f1`), and `familiar` (the share of images that are in distribution; it has no interval because it
        describes these images).
    """
    classes: dict[str, list[int]] = {}
    in_distribution: dict[str, list[bool]] = {}
    colours: dict[str, list[np.ndarray]] = {}
    runtime, ood_detector = runtime_of(model), model.metadata.ood_detector
    for row in progress(range(len(rows)), "Changing images", len(rows)):
        image = rows.open_image(row)
        versions = {UNCHANGED: image, **views(row, image)}
        outputs = runtime.run(np.stack([model.prepare(version) for version in versions.values()]))
        predicted = to_class(softmax(np.stack([output.logits for output in outputs]).astype(np.float64), axis=1))
        known = ood_detector.is_in_distribution(np.stack([output.features for output in outputs]))
        for name, predicted_class, is_known in zip(versions, predicted, known, strict=True):
            classes.setdefault(name, []).append(int(predicted_class))
            in_distribution.setdefault(name, []).append(bool(is_known))
            if reference:
                colours.setdefault(name, []).append(colour_statistics(versions[name]))
    networks = accuracy_and_f1({name: np.array(each) for name, each in classes.items()}, truth, groups)
    figures: dict[str, dict[str, Any]] = {
        name: {"network": networks[name], "familiar": float(np.mean(in_distribution[name]))} for name in classes
    }
    if reference:
        baseline = {name: nearest_neighbours(*reference, np.array(each)) for name, each in colours.items()}
        for name, of_baseline in accuracy_and_f1(baseline, truth, groups).items():
            figures[name]["colour_baseline"] = of_baseline
    return figures


def shortcuts(
    views: Mapping[str, np.ndarray], labels: np.ndarray, splits: Sequence[TrainTest], groups: np.ndarray | None = None
) -> dict[str, dict[str, Interval]]:
    """Accuracy of five nearest neighbours on views of the images that show no cells, over several splits.

    Args:
        views: by name, float, N × D: colour statistics, image borders, scale-bar corners, …
        labels: int, N.
        splits: two or more of the same rows; the training part is learnt, the test part predicted.
        groups: N: which rows belong together; None: each row is a group.

    Returns:
        For each view, and for `majority` (always the largest class of the training part): `accuracy` and macro `f1`,
        each `{"value", "low", "high"}`: the mean over the splits with its 95 % interval.
    """
    labels = np.asarray(labels)
    scores = {
        name: [
            _scores(labels[split.test], nearest_neighbours(view[split.train], labels[split.train], view[split.test]))
            for split in splits
        ]
        for name, view in views.items()
    }
    scores["majority"] = [
        _scores(labels[split.test], np.full(len(split.test), np.bincount(labels[split.train]).argmax()))
        for split in splits
    ]
    test_share = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    tested = np.unique(np.concatenate([split.test for split in splits]))
    units = tested if groups is None else np.asarray(groups)[tested]
    fewest = min(len(np.unique(units[labels[tested] == c])) for c in np.unique(labels[tested]))
    return {
        name: {
            figure: mean_interval([score[figure] for score in each], test_share, fewest)
            for figure in ("accuracy", "f1")
        }
        for name, each in scores.items()
    }


def mean_interval(values: Sequence[float], test_share: float, units: int | None = None) -> Interval:
    """Mean over repeated splits with its 95 % interval.

    Training sets overlap, so the variance is corrected after Nadeau & Bengio 2003, doi:10.1023/A:1024068626366. If the
    splits hardly differ, for example because all predictions are correct, the interval is the exact one for `units`.

    Args:
        values: one figure for each split, 0 to 1.
        test_share: test rows divided by training rows.
        units: number of independent groups or images that were tested, of the class with the fewest; None: unknown.

    Returns:
        `value`, `low`, `high`, 0 to 1. `low` and `high` are None for a single split, and if the splits do not differ
        and `units` is unknown.
    """
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return {"value": mean, "low": None, "high": None}
    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) * (1 / n + test_share) ** 0.5
    if 2 * half >= NARROW:
        return {"value": mean, "low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}
    if units:
        return {**proportions.clopper_pearson_interval(mean, units)}
    return {"value": mean, "low": None, "high": None}


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1": float(f1_score(truth, predicted, average="macro")),
    }

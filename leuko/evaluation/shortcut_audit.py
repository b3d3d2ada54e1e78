"""Shortcuts and robustness: how far one gets without looking at a cell, and what is left when images change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leuko.data.image_table import ImageTable
from leuko.data.splitting.split import Split
from leuko.evaluation.predict_dataset import Progress
from leuko.images.colour_statistics import colour_statistics
from leuko.networks.model_folder import Model
from leuko.networks.runtime import runtime_of
from leuko.stats import proportions
from leuko.stats.bootstrap import NARROW, Bootstrap, Estimand, Estimands, Interval


class Reference(NamedTuple):
    """What a baseline has learnt from: colour statistics, float, N × 9, and labels, int, N."""

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
    """Five nearest neighbours on colour statistics alone: what any accuracy must be read against.

    Of fewer than five training images, all are asked.

    Args:
        training, test: float, N × 9, from `leuko.images.colour_statistics.colour_statistics`.
        training_labels, test_labels: int, N.
        groups: N, which test images belong together, for the intervals; None: each stands alone.
        network: int, N, a network's answers to the test images.

    Returns:
        `accuracy` and macro `f1` on the test images, and `intervals` with both as `{"value", "low", "high"}`; with a
        network, `network_above`: by how much its macro-F1 is higher, from the same resamples.
    """
    answer = nearest_neighbours(training, training_labels, test)
    found = with_intervals(answer, test_labels, groups)
    if network is None:
        return found
    return found | {"network_above": accuracy_and_f1({"network": network, "": answer}, test_labels, groups)[""]["lost"]}


def with_intervals(answer: np.ndarray, truth: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    """`accuracy`, macro `f1` and both as `intervals`, of answers (int, N)."""
    found = accuracy_and_f1({"": answer}, truth, groups)[""]
    intervals = {name: found[name] for name in ("accuracy", "f1")}
    return {name: interval["value"] for name, interval in intervals.items()} | {"intervals": intervals}


def nearest_neighbours(training: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The labels that five nearest neighbours among `training` (N × D, standardised) give to `test` (M × D); int, M."""
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(min(5, len(training))))
    return model.fit(training, labels).predict(test)


def accuracy_and_f1(
    answers: Mapping[str, np.ndarray], truth: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, dict[str, Interval]]:
    """Accuracy and macro-F1 of several sets of answers to the same images, and what is lost against the first.

    Args:
        answers: by name, int, N.
        truth: int, N; the mean F1 is over the classes that occur in it.
        groups: N, which images belong together.

    Returns:
        By name: `accuracy`, `f1`, and `lost` (macro-F1 of the first less this one, from the same resamples).
    """
    size = max(int(truth.max()), *(int(answer.max()) for answer in answers.values())) + 1
    present, resamples = np.unique(truth), Bootstrap(truth, groups)
    cells = {name: np.eye(size**2, dtype=np.float32)[truth * size + answer] for name, answer in answers.items()}
    first = next(iter(answers))

    def figures(weights: np.ndarray) -> Estimands:
        found: dict[tuple[str, str], Estimand] = {}
        for name, cell in cells.items():
            confusion = (weights @ cell).astype(np.float64).reshape(-1, size, size)
            right, all_said = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=1) + confusion.sum(axis=2)
            f1 = (2 * right / np.maximum(all_said, 1))[:, present].mean(axis=1)
            found[name, "accuracy"] = Estimand.proportion(right.sum(axis=1), confusion.sum(axis=(1, 2)))
            found[name, "f1"] = Estimand.bounded(f1)
            found[name, "lost"] = Estimand.bounded(found[first, "f1"].values - f1, -1.0, 1.0)
        return found

    flat = resamples.intervals(figures)
    return {name: {figure: flat[name, figure] for figure in ("accuracy", "f1", "lost")} for name in answers}


def evaluate_views(
    model: Model,
    rows: ImageTable,
    views: Callable[[int, np.ndarray], Mapping[str, np.ndarray]],
    truth: np.ndarray,
    groups: np.ndarray,
    *,
    progress: Progress,
    to_answer: Callable[[np.ndarray], np.ndarray] = lambda probabilities: probabilities.argmax(axis=1),
    reference: Reference | None = None,
) -> dict[str, dict[str, Any]]:
    """What a network, and colour statistics, say of changed images; nothing is trained anew.

    Args:
        model: a loaded model folder.
        rows: N images that can be read.
        views: from row number and image (uint8, H × W × 3, RGB) to its changed versions, always by the same names.
        truth: int, N.
        groups: N.
        progress: wraps the row numbers.
        to_answer: from the network's probabilities, M × classes, to places in `truth`'s classes.
        reference: what the colour baseline has learnt from, unchanged; None: there is no baseline.

    Returns:
        By name, "as they are" first: `network` and, with a reference, `colour_baseline` (both as from `accuracy_and_f1`), and
        `familiar` (the share of images that the network takes to be like its training images, without an interval: it
        describes these images).
    """
    said: dict[str, list] = {}
    engine, ood_detector = runtime_of(model), model.metadata.ood_detector
    for row in progress(range(len(rows)), "Changing images", len(rows)):
        image = rows.open_image(row)
        versions = {"as they are": image, **views(row, image)}
        outputs = engine.run(np.stack([model.prepare(version) for version in versions.values()]))
        answers = to_answer(softmax(np.stack([output.logits for output in outputs]).astype(np.float64), axis=1))
        familiar = ood_detector.is_in_distribution(np.stack([output.features for output in outputs]))
        for (name, version), answer, seen in zip(versions.items(), answers, familiar, strict=True):
            colours = colour_statistics(version) if reference else None
            said.setdefault(name, []).append((answer, seen, colours))
    networks = accuracy_and_f1({name: np.array([a for a, _, _ in each]) for name, each in said.items()}, truth, groups)
    found: dict[str, dict[str, Any]] = {
        name: {"network": networks[name], "familiar": float(np.mean([seen for _, seen, _ in said[name]]))}
        for name in said
    }
    if reference:
        guesses = {
            name: nearest_neighbours(*reference, np.array([c for _, _, c in each])) for name, each in said.items()
        }
        for name, figures in accuracy_and_f1(guesses, truth, groups).items():
            found[name]["colour_baseline"] = figures
    return found


def shortcuts(
    views: Mapping[str, np.ndarray], labels: np.ndarray, splits: Sequence[Split], groups: np.ndarray | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """How far five nearest neighbours get on views of the images that hold no cells, over several splits.

    Args:
        views: by name, float, N × D: colour statistics, image borders, scale-bar corners, …
        labels: int, N.
        splits: two or more, over the same rows; the training part learns, the test part is asked.
        groups: N, which rows belong together; None: each stands alone.

    Returns:
        For each view, and for `majority` (always the largest class of the training part): `accuracy` and macro `f1`,
        each `{"value", "low", "high"}`: the mean over the splits with its 95 % interval.
    """
    labels = np.asarray(labels)
    answers = {name: [_ask(view, labels, split) for split in splits] for name, view in views.items()}
    majority = []
    for split in splits:
        largest = np.bincount(labels[split.train]).argmax()
        majority.append(_figures(labels[split.test], np.full(len(split.test), largest)))
    answers["majority"] = majority
    share = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    asked = np.unique(np.concatenate([split.test for split in splits]))
    units = asked if groups is None else np.asarray(groups)[asked]
    fewest = min(len(np.unique(units[labels[asked] == c])) for c in np.unique(labels[asked]))
    return {
        name: {
            figure: mean_interval([answer[figure] for answer in each], share, fewest) for figure in ("accuracy", "f1")
        }
        for name, each in answers.items()
    }


def mean_interval(values: Sequence[float], test_share: float, units: int | None = None) -> Interval:
    """Mean over repeated splits with its 95 % interval.

    Training sets overlap, so the variance is corrected after Nadeau & Bengio 2003, doi:10.1023/A:1024068626366. Where
    the splits hardly differ, as when all answers are right in each, the interval is the exact one for `units`.

    Args:
        values: one figure for each split, 0 to 1.
        test_share: test rows for each training row.
        units: how many independent groups or images of the class that has fewest were tested in all; None: not known.

    Returns:
        `value`, `low`, `high`, within 0 to 1; without bounds (None) where there are none to be had: for a single split,
        and where splits do not differ and `units` is not known.
    """
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return {"value": mean, "low": None, "high": None}
    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) * (1 / n + test_share) ** 0.5
    if 2 * half < NARROW:
        return (
            proportions.clopper_pearson_interval(mean, units) if units else {"value": mean, "low": None, "high": None}
        )
    return {"value": mean, "low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}


def _ask(view: np.ndarray, labels: np.ndarray, split: Split) -> dict[str, float]:
    return _figures(labels[split.test], nearest_neighbours(view[split.train], labels[split.train], view[split.test]))


def _figures(truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(truth, answer)),
        "f1": float(f1_score(truth, answer, average="macro")),
    }

"""The images a model is evaluated on, the classes they are compared in, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.filename_conventions import name_key
from leuko.data.labels.positive_classes import class_meanings, declared_classes, describe_positive, positive_question
from leuko.data.load import load
from leuko.data.sources.folders import title_of
from leuko.data.splitting.groups import find_groups
from leuko.evaluation.model_split import ModelSplit, given_split, split_of_model
from leuko.networks.model_folder import ModelMetadata

TWO_WAYS = ("not leukaemia", "leukaemia")


@dataclass(frozen=True)
class EvaluationSet:
    """The images of an evaluation.

    Attributes:
        name: of the data set.
        rows: N images, as `leuko.data.load` gives them.
        truth: int, N: index into `labels` of each image's class.
        labels: the classes that are compared: the model's, or `TWO_WAYS`.
        positive: the labels that mean leukaemia.
        training: the model's training images, if these are among the data.
        training_truth: int: index into `labels` of each training image's class; empty without training images.
        known_groups: N, the groups named by the data or by the model's split; None if neither names any.
        description: which images these are and how they are compared, in sentences.
    """

    name: str
    rows: ImageTable
    truth: np.ndarray
    labels: tuple[str, ...]
    positive: tuple[str, ...]
    training: ImageTable | None
    training_truth: np.ndarray
    known_groups: np.ndarray | None
    description: tuple[str, ...]

    @property
    def two_way(self) -> bool:
        """Whether only leukaemia against no leukaemia is compared."""
        return self.labels == TWO_WAYS

    def groups(self, colours: np.ndarray) -> tuple[np.ndarray, str]:
        """Find the groups of the images.

        Args:
            colours: float, N × 9: colour statistics, from which groups are estimated if none are named.

        Returns:
            The group of every image, int, N, and where the groups come from, in words.
        """
        if self.known_groups is not None:
            source = "the groups of the model's split" if self.training is not None else "the groups the data set names"
            return np.unique(self.known_groups, return_inverse=True)[1], source
        groups = find_groups(self.rows.labels, colours=colours, sources=self.rows.sources)
        return groups.group, groups.how


@dataclass(frozen=True)
class _Comparison:
    """How the classes of the data are compared with those of the model.

    Attributes:
        labels: the compared classes.
        positive: those that mean leukaemia.
        indices: index into `labels` of each class of the data.
        description: sentences about it.
    """

    labels: tuple[str, ...]
    positive: tuple[str, ...]
    indices: tuple[int, ...]
    description: tuple[str, ...] = ()


def gather(
    source: str,
    model_folder: Path,
    labels: Sequence[str],
    metadata: ModelMetadata,
    *,
    split: Path | None = None,
    group_column: str | None = None,
    positive: Sequence[str] | None = None,
) -> EvaluationSet:
    """Choose the images, their classes and their groups.

    If the model was trained on these data (same fingerprint, or at least half of the files are named in its
    `evaluation/split.json`), only the test part is used. Otherwise all images are used, except those whose file name is
    that of a training image.

    Args:
        source: folder or Hub id.
        model_folder: folder that may hold the model's split.
        labels, metadata: the model's.
        split: a `split.json` that replaces the model's.
        group_column: see `leuko.data.load.load`.
        positive: classes of the data that mean leukaemia; may be empty. None: they are recognised by name.

    Raises:
        DataError: the data cannot be used, or their classes cannot be compared with the model's.
    """
    parts = load(source, group_column=group_column, one_class=True)
    rows = ImageTable.concatenate(list(parts.values()))
    files, title = rows.files, title_of(source)
    trained_on = metadata.training.get("fingerprint") == rows.fingerprint()
    model_split = given_split(split) if split else split_of_model(model_folder, files, title, trained_on)
    comparison = _compare_classes(rows.class_names, labels, metadata.positive, positive)
    truth = np.array(comparison.indices)[rows.labels]
    part = np.array([model_split.parts.get(file, "") for file in files])
    groups: np.ndarray | None
    if model_split.is_own_data:
        used, training, groups, text = _own_images(source, files, part, model_split)
    else:
        used, training, text = _other_images(part, bool(model_split.parts))
        groups = _named_groups(rows, used)
    return EvaluationSet(
        name=title,
        rows=rows.select(used),
        truth=truth[used],
        labels=comparison.labels,
        positive=comparison.positive,
        training=rows.select(training) if len(training) else None,
        training_truth=truth[training],
        known_groups=groups,
        description=(text, *comparison.description),
    )


def _own_images(
    source: str, files: Sequence[str], part: np.ndarray, split: ModelSplit
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Of the model's own data: rows of the test and of the training part, groups of the test images, a sentence."""
    used, unknown = np.flatnonzero(part == "test"), int((part == "").sum())
    if not len(used):
        raise DataError(f"{source}: none of its {len(part)} images is in the test part of the split.")
    text = f"The model was trained on these data: only its test part is evaluated, {len(used)} of {len(part)} images."
    if split.name:
        text = f"The test part of {split.name}, {len(used)} of {len(part)} images."
    if unknown:
        text += (
            f" {unknown} images are in no part: copies that cleaning left out, or new images, which need a folder of "
            "their own."
        )
    groups = np.array([split.groups[files[int(row)]] for row in used])
    return used, np.flatnonzero(part == "train"), groups, text


def _other_images(part: np.ndarray, compared: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Of other data: rows that are used, no training rows, and a sentence.

    Args:
        part: part of the model's split that each file name belongs to; "" for none.
        compared: whether the model keeps the names of its images.
    """
    used = np.flatnonzero((part == "") | (part == "test"))
    if not compared:
        text = (
            f"All {len(part)} images. The model names no training images, so it is not known whether some of these are "
            "among them."
        )
    elif len(used) < len(part):
        text = f"{len(used)} of {len(part)} images: the others have the file names of training images of the model."
    else:
        text = f"All {len(part)} images; none has the file name of a training image of the model."
    return used, np.array([], int), text


def _named_groups(rows: ImageTable, used: np.ndarray) -> np.ndarray | None:
    """The groups that a data set names; an image without one is its own group."""
    if rows.groups is None:
        return None
    return np.array([group or f"\0{row}" for row, group in enumerate(rows.groups)])[used]


def _compare_classes(
    names: Sequence[str], labels: Sequence[str], model_positive: Sequence[str], positive: Sequence[str] | None
) -> _Comparison:
    """Compare the classes of the data (`names`) with those of the model (`labels`), all or two-way.

    Raises:
        DataError: it is not known which classes mean leukaemia.
    """
    index = {name_key(label): number for number, label in enumerate(labels)}
    if positive is None and all(name_key(name) in index for name in names):
        missing = [label for label in labels if name_key(label) not in {name_key(name) for name in names}]
        text = (f"No images of {', '.join(missing)}; means are over the other classes.",) if missing else ()
        return _Comparison(tuple(labels), tuple(model_positive), tuple(index[name_key(name)] for name in names), text)
    if not model_positive:
        raise DataError(
            f"The classes of the data ({', '.join(names)}) are not those of the model ({', '.join(labels)}), and the "
            "model does not say which of its classes mean leukaemia; only its own classes can be evaluated."
        )
    leukaemia = _leukaemia_classes(names, labels) if positive is None else declared_classes(names, positive)
    text = (f"Compared two-way. {describe_positive(names, leukaemia)}",)
    return _Comparison(TWO_WAYS, TWO_WAYS[1:], tuple(int(name in leukaemia) for name in names), text)


def _leukaemia_classes(names: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The classes of the data that mean leukaemia, by their names."""
    if class_meanings(names).unknown:
        raise DataError(
            f"The classes of the data ({', '.join(names)}) are not those of the model ({', '.join(labels)}). "
            + positive_question(names)
        )
    return class_meanings(names).leukaemia

"""What a model is evaluated on: which images of a data set, under which names of classes, grouped how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.filename_conventions import near_key
from leuko.data.labels.positive_classes import declared_classes, meanings, question, taken_for
from leuko.data.load import load
from leuko.data.sources.folders import title_of
from leuko.data.splitting.groups import find_groups
from leuko.networks.model_folder import ModelMetadata

SPLIT = "evaluation/split.json"
OWN = 0.5  # share of a data set's files in the model's own split, from which it is the model's own data
TWO_WAYS = ("not leukaemia", "leukaemia")


@dataclass(frozen=True)
class EvaluationSet:
    """The images of an evaluation.

    Attributes:
        name: of the data set.
        rows: the images, as `leuko.data.load` gives them.
        truth: int, N: each image's place in `labels`.
        labels: the class names that answers are compared in: the model's, or `TWO_WAYS`.
        positive: those that mean leukaemia.
        training: the images the model learnt from, if the data are its own.
        training_truth: int: their places in `labels`; empty without them.
        known_groups: N, the groups that the data or the model's split name; None if there are none.
        what: sentences: which images these are, and how they are compared.
    """

    name: str
    rows: ImageTable
    truth: np.ndarray
    labels: tuple[str, ...]
    positive: tuple[str, ...]
    training: ImageTable | None
    training_truth: np.ndarray
    known_groups: np.ndarray | None
    what: tuple[str, ...]

    @property
    def two_way(self) -> bool:
        """Whether only leukaemia or not is compared."""
        return self.labels == TWO_WAYS

    def groups(self, colours: np.ndarray) -> tuple[np.ndarray, str]:
        """The group of every image (int, N) and where groups come from, given colour statistics (float, N × 9)."""
        if self.known_groups is not None:
            how = "the groups of the model's split" if self.training is not None else "the groups the data set names"
            return np.unique(self.known_groups, return_inverse=True)[1], how
        found = find_groups(self.rows.labels, colours=colours, sources=self.rows.sources)
        return found.group, found.how


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
    """Choose the images, their classes and groups.

    Of data the model has learnt from (the same fingerprint, or for the most part files of its `evaluation/split.json`)
    the test part alone is used. Of other data all images are, but for those that bear the name of one it has learnt
    from.

    Args:
        source: folder or Hub id.
        model_folder: where the model's split may lie.
        labels, metadata: the model's.
        split: a `split.json` to be used instead of the model's.
        group_column: see `leuko.data.load.load`.
        positive: the classes of the data that mean leukaemia; may be empty. Without it, names are recognised.

    Raises:
        DataError: the data cannot be used, or their classes cannot be compared with the model's.
    """
    parts = load(source, group_column=group_column, one_class=True)
    rows = ImageTable.concatenate(list(parts.values()))
    names = rows.class_names
    files = rows.files
    known = metadata.training.get("fingerprint") == rows.fingerprint()
    parts, own = _parts(files, model_folder, title_of(source), split, known)
    part = np.array([parts[file][0] if file in parts else "" for file in files])
    places, in_words, how = _places(names, labels, metadata.positive, positive)
    truth = np.array(places)[rows.labels]
    compared, meaning = (TWO_WAYS, TWO_WAYS[1:]) if how == "two" else (tuple(labels), metadata.positive)
    train = np.flatnonzero((part == "train") & own)
    groups = None
    if own:
        kept = np.flatnonzero(part == "test")
        if not len(kept):
            raise DataError(f"{source}: none of its {len(rows)} images is in the test part of the split.")
        groups = np.array([parts[files[row]][1] for row in kept])
        told = _own_words(split, len(kept), len(rows), int((part == "").sum()))
    else:
        kept = np.flatnonzero((part == "") | (part == "test"))
        if rows.groups is not None:  # without a name: each its own
            groups = np.array([group or f"\0{row}" for row, group in enumerate(rows.groups)], dtype=object)[kept]
        told = _other_words(len(kept), len(rows), bool(parts))
    return EvaluationSet(
        name=title_of(source),
        rows=rows.select(kept),
        truth=truth[kept],
        labels=compared,
        positive=meaning,
        training=rows.select(train) if len(train) else None,
        training_truth=truth[train],
        known_groups=groups,
        what=(told, *in_words),
    )


def _parts(
    files: Sequence[str], model_folder: Path, title: str, given: Path | None, known: bool
) -> tuple[dict[str, list], bool]:
    """Part and group of the files that a split names, and whether these are the model's own data, or a split's."""
    if given:
        return _read(given), True
    split = model_folder / SPLIT
    if split.is_file():
        parts = _read(split)
        if not known:  # a model of several data sets names each file with its source
            parts |= {file: parts[f"{title}/{file}"] for file in files if f"{title}/{file}" in parts}
        return parts, known or bool(np.mean([file in parts for file in files]) >= OWN)
    if known:
        raise DataError(
            f"The model has learnt from these data, and its folder has no {SPLIT} that tells which images are for "
            "test; give it with --split FILE."
        )
    return {}, False


def _own_words(given: Path | None, test: int, images: int, unknown: int) -> str:
    others = f" {unknown} are in no part: copies that cleaning dropped, or new ones, which need a folder of their own."
    others = others if unknown else ""
    if given:
        return f"The test part of {given.name}, {test} of {images} images.{others}"
    return f"The model has learnt from these data: its test part alone is evaluated, {test} of {images} images.{others}"


def _other_words(kept: int, images: int, compared: bool) -> str:
    if not compared:
        return f"All {images} images. Whether the model has learnt from any of them is not known: it names no images."
    if kept < images:
        return f"{kept} of {images} images: the others bear the names of images that the model has learnt from."
    return f"All {images} images; they do not bear the names of the model's training images."


def _read(split: Path) -> dict[str, list]:
    try:
        files = json.loads(split.read_text(encoding="utf-8"))["files"]
        return {file: [part, int(group)] for file, (part, group) in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{split} is not there or does not hold a split; train.py writes one as {SPLIT}.") from error


def _places(
    names: Sequence[str], labels: Sequence[str], model_positive: Sequence[str], positive: Sequence[str] | None
) -> tuple[list[int], tuple[str, ...], str]:
    """For each class of the data its place among the classes compared, what to say of it, and "two" or "all"."""
    plain = {near_key(label): place for place, label in enumerate(labels)}
    if positive is None and all(near_key(name) in plain for name in names):
        without = [label for label in labels if near_key(label) not in {near_key(name) for name in names}]
        said = (f"No images of {', '.join(without)}; means are over the other classes.",) if without else ()
        return [plain[near_key(name)] for name in names], said, "all"
    if not model_positive:
        raise DataError(
            f"The classes of the data ({', '.join(names)}) are not those of the model ({', '.join(labels)}), and the "
            "model does not say which of its classes mean leukaemia; only its own classes can be evaluated."
        )
    if positive is None:
        if meanings(names).unknown:
            raise DataError(
                f"The classes of the data ({', '.join(names)}) are not those of the model ({', '.join(labels)}). "
                + question(names)
            )
        meaning = meanings(names).leukaemia
    else:
        meaning = declared_classes(names, positive)
    return [int(name in meaning) for name in names], (f"Compared two-way. {taken_for(names, meaning)}",), "two"

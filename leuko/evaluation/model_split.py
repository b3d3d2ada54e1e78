"""The split of the data that a model was trained on: its own, or one that the user gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.data.errors import DataError

SPLIT = "evaluation/split.json"
KNOWN_SHARE = 0.5  # of the files named by the model's split; from it on, the data are those the model was trained on


@dataclass(frozen=True)
class ModelSplit:
    """The split of a model's training data.

    Attributes:
        parts, groups: part ("train", "validation", "test") and group number by file name.
        is_own_data: whether the evaluated data are those that were split.
        name: of the file that was given instead of the model's own; None otherwise.
    """

    parts: dict[str, str]
    groups: dict[str, int]
    is_own_data: bool
    name: str | None = None


def given_split(file: Path) -> ModelSplit:
    """A split that the user gives: the data are taken to be those that were split."""
    return _read_split(file, is_own_data=True, name=file.name)


def split_of_model(folder: Path, files: Sequence[str], title: str, trained_on: bool) -> ModelSplit:
    """The split in a model folder, or an empty one if the model keeps none.

    Args:
        folder: the model folder.
        files: names of the evaluated files.
        title: name of the evaluated data set.
        trained_on: whether the fingerprint says that the model was trained on these data.

    Raises:
        DataError: the model was trained on these data and its folder has no split.
    """
    file = folder / SPLIT
    if not file.is_file():
        if trained_on:
            raise DataError(
                f"The model was trained on these data, and its folder has no {SPLIT} that names the test images; give "
                "it with --split FILE."
            )
        return ModelSplit({}, {}, is_own_data=False)
    split = _read_split(file, is_own_data=trained_on)
    if trained_on:
        return split
    # A model of several data sets names each file together with its source.
    named = {file: f"{title}/{file}" for file in files if f"{title}/{file}" in split.parts}
    parts = split.parts | {file: split.parts[full] for file, full in named.items()}
    groups = split.groups | {file: split.groups[full] for file, full in named.items()}
    return ModelSplit(parts, groups, is_own_data=bool(np.mean([file in parts for file in files]) >= KNOWN_SHARE))


def _read_split(file: Path, *, is_own_data: bool, name: str | None = None) -> ModelSplit:
    try:
        files = json.loads(file.read_text(encoding="utf-8"))["files"]
        parts = {image: part for image, (part, _) in files.items()}
        groups = {image: int(group) for image, (_, group) in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{file} does not exist or does not hold a split; train.py writes one as {SPLIT}.") from error
    return ModelSplit(parts, groups, is_own_data, name)

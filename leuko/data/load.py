"""Image folders and Hub data sets, as one kind of `datasets.DatasetDict`.

Every split has the columns `image` (undecoded: `leuko.images.decode` is the only door for bytes), `label`
(a `ClassLabel`) and `file` (the name, in whose natural order the rows stand).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import datasets
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from leuko.images.decode import SUFFIXES, decode

_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_POSITIVE = {"all", "leukaemia", "leukemia", "leukemic", "leukaemic", "blast", "blasts", "early", "pre", "pro"}
_POSITIVE |= {"malignant", "cancer", "l1", "l2", "l3"}


class DataError(ValueError):
    """Data that cannot be trained on; the message is one sentence that says what to do."""


def load(source: str) -> DatasetDict:
    """Load `D/CLASS/*.jpg`, `D/{train,validation,test}/CLASS/*.jpg`, or a data set of the Hub.

    Args:
        source: path of a folder or Hub id (`USER/NAME`).

    Returns:
        Splits by name; only `train` where the source has none.

    Raises:
        DataError: no such source, no images, fewer than two classes.
    """
    folder = Path(source)
    splits = _from_folder(folder) if folder.is_dir() else _from_hub(source)
    names = splits["train"].features["label"].names
    if len(names) < 2:
        raise DataError(f"{source} has only one class ({names[0]}); at least two are needed.")
    return splits


def open_image(row_image: dict) -> np.ndarray:
    """Decode one value of the `image` column to uint8, H × W × 3, RGB.

    Raises:
        leuko.images.decode.ImageError: the image cannot be used.
    """
    return decode(row_image["bytes"] or row_image["path"])


def natural(name: str) -> list[str | int]:
    """Sort key under which file 9 comes before file 10."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", name)]


def recognise_positive(labels: Iterable[str]) -> tuple[str, ...]:
    """The class names that mean leukaemia in the field's data sets (all, blast, early, pre, pro, malignant, …)."""
    return tuple(n for n in labels if _POSITIVE & set(re.split(r"[^a-z0-9]+", n.lower())))


def _from_folder(folder: Path) -> DatasetDict:
    children = [child for child in folder.iterdir() if child.is_dir()]
    parts = {_SPLITS[c.name.lower()]: c for c in children if c.name.lower() in _SPLITS}
    if "train" not in parts:
        parts = {"train": folder}
    names = sorted(c.name for c in parts["train"].iterdir() if c.is_dir() and _images(c))
    if not names:
        raise DataError(f"{folder} has no images; expected {folder}/CLASS/*.jpg.")
    features = Features({"image": Image(decode=False), "label": ClassLabel(names=names), "file": Value("string")})
    return DatasetDict({split: _rows(part, names, features) for split, part in parts.items()})


def _images(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda file: natural(file.name))


def _rows(folder: Path, names: list[str], features: Features) -> Dataset:
    strange = [c.name for c in folder.iterdir() if c.is_dir() and c.name not in names and _images(c)]
    if strange:
        raise DataError(f"{folder} has classes that the training images lack: {', '.join(strange)}.")
    files = [(file, label) for label, name in enumerate(names) for file in _images(folder / name)]
    return Dataset.from_dict(
        {
            "image": [str(file) for file, _ in files],
            "label": [label for _, label in files],
            "file": [str(file.relative_to(folder)) for file, _ in files],
        },
        features=features,
    )


def _from_hub(name: str) -> DatasetDict:
    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:  # many kinds, from the Hub, from the network and from the builders
        raise DataError(
            f"There is no folder {name!r}, and the Hub did not give a data set of that name; check the name and the "
            "connection."
        ) from error
    splits = DatasetDict({_SPLITS.get(split, split): rows for split, rows in loaded.items()})
    if "train" not in splits:
        raise DataError(f"The data set {name!r} has no training split.")
    features = splits["train"].features
    images = [column for column, feature in features.items() if isinstance(feature, Image)]
    labels = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    labels += [column for column in ("label", "labels", "class") if column in features and column not in labels]
    if not images or not labels:
        raise DataError(f"The data set {name!r} needs an image column and a label column.")
    splits = splits.cast_column(images[0], Image(decode=False))
    if not isinstance(features[labels[0]], ClassLabel):
        names = sorted(set(map(str, splits["train"][labels[0]])))
        splits = splits.cast_column(labels[0], Value("string")).cast_column(labels[0], ClassLabel(names=names))
    return DatasetDict({split: _uniform(rows, images[0], labels[0]) for split, rows in splits.items()})


def _uniform(rows: Dataset, image: str, label: str) -> Dataset:
    rows = rows.select_columns([image, label]).rename_columns({image: "image", label: "label"})
    files = [value["path"] or f"{i}" for i, value in enumerate(rows["image"])]
    return rows.add_column("file", files)

"""Convert the splits and columns of a `datasets.DatasetDict` to `ImageTable`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from huggingface_hub import constants

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.filename_conventions import parse_file_name
from leuko.data.sources.columns import IMAGES, LABELS, choose_group, choose_label, columns_named_like, is_group
from leuko.data.sources.folder_layout import part_of


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are used; `group` is None if there is none."""

    image: str
    label: str
    group: str | None


@dataclass(frozen=True)
class ImageCell:
    """One cell of a column of images, read from the memory-mapped file when it is needed."""

    rows: Dataset
    column: str
    row: int

    def fetch(self) -> bytes | Path | None:
        """The undecoded file or the path of a file; None if the cell is empty."""
        cell = self.rows[self.row][self.column]
        if not cell:
            return None
        return cell["bytes"] or (Path(cell["path"]) if cell["path"] else None)


def tables_of(
    loaded: DatasetDict, name: str, title: str, group_column: str | None, on_message: Callable[[str], None]
) -> dict[str, ImageTable]:
    """Find the columns of images, labels and groups, and make a table of every split.

    Args:
        loaded: all splits.
        name: the folder or Hub id, for error messages.
        title: the name for `ImageTable.sources`.
        group_column: the column of groups; None to find it by name.
        on_message: receives a line for every column that was chosen or is not used.

    Raises:
        DataError: there is no training split, a split occurs twice, a column is missing or ambiguous, or an image has
            no label.
    """
    parts = {split: part_of(split) or split for split in loaded}
    if len(set(parts.values())) < len(parts):
        raise DataError(f"The data set {name!r} has one part twice ({', '.join(parts)}); keep one of each.")
    splits = {parts[split]: rows for split, rows in loaded.items()}
    if "train" not in splits:
        raise DataError(f"The data set {name!r} has no training split.")
    columns = _choose_columns(splits, name, title, group_column, on_message)
    return {split: _table(rows, columns, name, title) for split, rows in splits.items()}


def _choose_columns(
    splits: dict[str, Dataset], name: str, title: str, group_column: str | None, on_message: Callable[[str], None]
) -> Columns:
    features = splits["train"].features
    image, label = _image_column(features, name), _label_column(splits, name, title, on_message)
    if not image or not label:
        raise DataError(f"The data set {name!r} needs an image column and a label column.")
    others = [c for c, f in features.items() if c not in (image, label) and isinstance(f, (Value, ClassLabel))]
    values = {c: _texts(splits, c) if is_group(c) else [] for c in others}
    group, messages = choose_group(values, group_column, title, _texts(splits, label))
    for line in messages:
        on_message(line)
    return Columns(image, label, group)


def _image_column(features: Features, name: str) -> str | None:
    """The column of images; if there are several, the one with a typical name.

    Raises:
        DataError: several columns hold images, and none is called `image`.
    """
    candidates = [column for column, feature in features.items() if isinstance(feature, Image)]
    named = columns_named_like(candidates, IMAGES)
    if len(candidates) > 1 and not named:
        raise DataError(
            f"The data set {name!r} has several columns of images ({', '.join(candidates)}); call one 'image'."
        )
    return next(iter(named or candidates), None)


def _label_column(splits: dict[str, Dataset], name: str, title: str, on_message: Callable[[str], None]) -> str | None:
    """The column with a typical name for labels, or else the only column of classes.

    Raises:
        DataError: several columns could be the label column.
    """
    features = splits["train"].features
    named = [c for c in columns_named_like(features, LABELS) if isinstance(features[c], (Value, ClassLabel))]
    label, messages = choose_label({column: _texts(splits, column) for column in named}, title)
    for line in messages:
        on_message(line)
    classes = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    if label is None and len(classes) > 1:
        raise DataError(
            f"The data set {name!r} has several columns of classes ({', '.join(classes)}); call one 'label'."
        )
    return label or next(iter(classes), None)


def _texts(splits: dict[str, Dataset], column: str) -> list[str]:
    """The values of a column in all splits as text, classes by name; empty for missing values."""
    feature = next(iter(splits.values())).features[column]
    numbers = range(feature.num_classes) if isinstance(feature, ClassLabel) else ()
    values = [value for rows in splits.values() for value in rows[column][:]]
    return ["" if value is None else feature.int2str(value) if value in numbers else str(value) for value in values]


def _table(rows: Dataset, columns: Columns, name: str, title: str) -> ImageTable:
    cells = rows.data.table[columns.image]  # accessing the column of a Dataset would read every image
    paths = pc.struct_field(cells, "path").to_pylist()
    embedded = pc.is_valid(pc.struct_field(cells, "bytes")).to_pylist()
    _refuse_foreign_files(
        name, (path for path, has_bytes in zip(paths, embedded, strict=True) if path and not has_bytes)
    )
    labels, class_names = _labels(rows, columns.label, name)
    files = _file_names([class_names[label] for label in labels], paths)
    images = rows.select_columns([columns.image]).cast_column(columns.image, Image(decode=False))
    return ImageTable(
        images=[ImageCell(images, columns.image, row) for row in range(len(rows))],
        labels=labels,
        class_names=class_names,
        files=files,
        sources=[title] * len(rows),
        groups=_groups(rows, columns.group, files),
    )


def _labels(rows: Dataset, column: str, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers and class names.

    Raises:
        DataError: an image has no label.
    """
    feature, values = rows.features[column], rows[column][:]
    numbers = range(feature.num_classes) if isinstance(feature, ClassLabel) else None
    # Only NaN differs from itself.
    if missing := sum(v in (None, "") or v != v or (numbers is not None and v not in numbers) for v in values):
        raise DataError(f"{missing} of the {len(rows)} images of {name!r} have no label; label them or leave them out.")
    if isinstance(feature, ClassLabel):
        return np.array(values, dtype=np.int64), tuple(feature.names)
    class_names = sorted({str(value) for value in values})
    return np.array([class_names.index(str(value)) for value in values], dtype=np.int64), tuple(class_names)


def _file_names(labels: Sequence[str], paths: Sequence[str | None]) -> list[str]:
    """Unique names `CLASS/FILE`; the row number replaces a missing file name and is added to repeated names."""
    files = [
        f"{label}/{Path(path).name if path else f'{row:06d}'}"
        for row, (label, path) in enumerate(zip(labels, paths, strict=True))
    ]
    count = Counter(files)
    return [file if count[file] == 1 else f"{file}#{row}" for row, file in enumerate(files)]


def _groups(rows: Dataset, column: str | None, files: Sequence[str]) -> list[str] | None:
    """The values of the group column or, without one, the subjects in the file names if all names contain one."""
    if column is not None:
        return ["" if value is None else str(value) for value in rows[column][:]]
    subjects = [name.group for file in files if (name := parse_file_name(file)) and name.group]
    return subjects if len(subjects) == len(files) else None


def _refuse_foreign_files(name: str, files: Iterable[str]) -> None:
    """Refuse a Hub data set whose tables name files of this computer that do not belong to the data set.

    `datasets` checks all other files. The tables of a local folder may name any file, because the user owns them.
    """
    if Path(name).is_dir():
        return
    caches = [Path(cache).resolve() for cache in (datasets.config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE)]
    for file in files:
        if not any(Path(file).resolve().is_relative_to(cache) for cache in caches):
            raise DataError(f"The data set {name!r} names an image that is not its own ({file}), which is not read.")

"""Data sets that `datasets` has read, of the Hub or of parquet files, with our names of splits and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from huggingface_hub import constants

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import told_by
from leuko.data.sources.columns import IMAGES, LABELS, choose_group, choose_label, is_group, like
from leuko.data.sources.folder_layout import part_of
from leuko.data.sources.folders import title_of

TEXT = Value("string")


def tidy(loaded: DatasetDict, name: str, group_column: str | None, on_message: Callable[[str], None]) -> DatasetDict:
    """Name the splits and columns of a data set that `datasets` has read as ours are named."""
    parts = {split: part_of(split) or split for split in loaded}
    if len(set(parts.values())) < len(parts):
        raise DataError(f"The data set {name!r} has one part twice ({', '.join(parts)}); keep one of each.")
    splits = DatasetDict({parts[split]: rows for split, rows in loaded.items()})
    if "train" not in splits:
        raise DataError(f"The data set {name!r} has no training split.")
    features = splits["train"].features
    image, label = _image_column(features, name), _label_column(splits, name, on_message)
    if not image or not label:
        raise DataError(f"The data set {name!r} needs an image column and a label column.")
    others = [c for c, f in features.items() if c not in (image, label) and isinstance(f, (Value, ClassLabel))]
    values = {c: _texts(splits, c) if is_group(c) else [] for c in others}
    group, said = choose_group(values, group_column, title_of(name), _texts(splits, label))
    for line in said:
        on_message(line)
    splits = splits.select_columns([column for column in (image, label, group) if column])
    splits = splits.rename_columns({image: "image", label: "label"} | ({group: "group"} if group else {}))
    return DatasetDict(
        {split: _named(rows.cast_column("image", Image(decode=False)), name) for split, rows in splits.items()}
    )


def _image_column(features: Features, name: str) -> str | None:
    """The column of images; of several, the one that is called so.

    Raises:
        DataError: several hold images, and none is called `image`.
    """
    found = [column for column, feature in features.items() if isinstance(feature, Image)]
    usual = like(found, IMAGES)
    if len(found) > 1 and not usual:
        raise DataError(f"The data set {name!r} has several columns of images ({', '.join(found)}); call one 'image'.")
    return next(iter(usual or found), None)


def _label_column(splits: DatasetDict, name: str, on_message: Callable[[str], None]) -> str | None:
    """The column of labels: the one that is called so, or else the only one of classes.

    Raises:
        DataError: several could be it.
    """
    features = splits["train"].features
    named = [c for c in like(features, LABELS) if isinstance(features[c], (Value, ClassLabel))]
    label, said = choose_label({column: _texts(splits, column) for column in named}, title_of(name))
    for line in said:
        on_message(line)
    classes = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    if label is None and len(classes) > 1:
        raise DataError(
            f"The data set {name!r} has several columns of classes ({', '.join(classes)}); call one 'label'."
        )
    return label or next(iter(classes), None)


def _texts(splits: DatasetDict, column: str) -> list[str]:
    """The values of a column in all splits as text, classes by name; empty where there is none."""
    feature = next(iter(splits.values())).features[column]
    known = range(feature.num_classes) if isinstance(feature, ClassLabel) else ()
    values = [value for rows in splits.values() for value in rows[column][:]]
    return ["" if value is None else feature.int2str(value) if value in known else str(value) for value in values]


def _named(rows: Dataset, name: str) -> Dataset:
    """Make classes of the labels, add the files' names, and take groups from the names if none are given."""
    images, given, classes = rows.data.table["image"], rows["label"][:], rows.features["label"]
    known = range(classes.num_classes) if isinstance(classes, ClassLabel) else None
    if missing := sum(v in (None, "") or v != v or (known is not None and v not in known) for v in given):
        raise DataError(f"{missing} of the {len(rows)} images of {name!r} have no label; label them or leave them out.")
    if known is None:
        values = [str(value) for value in given]
        classes = ClassLabel(names=sorted(set(values)))
        rows = with_column(rows, "label", classes.str2int(values), classes)
    labels = rows.features["label"].int2str(rows["label"][:])
    paths = pc.struct_field(images, "path").to_pylist()  # the column itself would read every image
    alone = pc.is_null(pc.struct_field(images, "bytes")).to_pylist()
    _keep_within(name, (path for path, read_from_it in zip(paths, alone, strict=True) if path and read_from_it))
    files = []
    for i, (label, path) in enumerate(zip(labels, paths, strict=True)):
        files.append(f"{label}/{Path(path).name if path else f'{i:06d}'}")
    count = Counter(files)
    files = [file if count[file] == 1 else f"{file}#{i}" for i, file in enumerate(files)]
    told = [told_by(file) for file in files]
    if "group" not in rows.column_names and all(name and name.group for name in told):
        rows = with_column(rows, "group", [name.group for name in told if name])
    return with_column(rows, "file", files)


def _keep_within(name: str, files: Iterable[str]) -> None:
    """Refuse a data set of the Hub whose tables name images of this disk: `datasets` sees to all its other files."""
    if Path(name).is_dir():
        return  # its owner's tables may name what they like
    homes = [Path(home).resolve() for home in (datasets.config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE)]
    for file in files:
        if not any(Path(file).resolve().is_relative_to(home) for home in homes):
            raise DataError(f"The data set {name!r} names an image that is not its own ({file}), which is not read.")


def with_column(rows: Dataset, name: str, values: list, feature: ClassLabel | Value = TEXT) -> Dataset:
    """Add or replace a column; unlike a cast, this leaves the images where they are."""
    return (rows.remove_columns(name) if name in rows.column_names else rows).add_column(name, values, feature=feature)


def labels_of(rows: Dataset) -> list[str]:
    """The class name of every row."""
    return rows.features["label"].int2str(rows["label"][:])

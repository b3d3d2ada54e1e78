"""Image folders, tables and Hub data sets, one or several, as one kind of `datasets.DatasetDict`.

Every split has the columns `image` (undecoded: `leuko.images.decode` is the only door for bytes), `label`
(a `ClassLabel`), `file` (its name, unique), `source` (where it comes from) and, where patients, subjects or slides are
known, `group`. Rows stand in the natural order of source, class and file. Images are opened one by one, when asked for,
so that a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import datasets
import httpx2
import numpy as np
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from leuko.data.folders import LABELS as LABEL_COLUMNS
from leuko.data.folders import SPLITS, DataError, Row, column_of, group_column_of, read_folder, title_of
from leuko.data.names import natural, told_by
from leuko.images.decode import ImageError, decode, read
from leuko.models import remote

TEXT = Value("string")


def load(sources: str | Sequence[str], *, group_column: str | None = None, one_class: bool = False) -> DatasetDict:
    """Load one data set, or several as one, from folders and from the Hub.

    Args:
        sources: paths of folders (see `leuko.data.folders.read_folder`; parquet files too) and Hub ids (`USER/NAME`).
            Of several sources the rows' `file` and `group` begin with the source's name.
        group_column: the column that says which images belong together (patient, subject, slide); by default one that
            is named like it, or what the file names carry.
        one_class: whether images of a single class will do.

    Returns:
        Splits by name, test and validation before the others; only `train` where the sources have none. If there are
        several, files begin with the split's name, as splits may share file names.

    Raises:
        DataError: no such source, no images, fewer than two classes, or sources that do not go together.
    """
    names = [sources] if isinstance(sources, str) else list(sources)
    loaded = [_load_one(name, group_column) for name in names]
    if len({frozenset(splits) for splits in loaded}) > 1:
        raise DataError(f"Of {', '.join(names)} only some have validation and test parts; give sources of one kind.")
    titles = _titles(names)
    labels = sorted({label for splits in loaded for rows in splits.values() for label in rows.features["label"].names})
    if len(labels) < 2 and not one_class:
        raise DataError(f"{', '.join(names)}: there is only one class ({labels[0]}); at least two are needed.")
    together = DatasetDict()
    # Test first: of identical pictures cleaning keeps the first, and training must be the part that gives way.
    for split in sorted(loaded[0], key=lambda split: (split != "test", split != "validation", split)):
        parts = [_of_source(s[split], title, labels, len(names) > 1) for s, title in zip(loaded, titles, strict=True)]
        together[split] = concatenate_datasets(_with_groups_alike(parts))
        if len(loaded[0]) > 1:
            files = [f"{split}/{file}" for file in together[split]["file"]]
            together[split] = _with_column(together[split], "file", files)
    if absent := set(labels) - {labels[i] for i in set(together["train"]["label"])}:
        raise DataError(f"The training images lack classes that other parts have: {', '.join(sorted(absent))}.")
    return together


def open_image(row_image: dict | None) -> np.ndarray:
    """Decode one value of the `image` column to uint8, H × W × 3, RGB.

    Raises:
        leuko.images.decode.ImageError: the image cannot be used.
    """
    return decode(bytes_of(row_image))


def bytes_of(row_image: dict | None) -> bytes:
    """The undecoded file of one value of the `image` column.

    Raises:
        leuko.images.decode.ImageError: there is none, it is empty or too large, or it cannot be opened.
    """
    source = row_image and (row_image["bytes"] or row_image["path"])
    if not source:
        raise ImageError("There is no image in this row; add it or leave the row out.")
    return read(source)


def fingerprint(rows: Dataset) -> str:
    """Digest of the file names and labels of a data set, in order: which data this is."""
    digest = hashlib.sha256()
    for file, label in zip(rows["file"], rows["label"], strict=True):
        digest.update(f"{file}\t{label}\n".encode())
    return digest.hexdigest()[:16]


def _load_one(name: str, group_column: str | None) -> DatasetDict:
    folder = Path(name)
    if not folder.is_dir():
        return _tidy(_from_hub(name), name, group_column)
    if any(folder.rglob("*.parquet")):
        return _tidy(_read(name), name, group_column)
    return DatasetDict({split: _of_files(rows) for split, rows in read_folder(folder, group_column).items()})


def _of_files(rows: list[Row]) -> Dataset:
    names = sorted({row.label for row in rows})
    content: dict[str, list] = {
        "image": [str(row.path) for row in rows],
        "label": [names.index(row.label) for row in rows],
        "file": [row.file for row in rows],
    }
    features = Features({"image": Image(decode=False), "label": ClassLabel(names=names), "file": Value("string")})
    if any(row.group for row in rows):
        content["group"] = [row.group or "" for row in rows]
        features["group"] = Value("string")
    return Dataset.from_dict(content, features=features)


def _from_hub(name: str) -> DatasetDict:
    try:
        validate_repo_id(name)
        with remote.quiet():
            return _read(name)
    except HFValidationError as error:
        raise DataError(f"There is no folder {name!r}; give one, or a data set of the Hub (USER/NAME).") from error
    except DatasetNotFoundError as error:
        raise DataError(
            f"There is no folder {name!r} and no such data set on the Hub; check the name and, if it is private, log "
            "in with `hf auth login`."
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise DataError(
                f"There is no folder {name!r}, and the Hub lets this token read no such data set; check HF_TOKEN."
            ) from error
        raise DataError(
            f"There is no folder {name!r}, and the Hub could not be reached for a data set; check the name and the "
            "connection, then run again."
        ) from error


def _read(name: str) -> DatasetDict:
    """What `datasets` reads, with its builders' many kinds of complaints about strange files as one."""
    try:
        return datasets.load_dataset(name)
    except (DatasetNotFoundError, HfHubHTTPError, httpx2.HTTPError, OSError):
        raise
    except Exception as error:  # the builders raise what their parsers raise
        raise DataError(f"{name} cannot be read as a data set of images; check its files.") from error


def _keep_within(name: str, files: Iterable[str]) -> None:
    """Refuse a data set of the Hub whose tables name images of this disk: `datasets` sees to all its other files."""
    if Path(name).is_dir():
        return  # its owner's tables may name what they like
    homes = [Path(home).resolve() for home in (datasets.config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE)]
    for file in files:
        if not any(Path(file).resolve().is_relative_to(home) for home in homes):
            raise DataError(f"The data set {name!r} names an image that is not its own ({file}), which is not read.")


def _tidy(loaded: DatasetDict, name: str, group_column: str | None) -> DatasetDict:
    """Name the splits and columns of a data set that `datasets` has read as ours are named."""
    splits = DatasetDict({SPLITS.get(split, split): rows for split, rows in loaded.items()})
    if "train" not in splits:
        raise DataError(f"The data set {name!r} has no training split.")
    features = splits["train"].features
    image = next((column for column, feature in features.items() if isinstance(feature, Image)), None)
    labels = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    label = labels[0] if labels else column_of(features, LABEL_COLUMNS)
    if not image or not label:
        raise DataError(f"The data set {name!r} needs an image column and a label column.")
    group = group_column_of([column for column in features if column not in (image, label)], group_column)
    splits = splits.select_columns([column for column in (image, label, group) if column])
    splits = splits.rename_columns({image: "image", label: "label"} | ({group: "group"} if group else {}))
    return DatasetDict(
        {split: _named(rows.cast_column("image", Image(decode=False)), name) for split, rows in splits.items()}
    )


def _named(rows: Dataset, name: str) -> Dataset:
    """Make classes of the labels, add the files' names, and take groups from the names if none are given."""
    images, given, classes = rows.data.table["image"], rows["label"][:], rows.features["label"]
    known = range(classes.num_classes) if isinstance(classes, ClassLabel) else None
    if missing := sum(v in (None, "") or v != v or (known is not None and v not in known) for v in given):
        raise DataError(f"{missing} of the {len(rows)} images of {name!r} have no label; label them or leave them out.")
    if known is None:
        values = [str(value) for value in given]
        classes = ClassLabel(names=sorted(set(values)))
        rows = _with_column(rows, "label", classes.str2int(values), classes)
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
        rows = _with_column(rows, "group", [name.group for name in told if name])
    return _with_column(rows, "file", files)


def _with_column(rows: Dataset, name: str, values: list, feature: ClassLabel | Value = TEXT) -> Dataset:
    """Add or replace a column; unlike a cast, this leaves the images where they are."""
    return (rows.remove_columns(name) if name in rows.column_names else rows).add_column(name, values, feature=feature)


def _titles(names: list[str]) -> list[str]:
    """Short names of the sources: the folder's or the Hub id, with folders above it where two would be alike."""
    titles = [title_of(name) for name in names]
    if len(set(titles)) < len(titles):
        titles = ["/".join(Path(name).resolve().parts[-2:]) if Path(name).exists() else name for name in names]
    if len(set(titles)) < len(titles):
        raise DataError("A source is given twice; give each once.")
    return titles


def _of_source(rows: Dataset, title: str, labels: list[str], one_of_many: bool) -> Dataset:
    """Mark rows with their source, number their classes as all sources together do, put them into natural order."""
    names = rows.features["label"].names
    rows = _with_column(rows, "label", [labels.index(names[i]) for i in rows["label"]], ClassLabel(names=labels))
    rows = _with_column(rows, "source", [title] * len(rows))
    for column in {"file", "group"} & set(rows.column_names):
        values = [f"{title}/{value}" if value and one_of_many else str(value or "") for value in rows[column]]
        rows = _with_column(rows, column, values)
    order = sorted(
        range(len(rows)), key=lambda i, label=rows["label"][:], file=rows["file"][:]: (label[i], natural(file[i]))
    )
    columns = ["image", "label", "file", "source", "group"]
    return rows.select_columns([column for column in columns if column in rows.column_names]).select(order)


def _with_groups_alike(parts: list[Dataset]) -> list[Dataset]:
    """Give all parts a column of groups if one has it; a row without a group has an empty one."""
    if not any("group" in rows.column_names for rows in parts):
        return parts
    return [rows if "group" in rows.column_names else _with_column(rows, "group", [""] * len(rows)) for rows in parts]

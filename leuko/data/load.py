"""Image folders, tables and Hub data sets, one or several, as one kind of `datasets.DatasetDict`.

Every split has the columns `image` (undecoded: `leuko.images.decode` is the only door for bytes), `label`
(a `ClassLabel`), `file` (its name, unique), `source` (where it comes from) and, where patients, subjects or slides are
known, `group`. Rows stand in the natural order of source, class and file. Images are opened one by one, when asked for,
so that a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import httpx2
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, concatenate_datasets
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from leuko.data.labels.filename_conventions import listed, natural
from leuko.data.labels.label_conflicts import refuse_contradictions
from leuko.data.labels.positive_classes import one_spelling
from leuko.data.sources.file_walk import is_hidden, is_image
from leuko.data.sources.folders import DataError, Row, read_folder, title_of, warn
from leuko.data.sources.hub_columns import TEXT, labels_of, tidy, with_column
from leuko.data.splitting.patient_ids import doubt, one_name
from leuko.images.decode import ImageError, decode, read
from leuko.networks import hub_errors
from leuko.system.hub_ids import is_path


def load(
    sources: str | Sequence[str],
    *,
    group_column: str | None = None,
    one_class: bool = False,
    on_message: Callable[[str], None] = warn,
) -> DatasetDict:
    """Load one data set, or several as one, from folders and from the Hub.

    Args:
        sources: paths of folders (see `leuko.data.sources.folders.read_folder`; parquet files too) and Hub ids (`USER/NAME`).
            Of several sources the rows' `file` and `group` begin with the source's name.
        group_column: the column that says which images belong together (patient, subject, slide); by default one that
            is named like it, or what the file names carry.
        one_class: whether images of a single class will do.
        on_message: receives a line for everything that was taken for something (columns, parts, spellings) or is not used.

    Returns:
        Splits by name, test and validation before the others; only `train` where the sources have none. If there are
        several, files begin with the split's name, as splits may share file names. Class names that differ in case,
        spaces, hyphens or Unicode form alone are one class.

    Raises:
        DataError: no such source, no images, fewer than two classes, sources that do not go together, or files whose
            names contradict their labels.
    """
    names = [sources] if isinstance(sources, str) else list(sources)
    loaded = [_with_patients(_load_one(name, group_column, on_message), on_message) for name in names]
    if len({frozenset(splits) for splits in loaded}) > 1:
        raise DataError(f"Of {', '.join(names)} only some have validation and test parts; give sources of one kind.")
    titles = _titles(names)
    spelling, said = one_spelling(label for splits in loaded for rows in splits.values() for label in labels_of(rows))
    for line in said:
        on_message(line)
    for rows in (rows for splits in loaded for rows in splits.values()):  # classes without an image
        spelling |= {name: name for name in rows.features["label"].names if name not in spelling}
    labels = sorted(set(spelling.values()))
    if len(labels) < 2 and not one_class:
        raise DataError(f"{', '.join(names)}: there is only one class ({labels[0]}); at least two are needed.")
    together = DatasetDict()
    # Test first: of identical pictures cleaning keeps the first, and training must be the part that gives way.
    for split in sorted(loaded[0], key=lambda split: (split != "test", split != "validation", split)):
        parts = [
            _of_source(s[split], title, labels, spelling, len(names) > 1)
            for s, title in zip(loaded, titles, strict=True)
        ]
        together[split] = concatenate_datasets(_with_groups_alike(parts))
        refuse_contradictions(together[split]["file"][:], labels_of(together[split]), labels)
        if len(loaded[0]) > 1:
            files = [f"{split}/{file}" for file in together[split]["file"]]
            together[split] = with_column(together[split], "file", files)
    if absent := set(labels) - set(labels_of(together["train"])):
        raise DataError(f"The training images lack classes that other parts have: {', '.join(sorted(absent))}.")
    _doubt_groups(loaded, titles, on_message)
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


def count_classes(rows: Dataset) -> dict[str, int]:
    """The number of images of each class, in the order of the classes."""
    count = Counter(labels_of(rows))
    return {name: count[name] for name in rows.features["label"].names}


def fingerprint(rows: Dataset) -> str:
    """Digest of the file names and labels of a data set, in order: which data this is."""
    digest = hashlib.sha256()
    for file, label in zip(rows["file"], rows["label"], strict=True):
        digest.update(f"{file}\t{label}\n".encode())
    return digest.hexdigest()[:16]


def _load_one(name: str, group_column: str | None, on_message: Callable[[str], None]) -> DatasetDict:
    folder = Path(name)
    if not folder.is_dir():
        return tidy(_from_hub(name), name, group_column, on_message)
    if _is_parquet(folder):
        return tidy(_read(name), name, group_column, on_message)
    return DatasetDict(
        {split: _of_files(rows) for split, rows in read_folder(folder, group_column, on_message).items()}
    )


def _is_parquet(folder: Path) -> bool:
    """Whether a folder holds a data set as parquet files, and not images with such a file among them."""
    tables = [file for file in folder.rglob("*.parquet") if not any(map(is_hidden, file.relative_to(folder).parts))]
    return bool(tables) and sum(file.is_file() and is_image(file) for file in folder.rglob("*")) <= len(tables)


def _of_files(rows: list[Row]) -> Dataset:
    names = sorted({row.label for row in rows})
    content: dict[str, list] = {
        "image": [str(row.path) for row in rows],
        "label": [names.index(row.label) for row in rows],
        "file": [row.file for row in rows],
        "condition": [row.condition for row in rows],
        "group": [row.group or "" for row in rows],
    }
    features = {"image": Image(decode=False), "label": ClassLabel(names=names)}
    return Dataset.from_dict(content, features=Features(features | dict.fromkeys(("file", "condition", "group"), TEXT)))


def _with_patients(splits: DatasetDict, on_message: Callable[[str], None]) -> DatasetDict:
    """Give the patients of a source one spelling each, in all parts alike; a column without any name is dropped."""
    splits = DatasetDict(splits)
    given = {split: rows["group"][:] for split, rows in splits.items() if "group" in rows.column_names}
    if not given:
        return splits
    names, said = one_name([None if v is None else str(v) for values in given.values() for v in values])
    if not any(names):
        return DatasetDict({split: rows.remove_columns("group") for split, rows in splits.items()})
    for line in said:
        on_message(line)
    start = 0
    for split, values in given.items():
        splits[split] = with_column(splits[split], "group", names[start : start + len(values)])
        start += len(values)
    return splits


def _doubt_groups(loaded: list[DatasetDict], titles: list[str], on_message: Callable[[str], None]) -> None:
    """Warn of groups that are no patients, and of patients that several sources name."""
    groups = [[g for rows in of.values() if "group" in rows.column_names for g in rows["group"][:]] for of in loaded]
    for title, names in zip(titles, groups, strict=True):
        if warning := doubt(names):
            on_message(f"{title}: {warning}" if len(titles) > 1 else warning)
    count = Counter(name for names in groups for name in set(names) if name)
    if shared := sorted(name for name, sources in count.items() if sources > 1):
        on_message(
            f"Patients named alike in several sources ({listed(shared, 5)}) count as different ones; if they are the "
            "same, put the sources into one folder, or their images may stand in training and test."
        )


def _from_hub(name: str) -> DatasetDict:
    if Path(name).exists():
        raise DataError(f"{name!r} is a file; give a folder of images, or a data set of the Hub (USER/NAME).")
    if is_path(name):
        raise DataError(f"There is no folder {name!r}; check the path. A data set of the Hub is given as USER/NAME.")
    try:
        validate_repo_id(name)
        with hub_errors.quiet(), hub_errors.cached_if_unreachable():
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


def _titles(names: list[str]) -> list[str]:
    """Short names of the sources: the folder's or the Hub id, with folders above it where two would be alike."""
    titles = [title_of(name) for name in names]
    if len(set(titles)) < len(titles):
        titles = ["/".join(Path(name).resolve().parts[-2:]) if Path(name).exists() else name for name in names]
    if len(set(titles)) < len(titles):
        raise DataError("A source is given twice; give each once.")
    return titles


def _of_source(rows: Dataset, title: str, labels: list[str], spelling: dict[str, str], one_of_many: bool) -> Dataset:
    """Mark rows with their source, number their classes as all sources together do, put them into natural order."""
    given = [labels.index(spelling[name]) for name in rows.features["label"].names]
    rows = with_column(rows, "label", [given[i] for i in rows["label"][:]], ClassLabel(names=labels))
    conditions = rows["condition"][:] if "condition" in rows.column_names else [""] * len(rows)
    rows = with_column(rows, "source", [f"{title}/{c}" if c else title for c in conditions])
    for column in {"file", "group"} & set(rows.column_names):
        values = [f"{title}/{value}" if value and one_of_many else str(value or "") for value in rows[column][:]]
        rows = with_column(rows, column, values)
    order = sorted(
        range(len(rows)), key=lambda i, label=rows["label"][:], file=rows["file"][:]: (label[i], natural(file[i]))
    )
    columns = ["image", "label", "file", "source", "group"]
    return rows.select_columns([column for column in columns if column in rows.column_names]).select(order)


def _with_groups_alike(parts: list[Dataset]) -> list[Dataset]:
    """Give all parts a column of groups if one has it; a row without a group has an empty one."""
    if not any("group" in rows.column_names for rows in parts):
        return parts
    return [rows if "group" in rows.column_names else with_column(rows, "group", [""] * len(rows)) for rows in parts]

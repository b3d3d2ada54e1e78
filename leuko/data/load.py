"""Load image folders, tables and Hub data sets, one or several, as one data set.

Every split is an `ImageTable`. Its images stay undecoded, because only `leuko.images.decode` decodes images.
Rows are sorted by source, class and file name. Numbers in names are compared as numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.data.labels.filename_conventions import natural_sort_key, shortlist
from leuko.data.labels.label_conflicts import check_file_names
from leuko.data.labels.positive_classes import unify_class_names
from leuko.data.sources.file_walk import is_image
from leuko.data.sources.folders import Row, log_warning, read_folder, title_of
from leuko.data.splitting.patient_ids import numbered_images_warning, unify_patient_names
from leuko.images.file_types import is_hidden
from leuko.system import optional_packages
from leuko.system.hub_ids import is_path

Splits = dict[str, ImageTable]


def load(
    sources: str | Sequence[str],
    *,
    group_column: str | None = None,
    one_class: bool = False,
    on_message: Callable[[str], None] = log_warning,
) -> Splits:
    """Load one data set from a folder or the Hub, or join several into one.

    Args:
        sources: paths of folders (see `leuko.data.sources.folders.read_folder`; parquet files too) and Hub ids
            (`USER/NAME`). With several sources, `files` and `groups` begin with the source's name.
        group_column: the column of groups (patient, subject, slide). By default, groups come from a column with a
            typical name, or from the file names.
        one_class: whether images of a single class are accepted.
        on_message: receives a line for every guess (columns, splits, spellings) and for everything that is not used.

    Returns:
        Splits by name, test and validation before the others; only `train` if the sources have no splits. If there
        are several splits, file names begin with the split's name, because splits may share file names. Class names
        that differ only in case, spaces, hyphens or Unicode form are one class.

    Raises:
        DataError: a source does not exist, there are no images or fewer than two classes, the sources have different
            splits, or file names contradict labels.
    """
    names = [sources] if isinstance(sources, str) else list(sources)
    titles = _unique_titles(names)
    loaded = [
        _unify_group_names(_load_source(name, title, group_column, on_message), on_message)
        for name, title in zip(names, titles, strict=True)
    ]
    if len({frozenset(splits) for splits in loaded}) > 1:
        raise DataError(f"Of {', '.join(names)} only some have validation and test parts; give sources of one kind.")
    spelling = _class_spelling(loaded, on_message)
    class_names = tuple(sorted(set(spelling.values())))
    if len(class_names) < 2 and not one_class:
        raise DataError(f"{', '.join(names)}: there is only one class ({class_names[0]}); at least two are needed.")
    joined: Splits = {}
    # Test comes first: cleaning keeps the first of identical pictures, so the copy in the training split is removed.
    for split in sorted(loaded[0], key=lambda split: (split != "test", split != "validation", split)):
        tables = [_with_classes(splits[split], class_names, spelling) for splits in loaded]
        if len(names) > 1:
            tables = [_with_prefix(table, title) for table, title in zip(tables, titles, strict=True)]
        table = ImageTable.concatenate([_sorted(table) for table in tables])
        check_file_names(table.files, table.label_names, class_names)
        if len(loaded[0]) > 1:
            table = replace(table, files=[f"{split}/{file}" for file in table.files])
        joined[split] = table
    if missing := set(class_names) - set(joined["train"].label_names):
        raise DataError(f"The training images lack classes that other parts have: {', '.join(sorted(missing))}.")
    _warn_of_doubtful_groups(loaded, titles, on_message)
    return joined


def _load_source(name: str, title: str, group_column: str | None, on_message: Callable[[str], None]) -> Splits:
    folder = Path(name)
    if folder.is_dir() and not _holds_parquet(folder):
        rows = read_folder(folder, group_column, on_message)
        return {split: _table_of_files(of_split, title) for split, of_split in rows.items()}
    if not folder.is_dir():
        _check_hub_id(name)
    try:
        from leuko.data.sources import hub_datasets
    except ImportError as error:
        raise DataError(
            optional_packages.needs(f"{name} is no folder of images; reading it", "the package datasets")
        ) from error
    return hub_datasets.read(name, title, group_column, on_message)


def _holds_parquet(folder: Path) -> bool:
    """Whether a folder holds a data set as parquet files, and not images with a parquet file among them."""
    tables = [file for file in folder.rglob("*.parquet") if not any(map(is_hidden, file.relative_to(folder).parts))]
    return bool(tables) and sum(file.is_file() and is_image(file) for file in folder.rglob("*")) <= len(tables)


def _check_hub_id(name: str) -> None:
    """Raise DataError if a name is not a folder and cannot be a Hub id."""
    if Path(name).exists():
        raise DataError(f"{name!r} is a file; give a folder of images, or a data set of the Hub (USER/NAME).")
    if is_path(name):
        raise DataError(f"There is no folder {name!r}; check the path. A data set of the Hub is given as USER/NAME.")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise DataError(f"There is no folder {name!r}; give one, or a data set of the Hub (USER/NAME).") from error


def _table_of_files(rows: list[Row], title: str) -> ImageTable:
    class_names = sorted({row.label for row in rows})
    return ImageTable(
        images=[row.path for row in rows],
        labels=np.array([class_names.index(row.label) for row in rows], dtype=np.int64),
        class_names=tuple(class_names),
        files=[row.file for row in rows],
        sources=[f"{title}/{row.condition}" if row.condition else title for row in rows],
        groups=[row.group or "" for row in rows],
    )


def _unify_group_names(splits: Splits, on_message: Callable[[str], None]) -> Splits:
    """Give every patient of a source one spelling in all splits; `groups` becomes None if it has no names."""
    names, messages = unify_patient_names([group for table in splits.values() for group in table.groups or ()])
    if not any(names):
        return {split: replace(table, groups=None) for split, table in splits.items()}
    for line in messages:
        on_message(line)
    remaining = iter(names)
    return {
        split: replace(table, groups=table.groups and [next(remaining) for _ in table.groups])
        for split, table in splits.items()
    }


def _class_spelling(loaded: list[Splits], on_message: Callable[[str], None]) -> dict[str, str]:
    """The spelling to use for each class name of all sources."""
    tables = [table for splits in loaded for table in splits.values()]
    spelling, messages = unify_class_names(label for table in tables for label in table.label_names)
    for line in messages:
        on_message(line)
    without_images = {name for table in tables for name in table.class_names} - set(spelling)
    return spelling | {name: name for name in without_images}


def _with_classes(table: ImageTable, class_names: tuple[str, ...], spelling: Mapping[str, str]) -> ImageTable:
    """The table with its labels as indices into `class_names`."""
    number = np.array([class_names.index(spelling[name]) for name in table.class_names], dtype=np.int64)
    return replace(table, labels=number[table.labels], class_names=class_names)


def _with_prefix(table: ImageTable, title: str) -> ImageTable:
    """Put the source's name before file and group names, because several sources may use the same names."""
    groups = table.groups and [group and f"{title}/{group}" for group in table.groups]
    return replace(table, files=[f"{title}/{file}" for file in table.files], groups=groups)


def _sorted(table: ImageTable) -> ImageTable:
    return table.select(
        sorted(range(len(table)), key=lambda row: (table.labels[row], natural_sort_key(table.files[row])))
    )


def _warn_of_doubtful_groups(loaded: list[Splits], titles: list[str], on_message: Callable[[str], None]) -> None:
    """Warn of groups that are probably not patients, and of patient names that several sources share."""
    groups = [[group for table in splits.values() for group in table.groups or ()] for splits in loaded]
    for title, names in zip(titles, groups, strict=True):
        if warning := numbered_images_warning(names):
            on_message(f"{title}: {warning}" if len(titles) > 1 else warning)
    sources_of = Counter(name for names in groups for name in set(names) if name)
    if shared := sorted(name for name, count in sources_of.items() if count > 1):
        on_message(
            f"Patients with the same name in several sources ({shortlist(shared, 5)}) are treated as different "
            "patients; if they are the same, put the sources into one folder, or their images may be in both training "
            "and test."
        )


def _unique_titles(names: list[str]) -> list[str]:
    """Short, unique names of the sources: folder name or Hub id, with the parent folder if names are equal."""
    titles = [title_of(name) for name in names]
    if len(set(titles)) < len(titles):
        titles = ["/".join(Path(name).resolve().parts[-2:]) if Path(name).exists() else name for name in names]
    if len(set(titles)) < len(titles):
        raise DataError("A source is given twice; give each once.")
    return titles

"""Read image folders in all usual layouts, as rows of file, class and group."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from leuko.data.errors import DataError
from leuko.data.labels.class_name_words import sense_of
from leuko.data.labels.filename_conventions import FileNameInfo, natural_sort_key, parse_file_name, printable, shortlist
from leuko.data.labels.positive_classes import class_meanings
from leuko.data.sources.file_walk import FileTree, walk_tree
from leuko.data.sources.folder_layout import FolderRoles, is_condition, is_magnification, is_person, part_of
from leuko.data.sources.table_rows import Row, groups_by_tables, rows_by_tables

_log = logging.getLogger(__name__)


def log_warning(line: str) -> None:
    """Log a line as a warning; by default, warnings are printed to stderr."""
    _log.warning("%s", line)


def title_of(source: str) -> str:
    """The name of a source: a Hub id, or the last part of a local path (the rest differs between computers)."""
    return Path(source).resolve().name if Path(source).exists() else source


def read_folder(
    folder: Path, group_column: str | None = None, on_message: Callable[[str], None] = log_warning
) -> dict[str, list[Row]]:
    """Read a folder of images.

    The class of an image comes from the first of these that is available:

    1. a table that names images and labels (`leuko.data.sources.tables`), in the top folder or beside the images;
    2. the file names, if all of them follow a known convention (`leuko.data.labels.filename_conventions`) and the
       layout is not simply one class folder per image;
    3. the class folders: `CLASS/*.jpg`, `CLASS/PATIENT/*.jpg` or `PATIENT/CLASS/*.jpg`. Patients are then the groups.

    There may be other folders above or below the classes: splits (`train_data`, `val_set`, `Testing`), folds,
    magnifications, batches, days, scanners and sites (`leuko.data.sources.folder_layout`). These are not classes.

    Args:
        folder: an existing folder.
        group_column: column of the tables that holds the groups.
        on_message: receives a line for every guess and for everything that is not used.

    Returns:
        Rows by split, in natural order of class and file; only `train` if there are no splits.

    Raises:
        DataError: there are no images, the class of an image is unknown or contradicts its file name, a name is not
            UTF-8, there are several versions of the same images, or there are splits but no `train`.
    """
    tree = walk_tree(folder)
    for line in tree.notes():
        on_message(line)
    tree = _below_wrapper(tree)
    if not tree.images:
        raise DataError(f"{printable(folder)} has no images; expected {printable(folder)}/CLASS/*.jpg.")
    images = sorted(tree.images)
    places = {image: FolderRoles.of(image.relative_to(tree.folder).parts[:-1]) for image in images}
    rows, handled = rows_by_tables(tree, places, group_column, on_message)
    patients, found = groups_by_tables(tree, places, group_column, on_message) if not rows else ({}, True)
    if group_column and not found:
        raise DataError(f"{printable(folder)} has no table with a column {group_column!r} and the image names.")
    rest = {image: place for image, place in places.items() if image not in handled}
    for part, of in _parts(tree, rest, set(rows), on_message).items() if rest else ():
        if part in rows:
            on_message(not_used(of, tree, "are named in no table"))
        else:
            rows[part] = _by_folders(tree, {image: places[image] for image in of}, on_message)
    if "train" not in rows:
        raise DataError(f"{printable(folder)} has {' and '.join(rows)} images, but no train part beside them.")
    if patients:
        rows = {part: [replace(row, group=patients.get(row.path)) for row in of] for part, of in rows.items()}
    return {part: sorted(of, key=lambda row: (row.label, natural_sort_key(row.file))) for part, of in rows.items()}


def _below_wrapper(tree: FileTree) -> FileTree:
    """The tree below a single outer folder that contains all files, if the splits lie in it; else the same tree."""
    folders = [image.relative_to(tree.folder).parts[:-1] for image in tree.images]
    depth = 0
    while folders and all(len(names) > depth + 1 for names in folders) and len({n[: depth + 1] for n in folders}) == 1:
        depth += 1
        top = tree.folder.joinpath(*folders[0][:depth])
        within = all(table.is_relative_to(top) for table in tree.tables)
        if within and any(part_of(names[depth]) for names in folders) and not part_of(folders[0][depth - 1]):
            return replace(tree, folder=top, skipped={})
    return tree


def _parts(
    tree: FileTree, places: dict[Path, FolderRoles], have: set[str], on_message: Callable[[str], None]
) -> dict[str, list[Path]]:
    """The images of each split, by the folders that are named like splits; all are `train` if there are none.

    Args:
        tree: all files.
        places: the folder roles of each image.
        have: splits that already have rows from tables.
        on_message: receives a line for images that are not used.
    """
    names = {place.part for place in places.values() if place.part}
    if not names:
        return {"train": list(places)}
    found: dict[str, set[str]] = {}
    for part, name in names:
        found.setdefault(part, set()).add(name)
    outside = [image for image, place in places.items() if not place.part]
    written = ", ".join(sorted(name for _, name in names))
    if "train" not in found and "train" not in have:
        beside = sorted({image.relative_to(tree.folder).parts[0] for image in outside})
        beside_it = f" beside {shortlist(map(printable, beside), 5)}" if beside else ""
        raise DataError(
            f"{printable(tree.folder)} has {' and '.join(sorted(name for _, name in names))}{beside_it}, but no train "
            "folder beside them; add one, or give the folder that is meant."
        )
    unlabelled = [name for _, name in names if _tells_nothing(tree, places, name)]
    for name in unlabelled:
        without = [image for image, place in places.items() if place.part and place.part[1] == name]
        on_message(not_used(without, tree, f"lie in {name} without a class"))
    for part in list(found):
        found[part] -= set(unlabelled)
        if not found[part]:
            del found[part]
    if twice := next((sorted(of) for of in found.values() if len(of) > 1), None):
        raise DataError(f"{printable(tree.folder)} has one part twice ({', '.join(twice)}); keep one folder of each.")
    if outside:
        on_message(not_used(outside, tree, f"lie outside of {written}"))
    parts: dict[str, list[Path]] = {}
    for image, place in places.items():
        if place.part and place.part[1] not in unlabelled:
            parts.setdefault(place.part[0], []).append(image)
    return parts


def _tells_nothing(tree: FileTree, places: dict[Path, FolderRoles], name: str) -> bool:
    """Whether a split other than `train` has neither class folders nor file names with classes (C-NMC's final test)."""
    in_part = [(image, place) for image, place in places.items() if place.part and place.part[1] == name]
    return part_of(name) != "train" and not any(parse_file_name(image.name) or place.rest for image, place in in_part)


def not_used(images: Sequence[Path], tree: FileTree, why: str) -> str:
    """One line about images that are left out."""
    return f"Not used: {len(images)} images in {printable(tree.folder)} {why}: {shortlist(map(tree.name, images))}."


def _by_folders(tree: FileTree, places: dict[Path, FolderRoles], on_message: Callable[[str], None]) -> list[Row]:
    """Rows with classes from file names or, if these do not contain classes, from class folders."""
    _refuse_versions(tree, places)
    level = _class_level([place.rest for place in places.values()])
    names = {image: name for image in places if (name := parse_file_name(image.name))}
    only_class_folders = {len(place.rest) for place in places.values()} == {1}
    if len(names) == len(places) and not only_class_folders:
        _report_layout(places, set(), Counter(), on_message)
        return [Row.of(image, tree, place, names[image].label, names[image].group) for image, place in places.items()]
    if level is None:
        _refuse_loose(tree, places)
    return _by_class_folders(tree, places, level, names, on_message)


def _by_class_folders(
    tree: FileTree,
    places: dict[Path, FolderRoles],
    level: int,
    names: dict[Path, FileNameInfo],
    on_message: Callable[[str], None],
) -> list[Row]:
    """Rows whose class is the folder at the given level; the folders directly above or below it may be patients.

    The group is the first of these that exists: the subject in the file name, the folder above the class folder, the
    folder inside it.
    """
    below = {place.rest[level + 1 :] for place in places.values()}
    same_below = len({folders[0] for folders in below if folders}) == 1 and all(below)
    several_above = level > 0 and len({place.rest[level - 1] for place in places.values()}) > 1
    rows = []
    above: set[str] = set()
    ignored: Counter[str] = Counter()
    for image, place in places.items():
        group = names[image].group if image in names else None
        if group is None and several_above:
            group = place.rest[level - 1]
            above.add(group)
        inner = place.rest[level + 1] if len(place.rest) > level + 1 else None
        if group is None and inner and not same_below:
            if sense_of(inner) in ("unknown", "cells") or is_person(inner):
                group = inner
            else:
                ignored[inner] += 1
        rows.append(Row.of(image, tree, place, place.rest[level], group))
    _report_layout(places, above, ignored, on_message)
    return rows


def _class_level(rests: list[tuple[str, ...]]) -> int | None:
    """The level of the class folders among the folders that may be classes; None if an image is in no such folder.

    It is the first level at which every name means leukaemia or no leukaemia, and both occur; otherwise the top level.
    """
    depth = min(map(len, rests))
    if depth == 0:
        return None
    names = [sorted({rest[level] for rest in rests}) for level in range(depth)]
    for level, of_level in enumerate(names):
        found = class_meanings(of_level)
        if found.leukaemia and found.absence and not found.unknown:
            return level
    return 0


def _refuse_versions(tree: FileTree, places: dict[Path, FolderRoles]) -> None:
    """Raise DataError if folders hold several versions of the same images, such as originals and segmented images."""
    versions = {place.version: image for image, place in places.items()}
    if len(versions) > 1:
        written = sorted({name for version in versions for name in version})
        example = next(tree.name(image) for version, image in sorted(versions.items()) if version)
        raise DataError(
            f"{printable(tree.folder)} seems to hold several versions of the same images: {', '.join(written)} look "
            f"like no classes ({example}). Give one version of the images in a folder of its own."
        )


def _refuse_loose(tree: FileTree, places: dict[Path, FolderRoles]) -> NoReturn:
    """Raise DataError that names an image without a class folder, and the roles of its folders."""
    loose = next(image for image, place in places.items() if not place.rest)
    condition_names = sorted({name for place in places.values() if not place.rest for name in place.condition})
    where = f" in {printable(tree.folder)} cannot be told"
    if condition_names:
        kind = "magnifications" if any(map(is_magnification, condition_names)) else "batches, days, scanners or sites"
        raise DataError(
            f"The class of {tree.name(loose)}{where}: the folders {shortlist(condition_names, 6)} look like {kind}, "
            "not like classes; put the images into a folder for each class, or give a table of images and labels."
        )
    unread = next((tree.name(f) for what, of in tree.skipped.items() if what.startswith("table") for f in of), None)
    hint = f" ({unread} is not read; save it as CSV)" if unread else ""
    raise DataError(
        f"The class of {tree.name(loose)}{where}; expected {printable(tree.folder)}/CLASS/*.jpg or a table{hint}."
    )


def _report_layout(
    places: dict[Path, FolderRoles], above: set[str], ignored: Counter[str], on_message: Callable[[str], None]
) -> None:
    conditions = sorted({name for place in places.values() for name in place.condition if is_condition(name)})
    if conditions:
        kind = "magnifications" if all(map(is_magnification, conditions)) else "batches, scanners or sites"
        on_message(
            f"Folders taken for {kind}, not for classes: {shortlist(conditions, 6)}; each counts as a source "
            "of its own."
        )
    if above:
        on_message(
            f"Folders above the classes, taken for patients, slides or sites and kept together: "
            f"{shortlist(sorted(above), 6)} ({len(above)} in all)."
        )
    if ignored:
        on_message(f"Folders within the classes that name no patient are not used: {shortlist(sorted(ignored), 6)}.")

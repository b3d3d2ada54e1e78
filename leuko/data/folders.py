"""Folders on this machine, in every shape that smear images are handed on in, as rows of file, class and group."""

from __future__ import annotations

import csv
import itertools
import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from leuko.data.names import natural, told_by
from leuko.images.decode import SUFFIXES

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
GROUPS = ("patient", "subject", "slide", "donor", "case", "group")  # with or without "_id", or with "id" before a space
IMAGES = ("image", "image_id", "file_name", "filename", "file", "path", "image_name", "new_names", "name", "id")
LABELS = ("label", "labels", "class", "category", "diagnosis", "target", "type")

_log = logging.getLogger(__name__)


class DataError(ValueError):
    """Data that cannot be trained on; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Row:
    """One image of a folder: where it lies, its name below the folder, its class, and its patient if known."""

    path: Path
    file: str
    label: str
    group: str | None


def title_of(source: str) -> str:
    """What a source is called: a Hub id, or of a local path the last part, since the rest means nothing elsewhere."""
    return Path(source).resolve().name if Path(source).exists() else source


def column_of(columns: Collection[str], wanted: Iterable[str]) -> str | None:
    """The first of the wanted columns that a table has, whatever its case; None if it has none."""
    plain = {column.lower(): column for column in columns}
    return next((plain[name] for name in wanted if name in plain), None)


def group_column_of(columns: Collection[str], given: str | None) -> str | None:
    """The column that tells which images belong together: the one given, or one named like a patient or slide.

    Raises:
        DataError: the given column is not there.
    """
    if given is None:
        return column_of(columns, [f"{name}{end}" for name in GROUPS for end in ("", "_id", "id", " id")])
    if given not in columns:
        raise DataError(f"There is no column {given!r} to group by; the columns are {', '.join(columns)}.")
    return given


def read_folder(folder: Path, group_column: str | None = None) -> dict[str, list[Row]]:
    """Read a folder of images, with or without `train`, `validation` and `test` folders at its top.

    In each part the class comes from, in this order: `metadata.csv` or another table that names images and labels;
    class folders (`CLASS/*.jpg`, or `CLASS/PATIENT/*.jpg`, which makes patients the groups); the file names, where all
    of them follow a convention of the field (see `leuko.data.names`), which also wins over folders that lie deeper
    than one level (`fold_0/all/UID_11_2_1_all.bmp`).

    Args:
        folder: an existing folder.
        group_column: column of the tables that holds the groups.

    Returns:
        Rows by split, in natural order of class and file; only `train` if there are no split folders. Images that
        belong to no part or that the table does not name are not used, and a warning is logged that says so.

    Raises:
        DataError: no images, images whose class cannot be told, names that are not UTF-8, or parts without `train`.
    """
    inner = sorted(child for child in folder.iterdir() if child.is_dir())
    named = [child for child in inner if child.name.lower() in SPLITS]
    parts = {SPLITS[child.name.lower()]: child for child in named}
    if "train" not in parts:
        if named and named == inner:
            raise DataError(f"{folder} has {' and '.join(c.name for c in named)}, but no train folder beside them.")
        parts = {"train": folder}
    elif len(parts) < len(named):
        raise DataError(f"{folder} has one part twice ({', '.join(c.name for c in named)}); keep one folder of each.")
    elif outside := [f for f in _images(folder) if f.relative_to(folder).parts[0] not in {c.name for c in named}]:
        _log.warning("%s", _not_used(outside, folder, f"lie outside of {', '.join(c.name for c in named)}"))
    return {split: _read_part(part, group_column) for split, part in parts.items()}


def _images(folder: Path) -> list[Path]:
    return [f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")]


def _not_used(images: list[Path], folder: Path, why: str) -> str:
    some = ", ".join(sorted(image.relative_to(folder).as_posix() for image in images)[:3])
    return f"Not used: {len(images)} images in {folder} {why}: {some}{' …' if len(images) > 3 else '.'}"


def _read_part(folder: Path, group_column: str | None) -> list[Row]:
    found = _images(folder)
    for image in found:
        try:
            str(image).encode()
        except UnicodeEncodeError as error:
            readable = os.fsencode(image).decode(errors="replace")
            raise DataError(f"The name of {readable} is not in UTF-8; rename the file or folder.") from error
    if not found:
        raise DataError(f"{folder} has no images; expected {folder}/CLASS/*.jpg.")
    rows = _by_table(folder, found, group_column)
    if rows is None:
        if group_column:
            raise DataError(f"{folder} has no table with a column {group_column!r} and the image names and labels.")
        rows = _by_name(folder, found)
    return sorted(rows, key=lambda row: (row.label, natural(row.file)))


def _by_name(folder: Path, images: list[Path]) -> list[Row]:
    places = [image.relative_to(folder).parts for image in images]
    told = [told_by(image.name) for image in images]
    depth = {len(place) for place in places}
    if all(told) and depth != {2}:
        labels = [name.label for name in told if name]
    elif 1 in depth:
        loose = next(place[0] for place in places if len(place) == 1)
        raise DataError(f"The class of {loose} in {folder} cannot be told; expected {folder}/CLASS/*.jpg or a table.")
    else:
        labels = [place[0] for place in places]
    rows = []
    for image, place, name, label in zip(images, places, told, labels, strict=True):
        inner = place[1] if len(place) > 2 and label == place[0] else None
        rows.append(Row(image, "/".join(place), label, name.group if name and name.group else inner))
    return rows


def _by_table(folder: Path, images: list[Path], group_column: str | None) -> list[Row] | None:
    """Rows by the first table that names images and labels (`metadata.csv` before all others); None without one."""
    tables = sorted(folder.glob("*.csv"), key=lambda file: (file.name.lower() != "metadata.csv", natural(file.name)))
    for table in tables:
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                lines = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{table} cannot be read as a table; save it as CSV in UTF-8.") from error
        columns = [column for column in lines[0] if column] if lines else []  # cells beyond the head's have no column
        image, label = column_of(columns, IMAGES), column_of(columns, LABELS)
        if image and label:
            group = group_column_of(columns, group_column)
            return _match(table, [(line[image], line[label], line[group] if group else None) for line in lines], images)
    return None


def _match(table: Path, lines: list[tuple[str, str, str | None]], images: list[Path]) -> list[Row]:
    """Find the file that each line means: by its path below the table, else by its name, with or without suffix."""
    folder = table.parent
    by_path = {image.relative_to(folder).as_posix(): image for image in images}
    by_name: dict[str, list[Path]] = {}
    for image in images:
        for name in {image.name, image.stem}:
            by_name.setdefault(name, []).append(image)
    rows, missing = [], []
    for name, label, group in lines:
        named = (name or "").strip().replace("\\", "/").removeprefix("./")
        candidates = [by_path[named]] if named in by_path else by_name.get(named.split("/")[-1], [])
        if not candidates:
            missing.append(name)
        elif len(candidates) > 1:
            raise DataError(f"{table.name} names {name}, which is the name of several images; write their folders too.")
        elif not (label or "").strip():
            raise DataError(f"{table.name} gives no label for {name}.")
        else:
            file = candidates[0].relative_to(folder).as_posix()
            rows.append(Row(candidates[0], file, label.strip(), (group or "").strip() or None))
    if missing:
        some = ", ".join(map(str, itertools.islice(missing, 3)))
        raise DataError(f"{table.name} names images that are not in {folder}: {some} ({len(missing)} in all).")
    repeated = len(rows) - len({row.path for row in rows})
    if repeated:
        raise DataError(f"{table.name} names images more than once ({repeated} lines too many); give each one line.")
    if unnamed := sorted(set(images) - {row.path for row in rows}):
        _log.warning("%s", _not_used(unnamed, folder, f"are not named in {table.name}"))
    return rows

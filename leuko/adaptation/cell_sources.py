"""Labelled cells of a laboratory: folders of single cells by kind, or a list of places in fields.

A list is a file `cells.csv` in the folder, with a header and the columns `image` or `file` (relative to the folder) and
`kind` or `cell`. The place of the cell is in pixels: `x` and `y`, or the box `x0`, `y0`, `x1`, `y1`; without a place,
the cell is the one in the middle. A column `patient` keeps the cells of a patient together; without it each image is a
group.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.cells.blast_share import with_count
from leuko.cells.kinds import crops
from leuko.cells.kinds.names import KINDS, kind_of
from leuko.cells.segmentation import segment
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.images.decode import ImageError, decode

LIST = "cells.csv"
IMAGE_COLUMNS, KIND_COLUMNS = ("image", "file"), ("kind", "cell")
_PATIENT = re.compile(r"(?:patient|subject|case|slide)[ _-]?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class CellSource:
    """Cells as a laboratory labelled them.

    Attributes:
        pixels: uint8, N × 96 × 96 × 3, RGB, each alone on white.
        kinds: int, N, of `leuko.cells.kinds.names.KINDS`.
        groups: int, N.
        left_out: sentences about what could not be used.
    """

    pixels: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Labelled:
    """One cell: the image and its name, the kind, where it lies (x, y; None: in the middle), and its group."""

    open: Callable[[], np.ndarray]
    image: str
    kind: str
    place: tuple[float, float] | None
    group: str


def has_list(source: str) -> bool:
    """Whether a source is a folder with a list of cells by kind.

    Raises:
        DataError: the list cannot be read.
    """
    file = Path(source) / LIST
    rows = _rows(file) if file.is_file() else []
    return bool(rows) and all(any(name in rows[0] for name in names) for names in (IMAGE_COLUMNS, KIND_COLUMNS))


def shows_kinds(class_names: Sequence[str]) -> bool:
    """Whether classes are kinds of cells: two of them or more, and most of all names."""
    known = {kind for name in class_names if (kind := kind_of(name))}
    return len(known) > 1 and sum(kind_of(name) is not None for name in class_names) > len(class_names) / 2


def from_list(source: str) -> CellSource:
    """The cells of a list.

    Raises:
        DataError: the list cannot be used; the message names the line.
    """
    return _cut(*_read_list(Path(source) / LIST))


def from_table(images: ImageTable) -> CellSource:
    """The cells in the middle of images by class; classes that are no kinds are left out."""
    names = {name: kind_of(name) for name in images.class_names}
    left_out = [
        f"{name!r} is no kind of cell that is told apart; its {with_count(count, 'image')} {_is_left_out(count)}."
        for name, count in images.class_counts().items()
        if names[name] is None and count
    ]
    groups = images.groups or [_patient(file) for file in images.files]
    labelled = [
        _Labelled(lambda row=row: images.open_image(row), images.files[row], kind, None, groups[row])  # type: ignore[misc]
        for row, name in enumerate(images.label_names)
        if (kind := names[name])
    ]
    return _cut(labelled, left_out)


def _read_list(file: Path) -> tuple[list[_Labelled], list[str]]:
    """The labelled cells of a list, and sentences about lines whose kind is not told apart."""
    labelled: list[_Labelled] = []
    others: Counter[str] = Counter()
    for line, row in enumerate(_rows(file), start=2):
        name, written = _first(row, IMAGE_COLUMNS), _first(row, KIND_COLUMNS)
        kind, image = kind_of(written), file.parent / name
        if kind is None:
            others[written] += 1
            continue
        if not image.is_file():
            raise DataError(f"{file}, line {line}: there is no file {name!r}.")
        group = row.get("patient") or ""
        labelled.append(_Labelled(lambda image=image: decode(image), name, kind, _place(file, line, row), group))  # type: ignore[misc]
    return labelled, [
        f"{written!r} is no kind of cell that is told apart; its {with_count(count, 'cell')} {_is_left_out(count)}."
        for written, count in others.items()
    ]


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The list {file} cannot be read ({error}); save it as CSV in UTF-8.") from error


def _first(row: dict[str, str], columns: Sequence[str]) -> str:
    """What a row says in the first of some columns that it has."""
    return next((row[column] or "" for column in columns if column in row), "")


def _place(file: Path, line: int, row: dict[str, str]) -> tuple[float, float] | None:
    """The place of a cell, x and y; None where the row gives none."""
    point, box = [row.get(column) for column in ("x", "y")], [row.get(column) for column in ("x0", "x1", "y0", "y1")]
    try:
        if any(point):
            return float(point[0] or ""), float(point[1] or "")
        if any(box):
            x0, x1, y0, y1 = (float(side or "") for side in box)
            return (x0 + x1) / 2, (y0 + y1) / 2
    except ValueError as error:
        raise DataError(f"{file}, line {line}: the place of the cell must be given in numbers.") from error
    return None


def _patient(file: str) -> str:
    """The patient or slide that a file name begins with; empty where it names none."""
    found = _PATIENT.search(Path(file).name)
    return found[0].lower() if found else ""


def _is_left_out(count: int) -> str:
    return "is left out" if count == 1 else "are left out"


def _cut(labelled: Sequence[_Labelled], left_out: list[str]) -> CellSource:
    """Cut the cells out; every image is segmented once."""
    pixels: list[np.ndarray] = []
    kinds: list[int] = []
    groups: list[str] = []
    by_image: dict[str, list[_Labelled]] = {}
    for cell in labelled:
        by_image.setdefault(cell.image, []).append(cell)
    for name, cells in by_image.items():
        try:
            image = cells[0].open()
        except ImageError as error:
            left_out.append(f"{name} is left out: {error}")
            continue
        segmentation = segment(image)
        for cell in cells:
            label = crops.cell_at(segmentation, cell.place)
            if label is None:
                left_out.append(f"{name}: no white cell was found where a {cell.kind} is labelled; it is left out.")
                continue
            pixels.append(crops.cut_alone(image, segmentation, [label])[0])
            kinds.append(KINDS.index(cell.kind))
            groups.append(cell.group or name)
    stacked = np.stack(pixels) if pixels else np.zeros((0, crops.SIDE_PX, crops.SIDE_PX, 3), np.uint8)
    _, numbers = np.unique(groups, return_inverse=True) if groups else (None, np.zeros(0, int))
    return CellSource(stacked, np.array(kinds, int), numbers, tuple(left_out))

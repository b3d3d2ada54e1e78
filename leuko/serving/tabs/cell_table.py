"""The white cells of an image as a list on the page: crops, measurements, and all measurements to download."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote

import cv2
import numpy as np

from leuko.cells.blast_share import with_count
from leuko.cells.differential import PLURALS
from leuko.cells.features.catalogue import FEATURES
from leuko.cells.kinds.names import BLAST, KINDS, UNKNOWN
from leuko.inference.field import Field
from leuko.serving.tabs import data_urls
from leuko.serving.tabs.rendering import Fact

MAX_CROPS = 120  # cells in the gallery, so that the page stays small; the table has all
CROP_SIDE = 96  # px
GALLERY_ORDER = (UNKNOWN, BLAST, *(kind for kind in KINDS if kind != BLAST))
_CROP_MARGIN = 0.35  # of a cell's box, shown around it

_DECIMALS = {  # the measurements that the page shows, with as many digits as the measurement is exact
    "cell_area": ("Cell area", 0),
    "cell_diameter": ("Cell diameter", 1),
    "nucleus_area": ("Nucleus area", 0),
    "nucleus_share": ("Nucleus share of cell", 2),
    "nc_ratio": ("Nucleus : cytoplasm", 1),
    "lobes": ("Lobes", 0),
    "nucleus_form_factor": ("Nucleus form factor", 2),
    "nucleus_solidity": ("Nucleus solidity", 2),
    "contour_dimension": ("Outline dimension", 2),
    "cytoplasm_glcm_contrast": ("Cytoplasm texture contrast", 2),
}
_MEANINGS = {feature.name: feature.meaning for feature in FEATURES}
_TYPE = "the kind of cell; unknown where several kinds are possible, or none"
_BLAST = "how likely the cell is a blast, 0 to 1, where normal kinds are as common as in blood"


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, its unit, and what is measured."""

    title: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Row:
    """A cell in the table.

    Attributes:
        number: of the cell in the picture.
        note: in brackets, why it is not counted, and whether it is doubtful; or empty.
        values: for each further column, what it is sorted by and the text.
    """

    number: int
    note: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Crop:
    """A cell in the gallery: its number, its picture as a `data:` address, and what it looks like."""

    number: int
    address: str
    looks: str


@dataclass(frozen=True)
class CropGroup:
    """The cells of one kind in the gallery, the most doubtful first, and the kind with the number of all such cells."""

    title: str
    crops: tuple[Crop, ...]


@dataclass(frozen=True)
class CellTable:
    """What the template `cell_table` shows.

    In the table the likeliest blasts come first; in the gallery each kind has a group, unknown cells and blasts first.
    """

    has_scale: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    groups: tuple[CropGroup, ...]
    crop_side: int = CROP_SIDE

    @property
    def shown(self) -> int:
        """Number of cells in the gallery."""
        return sum(len(group.crops) for group in self.groups)


@dataclass(frozen=True)
class Download:
    """A link to a file inside the page: its name, its `data:` address, and what it holds."""

    file: str
    address: str
    content: str


def cell_table(image: np.ndarray, field: Field) -> CellTable:
    """The gallery and the table of the cells.

    Args:
        image: uint8, H × W × 3, RGB.
        field: its cells, one or more.
    """
    columns = [
        Column("Cell", "number in the picture; cut: by the border of the image"),
        Column("Kind", _TYPE),
        Column("Blast", _BLAST),
    ]
    if field.segmentation.confidence is not None:
        columns.append(Column("Confidence", "how sure it is that this is one white cell, 0 to 1"))
    columns += [Column(title, _MEANINGS[name], field.unit(name)) for name, (title, _) in _DECIMALS.items()]
    return CellTable(
        has_scale=field.segmentation.um_per_px is not None,
        columns=tuple(columns),
        rows=tuple(_row(field, int(index)) for index in field.order),
        groups=tuple(_groups(image, field)),
    )


def _groups(image: np.ndarray, field: Field) -> Iterator[CropGroup]:
    """The gallery: groups by kind; within a group doubtful segmentation first, then doubtful kinds."""
    rows, left = range(len(field.table["id"])), MAX_CROPS
    for kind in GALLERY_ORDER:
        members = [row for row in rows if field.type(row) == kind]
        members.sort(key=lambda row: (not field.doubtful(row), field.confidence(row) or 0, -field.kinds.doubt[row]))
        shown, left = members[:left], left - len(members[:left])
        if shown:
            title = PLURALS[kind] if kind != UNKNOWN else "unknown"
            title = f"{title[0].upper()}{title[1:]} ({len(members)})"
            yield CropGroup(title, tuple(_crop(image, field, row) for row in shown))


def measurements(field: Field) -> list[Fact]:
    """The measurements of the first cell alone."""
    facts = [Fact("Kind", _kind(field, 0), hint=_TYPE), Fact("Blast", _blast(field, 0)[1], hint=_BLAST)]
    for name, (title, _) in _DECIMALS.items():
        facts.append(Fact(title, f"{_text(field, name, 0)} {field.unit(name)}", hint=_MEANINGS[name]))
    return facts


def download(field: Field, name: str) -> Download:
    """All measurements of all cells as CSV.

    Args:
        field: the cells.
        name: of the image; any text.
    """
    content = f"all {len(FEATURES)} figures of {with_count(len(field.table['id']), 'cell')} (CSV)"
    return csv_download(field.as_csv(name), name, "cells", content)


def csv_download(text: str, name: str, ending: str, content: str) -> Download:
    """A link to CSV inside the page.

    Args:
        text: the file.
        name: of the image; any text.
        ending: what the file's name ends with.
        content: what it holds, in words.
    """
    stem = re.sub(r"[^\w-]+", "-", PurePath(name).stem)[:60].strip("-") or "image"
    byte_order_mark = "%EF%BB%BF"  # without it Excel does not read UTF-8
    address = f"data:text/csv;charset=utf-8,{byte_order_mark}{quote(text, safe=',')}"
    return Download(f"{stem}-{ending}.csv", address, content)


def _crop(image: np.ndarray, field: Field, index: int) -> Crop:
    x0, y0, x1, y1 = (int(field.table[side][index]) for side in ("x0", "y0", "x1", "y1"))
    half = round(max(x1 - x0, y1 - y0) * (0.5 + _CROP_MARGIN))
    window = _window(image, (x0 + x1) // 2, (y0 + y1) // 2, half)
    interpolation = cv2.INTER_AREA if 2 * half > CROP_SIDE else cv2.INTER_CUBIC
    address = data_urls.jpeg(cv2.resize(window, (CROP_SIDE, CROP_SIDE), interpolation=interpolation))
    looks = f"{'doubtful; ' if field.doubtful(index) else ''}{_kind(field, index)}"
    return Crop(int(field.table["id"][index]), address, looks)


def _window(image: np.ndarray, x: int, y: int, half: int) -> np.ndarray:
    """The square around a point; outside the image the pixels of its border are repeated."""
    height, width = image.shape[:2]
    left, top, right, bottom = max(x - half, 0), max(y - half, 0), min(x + half, width), min(y + half, height)
    outside = top - (y - half), (y + half) - bottom, left - (x - half), (x + half) - right
    return cv2.copyMakeBorder(image[top:bottom, left:right], *outside, cv2.BORDER_REPLICATE)


def _row(field: Field, index: int) -> Row:
    number = int(field.table["id"][index])
    notes = ["cut"] if field.table["touches_border"][index] else []
    if not field.close_up and number in field.excluded:
        notes = [field.excluded[number], "not counted"]
    if field.doubtful(index):
        notes.append("doubtful")
    values = [(_kind(field, index),) * 2, _blast(field, index)]
    confidence = field.confidence(index)
    if confidence is not None:
        values.append((f"{confidence:.4f}", f"{confidence:.2f}"))
    for name in _DECIMALS:
        value = float(field.table[name][index])
        values.append((str(value) if np.isfinite(value) else "", _text(field, name, index)))
    return Row(number, f" ({', '.join(notes)})" if notes else "", tuple(values))


def _text(field: Field, name: str, index: int) -> str:
    value = float(field.table[name][index])
    return f"{value:.{_DECIMALS[name][1]}f}" if np.isfinite(value) else "–"


def _kind(field: Field, index: int) -> str:
    """The kind of a cell; of an unknown one also the likeliest kind."""
    if not field.table["lobes"][index]:
        return "no nucleus found"
    kind, probabilities = field.type(index), field.kinds.probabilities[index]
    if kind != UNKNOWN:
        return kind.replace("_", " ")
    return f"unknown ({KINDS[int(probabilities.argmax())].replace('_', ' ')} {probabilities.max():.2f})"


def _blast(field: Field, index: int) -> tuple[str, str]:
    """How likely a cell is a blast, to sort by and as text; of a cell without a nucleus nothing is said."""
    probability = field.kinds.blast_probabilities[index]
    return (f"{probability:.4f}", f"{probability:.2f}") if field.table["lobes"][index] else ("", "–")

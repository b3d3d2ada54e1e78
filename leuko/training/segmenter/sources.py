"""Sources of training images: CSV lists of images with what is known about them.

A list has a header and these columns; all but `image` may be empty or absent. Paths are relative to the list.

image: the file.
mask: an image of the same size: nuclei of white cells 255, cytoplasm 128, all else 0.
boxes: a file of Pascal VOC (`.xml`), or of YOLO (`.txt`: class, x, y, width, height as shares of the sides; 0 is a
    white cell, 1 a red cell, 2 a platelet).
white_cells: `none`; `platelet`: none, and a platelet in the middle; `middle`: one in the middle and perhaps others;
    empty: by `mask`, by `boxes`, or by the teacher.
red_boxes: `all` if every red cell has a box; else boxes only confirm red cells.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from leuko.data.errors import DataError

Kind = Literal["white cell", "red cell", "platelet"]
Known = Literal["", "none", "platelet", "middle"]
_YOLO: dict[str, Kind] = {"0": "white cell", "1": "red cell", "2": "platelet"}
_VOC: dict[str, Kind] = {"WBC": "white cell", "RBC": "red cell", "Platelets": "platelet"}


@dataclass(frozen=True)
class Box:
    """A box around a cell: shares of the image's sides, 0 to 1."""

    kind: Kind
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class SourceImage:
    """An image and what is known about it.

    Attributes:
        source: name of the list, without its ending: a laboratory.
        image, mask: files.
        boxes: of cells; None where there are none drawn.
        white_cells: what is known of white cells.
        all_red_boxed: whether every red cell has a box.
    """

    source: str
    image: Path
    mask: Path | None = None
    boxes: tuple[Box, ...] | None = field(default=None)
    white_cells: Known = ""
    all_red_boxed: bool = False


def read_list(file: Path) -> list[SourceImage]:
    """Read a list.

    Raises:
        DataError: the list or a file in it is missing or cannot be understood; the message names the line.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise DataError(f"The list {file} cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The list {file} cannot be read ({error}); save it as CSV in UTF-8.") from error
    if not rows or "image" not in rows[0]:
        raise DataError(
            f"{file} is not a list of images: it needs a header with the column `image` and a line an image."
        )
    return [_read_row(file, line, row) for line, row in enumerate(rows, start=2)]


def _read_row(file: Path, line: int, row: dict[str, str]) -> SourceImage:
    def path(column: str) -> Path | None:
        if not row.get(column):
            return None
        found = file.parent / row[column]
        if not found.is_file():
            raise DataError(f"{file}, line {line}: there is no file {row[column]}.")
        return found

    image, boxes = path("image"), path("boxes")
    if image is None:
        raise DataError(f"{file}, line {line}: the column `image` is empty.")
    known = row.get("white_cells") or ""
    if known not in get_args(Known):
        raise DataError(f"{file}, line {line}: `white_cells` must be none, platelet, middle or empty, not {known!r}.")
    try:
        found = None if boxes is None else _read_boxes(boxes)
    except (OSError, ValueError, ET.ParseError) as error:
        raise DataError(f"{file}, line {line}: the boxes in {row['boxes']} cannot be read ({error}).") from error
    return SourceImage(file.stem, image, path("mask"), found, known, row.get("red_boxes") == "all")  # type: ignore[arg-type]


def _read_boxes(file: Path) -> tuple[Box, ...]:
    if file.suffix.lower() == ".xml":
        return _read_voc(file)
    boxes = []
    for line in file.read_text().split("\n"):
        if line.strip():
            number, x, y, width, height = line.split()[:5]
            cx, cy, w, h = float(x), float(y), float(width) / 2, float(height) / 2
            boxes.append(Box(_kind(_YOLO, number), cx - w, cy - h, cx + w, cy + h))
    return tuple(boxes)


def _read_voc(file: Path) -> tuple[Box, ...]:
    root = ET.parse(file).getroot()
    width, height = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    if not width or not height:
        raise ValueError("the size of the image is missing")
    boxes = []
    for thing in root.findall("object"):
        x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{side}") or 0) for side in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append(Box(_kind(_VOC, thing.findtext("name") or ""), x0 / width, y0 / height, x1 / width, y1 / height))
    return tuple(boxes)


def _kind(kinds: dict[str, Kind], name: str) -> Kind:
    if name not in kinds:
        raise ValueError(f"a box is named {name!r}, and must be one of {', '.join(kinds)}")
    return kinds[name]

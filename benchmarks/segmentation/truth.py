"""What is known about the real images: masks, boxes, counts; and which images a choice of parameters may see.

Of the boxes and masks this is known (see also the README of the data):
- BCCD: half of the red cells have no box, so only the boxed ones can be missed. Two boxes have no area.
- Raabin: fields show at most 12 whole red cells. Six boxes have the wrong class, see `corrected_boxes`. Red cells of
  which the border shows little have no box in many images, see `matching.red_agreement`.
- Boxes of red cells are wider than the cells, see `BOX_PER_CELL`; where the outline of a blurred cell lies is a matter
  of some percent, so errors of the scale are given with and without this margin.
- Chula: the few white cells in it were looked for (`CHULA_WHITE`).
"""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from benchmarks.segmentation.matching import Box, at_border

ROOT = Path(__file__).parents[2]
RECOUNT = ROOT / "benchmarks" / "data" / "bccd_red_cells.csv"
NUCLEUS, CELL = 200, 64  # thresholds of the masks, whose edges are soft
NO_PLATELETS = ("BloodImage_00133", "BloodImage_00135")  # in each one box of a platelet holds a neutrophil, looked at
WRONG_MASK = "BloodImage_00177"  # of BCCD: drawn beside the cell, a third of its width to the left
WHOLE_BOXES = 5  # boxes of whole red cells, for a reliable median of their sides
# Side of a box over that of the cell inside: the median of isolated cells, by Otsu's threshold of green in and around
# their boxes: 1.108 in Raabin (40 cells, quartiles 1.08 and 1.13), 1.135 in BCCD (85 cells, 1.09 and 1.18).
BOX_PER_CELL: Mapping[str, float] = MappingProxyType({"raabin": 1.108, "bccd": 1.135})
# White cells that are really there, looked for in all images. 97.jpg is named by the README of the data and is not in
# every copy of it. The one in Megaloblastic_1 is cut by the left border.
CHULA_WHITE: Mapping[str, int] = MappingProxyType(
    {"97.jpg": 2, "339.jpg": 1, "402.jpg": 1, "551.jpg": 1, "Megaloblastic_anemia_Megaloblastic_anemia_1.JPG": 1}
)
FOLDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aria": ("*/*.jpg",),
        "bccd": ("JPEGImages/*.jpg",),
        "raabin": ("images/*.jpg",),
        "chula": ("fields/*.jpg", "anaemia/*.JPG"),
        "jtsc": ("*.bmp",),
        "pbc": ("*/*.jpg",),
        "jhu": ("*/*.jpg",),
        "phone_and_thin": ("*.jpg",),
        "cnmc": ("*.bmp",),
        "he_sections": ("*.png",),
    }
)
# Looked at: in the first four, the box of a white cell away from the middle holds a red cell; in the other two, the
# white cell in the middle has the box of a red cell.
RAABIN_RED, RAABIN_WHITE = ("003", "025", "080", "234"), ("040", "075")
RAABIN_KINDS = ("WBC", "RBC", "Platelets")

Boxes = dict[str, list[Box]]


def images(data: Path, folder: str) -> list[Path]:
    """The images of a folder, in a fixed order."""
    return [file for pattern in FOLDERS[folder] for file in sorted((data / folder).glob(pattern))]


def is_odd(file: Path) -> bool:
    """Whether the last number in a file's name is odd: such files are for testing, the others for choosing."""
    return int(re.findall(r"\d+", file.stem)[-1]) % 2 == 1


def jtsc_mask(file: Path) -> np.ndarray:
    """The mask of an image of JTSC: uint8, nucleus 255, cytoplasm 128, background 0."""
    return _grey(file.with_suffix(".png"))


def bccd_mask_file(file: Path) -> Path:
    """Where the mask of an image of BCCD is; four images have none."""
    return file.parents[1] / "wbc_masks" / f"BloodImage_Mask_{file.stem[-5:]}.png"


def bccd_mask(file: Path) -> np.ndarray:
    """The mask of the white cells of an image of BCCD: uint8, nucleus 255, cytoplasm about 128, background 0."""
    return _grey(bccd_mask_file(file))


def bccd_files(data: Path, odd: bool) -> list[Path]:
    """The images of BCCD with a mask, with odd or even numbers."""
    return [file for file in images(data, "bccd") if is_odd(file) == odd and bccd_mask_file(file).exists()]


def boxes(file: Path) -> Boxes:
    """The true boxes of an image of BCCD or Raabin: WBC, RBC, Platelets."""
    return _raabin_boxes(file) if file.parent.name == "images" else _bccd_boxes(file)


def corrected_boxes(file: Path) -> Boxes:
    """The boxes of an image of Raabin with six wrong classes put right."""
    found = boxes(file)
    height, width = _grey(file).shape
    wrong = {**dict.fromkeys(RAABIN_RED, ("WBC", "RBC")), **dict.fromkeys(RAABIN_WHITE, ("RBC", "WBC"))}.get(file.stem)
    if wrong is None:
        return found
    kind, right = wrong
    away = [abs((box[0] + box[2]) / width - 1) + abs((box[1] + box[3]) / height - 1) for box in found[kind]]
    one = int(np.argmin(away) if kind == "RBC" else np.argmax(away))
    found[right].append(found[kind].pop(one))
    return found


def red_cell_diameter(file: Path) -> float | None:
    """The diameter of red cells, px, by the boxes of BCCD or Raabin that no border cuts; None with fewer than five.

    It is the median of the boxes' geometric mean sides; `BOX_PER_CELL` tells their margin.
    """
    whole = whole_red_boxes(file)
    if len(whole) < WHOLE_BOXES:
        return None
    sides = [np.sqrt((box[2] - box[0]) * (box[3] - box[1])) for box in whole]
    return float(np.median(sides))


def whole_red_boxes(file: Path) -> list[Box]:
    """The boxes of red cells of an image of BCCD or Raabin that no border cuts."""
    shape = _grey(file).shape
    return [box for box in boxes(file)["RBC"] if box[2] > box[0] and not at_border(box, shape, 0.01)]


def recount() -> dict[str, tuple[float, float]]:
    """Red cells of fields of BCCD by two readings; the second is NaN for even-numbered fields."""
    with RECOUNT.open(encoding="utf-8") as lines:
        return {
            line["image"]: (float(line["red_cells"]), float(line["second"] or "nan")) for line in csv.DictReader(lines)
        }


def _grey(file: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))


def _bccd_boxes(file: Path) -> Boxes:
    found: Boxes = {"WBC": [], "RBC": [], "Platelets": []}
    for thing in ET.parse(file.parents[1] / "Annotations" / f"{file.stem}.xml").findall("object"):
        x0, y0, x1, y1 = (int(float(thing.findtext(f"bndbox/{side}", ""))) for side in ("xmin", "ymin", "xmax", "ymax"))
        found[thing.findtext("name", "")].append((x0, y0, x1, y1))
    return found


def _raabin_boxes(file: Path) -> Boxes:
    height, width = _grey(file).shape
    found: Boxes = {kind: [] for kind in RAABIN_KINDS}
    for line in (file.parents[1] / "boxes" / f"{file.stem}.txt").read_text().splitlines():
        kind, x, y, w, h = line.split()
        halves = float(w) / 2 * width, float(h) / 2 * height
        middle = float(x) * width, float(y) * height
        found[RAABIN_KINDS[int(kind)]].append(
            (middle[0] - halves[0], middle[1] - halves[1], middle[0] + halves[0], middle[1] + halves[1])
        )
    return found

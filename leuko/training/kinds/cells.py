"""Cells to train on: cut out of the images of lists by the segmentation that serves, with what is known of each.

A list is a CSV file of one laboratory with a header and these columns; paths are relative to the list.

image: the file.
label: a kind of `leuko.cells.kinds.names`; or `malignant` or `benign`: the image is a field of leukaemia or not, and no
    cell is labelled for itself.
x, y: px, where the labelled cell lies; empty: the one nearest to the middle, or all of a field.
group: images of one group (a patient, a block of files, overlapping fields) stay together in every split.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from leuko.cells.kinds import crops
from leuko.cells.kinds.names import KINDS
from leuko.cells.segmentation import Segmentation, segment
from leuko.data.errors import DataError
from leuko.images.decode import ImageError, decode
from leuko.images.synthetic.random_smear import random_field

MALIGNANT, BENIGN = "malignant", "benign"
LABELS = (*KINDS, MALIGNANT, BENIGN)
SIDE_PX = 128  # of the stored crops: more than the network sees, so that they can be turned and scaled
CELLS_PER_FIELD = 6  # of a field without labels of its own, at most
DRAWN = "drawn"
_DRAWN_KINDS = {"band_neutrophil": "neutrophil", "reactive_lymphocyte": "lymphocyte", "large_blast": "blast"}


@dataclass(frozen=True)
class Cells:
    """N cells.

    Attributes:
        pixels, parts: as in `leuko.cells.kinds.crops.Crops`, of side `SIDE_PX`.
        labels: str, N, of `LABELS`.
        laboratories: str, N: names of the lists.
        groups: str, N.
        images: str, N: names of the files.
        resolutions: float32, N: µm a pixel of the images.
        nucleus_density, red_density: float32, N × 3: mean optical densities (natural logarithm) of all nuclei and of
            all red cells in the image; NaN without red cells.
    """

    pixels: np.ndarray
    parts: np.ndarray
    labels: np.ndarray
    laboratories: np.ndarray
    groups: np.ndarray
    images: np.ndarray
    resolutions: np.ndarray
    nucleus_density: np.ndarray
    red_density: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Cells:
        """Some of the cells, by their rows or a mask."""
        return Cells(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def alone(self, row: int) -> np.ndarray:
        """A cell as the network sees it, alone on white: uint8, 96 × 96 × 3, RGB."""
        return crops.alone(*self.middle(row))

    def middle(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and parts of a cell in the side that the network sees."""
        start = (SIDE_PX - crops.SIDE_PX) // 2
        window = np.s_[start : start + crops.SIDE_PX, start : start + crops.SIDE_PX]
        return self.pixels[row][window], self.parts[row][window]

    def write(self, file: Path) -> None:
        """Store them in one step."""
        draft = file.with_suffix(".draft.npz")
        np.savez(draft, **vars(self))
        draft.replace(file)

    @classmethod
    def read(cls, file: Path) -> Cells:
        """Read what `write` stored."""
        with np.load(file) as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})

    @classmethod
    def join(cls, parts: Sequence[Cells]) -> Cells:
        """All cells of several."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class _Entry:
    image: Path
    label: str
    place: tuple[float, float] | None
    group: str


def read_cells(file: Path, on_message: Callable[[str], None] = print) -> Cells:
    """The cells of a list. Images without a cell at the place of a label are left out, and their number is said.

    Raises:
        DataError: the list cannot be used; the message names the line.
    """
    found: list[Cells] = []
    entries = _read_list(file)
    for number, entry in enumerate(entries, start=1):
        try:
            image = decode(entry.image)
        except ImageError as error:
            raise DataError(f"{file}: {entry.image.name} cannot be used: {error}") from error
        segmentation = segment(image)
        ids = _labelled_ids(entry, image, segmentation)
        if ids:
            found.append(_cut(file.stem, entry.image.name, entry.label, entry.group, image, segmentation, ids))
        if number % 200 == 0:
            on_message(f"{file.stem}: {number} of {len(entries)} images.")
    if not found:
        raise DataError(f"{file}: no cell was found in its images.")
    on_message(f"{file.stem}: cells in {len(found)} of {len(entries)} images; the others are left out.")
    return Cells.join(found)


def draw_cells(count: int, seed: int) -> Cells:
    """Cells of so many drawn smears, which give exact kinds in every stain."""
    found: list[Cells] = []
    for number in range(count):
        smear = random_field(seed + number)
        segmentation = segment(smear.image)
        by_kind: dict[str, list[int]] = {}
        for label in range(1, int(segmentation.white_cells.max(initial=0)) + 1):
            if kind := true_kind(smear.white_cells, smear.kinds, segmentation.white_cells == label):
                by_kind.setdefault(kind, []).append(label)
        found += [
            _cut(DRAWN, f"{number}", kind, f"{number}", smear.image, segmentation, ids) for kind, ids in by_kind.items()
        ]
    return Cells.join(found)


def true_kind(true_cells: np.ndarray, kinds: Sequence[str], mask: np.ndarray) -> str | None:
    """The kind of the drawn cell that a found cell is: IoU of 0.5 or more, else None.

    Args:
        true_cells: int, H × W, ids of drawn cells from 1.
        kinds: of `leuko.images.synthetic.kinds`, in the order of ids.
        mask: bool, H × W, of the found cell.
    """
    overlaps = np.bincount(true_cells[mask], minlength=len(kinds) + 1)
    overlaps[0] = 0
    best = int(overlaps.argmax())
    if not best or overlaps[best] < 0.5 * (mask.sum() + (true_cells == best).sum() - overlaps[best]):
        return None
    kind = _DRAWN_KINDS.get(kinds[best - 1], kinds[best - 1])
    return kind if kind in KINDS else None


def _read_list(file: Path) -> list[_Entry]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The list {file} cannot be read ({error}); save it as CSV in UTF-8.") from error
    if not rows or not {"image", "label"} <= set(rows[0]):
        raise DataError(f"{file} is no list of cells: it needs a header with the columns `image` and `label`.")
    entries = []
    for line, row in enumerate(rows, start=2):
        image = file.parent / row["image"]
        if not image.is_file():
            raise DataError(f"{file}, line {line}: there is no file {row['image']}.")
        if row["label"] not in LABELS:
            raise DataError(f"{file}, line {line}: the label {row['label']!r} must be one of {', '.join(LABELS)}.")
        try:
            place = (float(row["x"]), float(row["y"])) if row.get("x") and row.get("y") else None
        except ValueError as error:
            raise DataError(f"{file}, line {line}: x and y must be numbers.") from error
        entries.append(_Entry(image, row["label"], place, row.get("group") or image.name))
    return entries


def _labelled_ids(entry: _Entry, image: np.ndarray, segmentation: Segmentation) -> list[int]:
    """Ids of the cells that a label stands for."""
    labels = segmentation.white_cells
    count = int(labels.max(initial=0))
    if not count:
        return []
    if entry.label in (MALIGNANT, BENIGN):
        touches = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        areas = np.bincount(labels.ravel()) * crops.scale(segmentation) ** 2
        sure = [
            i for i in range(1, count + 1) if i not in touches and not segmentation.doubtful[i - 1] and areas[i] > 40
        ]
        return sure[:CELLS_PER_FIELD]
    found = crops.cell_at(segmentation, entry.place)
    return [] if found is None else [found]


def _cut(
    laboratory: str,
    name: str,
    label: str,
    group: str,
    image: np.ndarray,
    segmentation: Segmentation,
    ids: Sequence[int],
) -> Cells:
    cut = crops.cut(image, segmentation, ids, SIDE_PX)
    count = len(ids)
    empty = crops.background(image, segmentation)

    def density(labels: np.ndarray) -> np.ndarray:
        pixels = image[labels > 0]
        if len(pixels) < 30:
            return np.full((count, 3), np.nan, np.float32)
        return np.tile(-np.log(np.maximum(pixels, 4) / empty).mean(axis=0), (count, 1)).astype(np.float32)

    return Cells(
        cut.pixels,
        cut.parts,
        np.array([label] * count),
        np.array([laboratory] * count),
        np.array([group] * count),
        np.array([name] * count),
        np.full(count, crops.scale(segmentation), np.float32),
        density(segmentation.nuclei),
        density(segmentation.red_cells),
    )

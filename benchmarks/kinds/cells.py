"""Cells whose kind is known, and what the shipped network says about them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leuko.cells.kinds import crops
from leuko.cells.kinds.names import KINDS, kind_of
from leuko.cells.segmentation import segment
from leuko.images.decode import decode

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class KnownCells:
    """N cells.

    Attributes:
        pixels: uint8, N × 96 × 96 × 3, see `leuko.cells.kinds.crops.cut_alone`.
        kinds: int, N, of `KINDS`.
        groups: int, N, patients where they are known, else images.
        missed: number of labelled cells that the segmentation did not find.
    """

    pixels: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray
    missed: int

    def take(self, rows: np.ndarray) -> KnownCells:
        """Some of the cells."""
        return KnownCells(self.pixels[rows], self.kinds[rows], self.groups[rows], self.missed)


def jhu(data: Path) -> KnownCells:
    """The cells of AML and APL patients that have a kind that is told apart, with their patients."""
    with (data / "jhu" / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    return _known(
        (data / "jhu" / row["file"], kind, None, int(row["patient"])) for row in rows if (kind := kind_of(row["cell"]))
    )


def read_by_eye(data: Path, laboratory: str, every: bool = False) -> KnownCells:
    """The odd-numbered images of BCCD or Raabin, which took no part in training; or every image."""
    folder = data / {"bccd": "bccd/JPEGImages", "raabin": "raabin/images"}[laboratory]
    with (ROOT / "benchmarks" / "data" / f"{laboratory}_kinds.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if every or int(Path(row["image"]).stem[-3:]) % 2]
    return _known(
        (folder / row["image"], row["kind"], (float(row["x"]), float(row["y"])), int(Path(row["image"]).stem[-3:]))
        for row in rows
    )


def _known(labelled: Iterator[tuple[Path, str, tuple[float, float] | None, int]]) -> KnownCells:
    pixels, kinds, groups, missed = [], [], [], 0
    for file, kind, place, group in labelled:
        image = decode(file)
        segmentation = segment(image)
        label = crops.cell_at(segmentation, place)
        if label is None:
            missed += 1
            continue
        pixels.append(crops.cut_alone(image, segmentation, [label])[0])
        kinds.append(KINDS.index(kind))
        groups.append(group)
    return KnownCells(np.stack(pixels), np.array(kinds), np.array(groups), missed)

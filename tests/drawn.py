"""Drawn smears that several tests share: a small folder to learn from, and single cells cut out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from leuko.images.synthetic import rendering

CLASSES = {"blast": {"blast": 4}, "healthy": {"neutrophil": 3}}


def draw(root: Path, *counts: int) -> Path:
    """Fields of 96 × 96 pixels, so many of each of two classes that differ in their cells."""
    for (name, cells), count in zip(CLASSES.items(), counts, strict=True):
        (root / name).mkdir()
        for i in range(count):
            field = rendering.render(i, width=96, height=96, um_per_px=0.7, white_cells=cells)
            Image.fromarray(field.image).save(root / name / f"{i}.png")
    return root


def cut_out(smear: rendering.Smear, ground: tuple[int, int, int]) -> np.ndarray:
    """The first white cell of a drawn field on a ground of one colour, 300 × 300."""
    rows, columns = np.nonzero(smear.white_cells == 1)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    inside = smear.white_cells[window] == 1
    image = np.empty((300, 300, 3), np.uint8)
    image[:] = ground
    top, left = ((300 - side) // 2 for side in inside.shape)
    part = image[top : top + inside.shape[0], left : left + inside.shape[1]]
    part[inside] = smear.image[window][inside]
    return image

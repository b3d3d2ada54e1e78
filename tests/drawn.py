"""A small folder of drawn smears to learn from."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from leuko.images import synthetic

CLASSES = {"blast": {"blast": 4}, "healthy": {"neutrophil": 3}}


def draw(root: Path, *counts: int) -> Path:
    """Fields of 96 × 96 pixels, so many of each of two classes that differ in their cells."""
    for (name, cells), count in zip(CLASSES.items(), counts, strict=True):
        (root / name).mkdir()
        for i in range(count):
            field = synthetic.render(i, width=96, height=96, um_per_px=0.7, white_cells=cells)
            Image.fromarray(field.image).save(root / name / f"{i}.png")
    return root

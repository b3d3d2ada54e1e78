"""Drawn smears as a laboratory's list: images, masks and boxes on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from leuko.images.synthetic import rendering
from leuko.images.synthetic.rendering import Smear

SIDE = 160


def smear(seed: int) -> Smear:
    """A drawn field with two white cells and red cells of 24 px."""
    return rendering.render(seed, width=SIDE, height=SIDE, um_per_px=7.5 / 24, white_cells={"lymphocyte": 2})


def write_list(folder: Path, name: str, seeds: Sequence[int]) -> Path:
    """A list of fields, with masks of the white cells and YOLO's boxes of the white and red cells."""
    rows = []
    for seed in seeds:
        field, stem = smear(seed), f"{name}-{seed}"
        mask = np.where(field.white_cells > 0, 128, 0).astype(np.uint8)
        mask[field.nuclei > 0] = 255
        Image.fromarray(field.image).save(folder / f"{stem}.png")
        Image.fromarray(mask).save(folder / f"{stem}-mask.png")
        lines = [
            f"{kind} {(columns.start + columns.stop) / 2 / SIDE} {(lines.start + lines.stop) / 2 / SIDE} "
            f"{(columns.stop - columns.start) / SIDE} {(lines.stop - lines.start) / SIDE}"
            for kind, labels in ((0, field.white_cells), (1, field.red_cells))
            for lines, columns in ndimage.find_objects(labels)
        ]
        (folder / f"{stem}.txt").write_text("\n".join(lines))
        rows.append({"image": f"{stem}.png", "mask": f"{stem}-mask.png", "boxes": f"{stem}.txt", "red_boxes": "all"})
    file = folder / f"{name}.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file

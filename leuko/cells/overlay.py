"""Overlay: an image with the outlines of its cells and the numbers of its white cells."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.segmentation import Segmentation

# Okabe & Ito 2008: distinguishable for colour-blind readers, and by brightness on a stained smear.
COLOURS = {
    "nuclei": (0, 114, 178),
    "white_cells": (213, 94, 0),
    "red_cells": (230, 159, 0),
    "platelets": (0, 158, 115),
    "smudges": (0, 0, 0),
}
MIN_SIDE = 640  # px, longer side; smaller images are enlarged, or the numbers would hide the cells
DASHES = 9  # around the outline of a doubtful cell


def draw(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Outline all cells and nuclei, doubtful white cells with dashes, and number the white cells by their ids.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        segmentation: of this image.

    Returns:
        uint8, RGB; of the image's size, or a whole number of times larger if it is small.
    """
    zoom = max(1, round(MIN_SIDE / max(image.shape[:2])))
    picture = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    thick = max(1, round(max(picture.shape[:2]) / 800))
    for name in ("red_cells", "platelets", "smudges", "white_cells", "nuclei"):
        found = getattr(segmentation, name)
        if found is None:
            continue
        labels = np.repeat(np.repeat(found, zoom, axis=0), zoom, axis=1)
        edge = labels != cv2.erode(labels.astype(np.float32), np.ones((2 * thick + 1,) * 2)).astype(np.int32)
        edge |= labels != cv2.dilate(labels.astype(np.float32), np.ones((2 * thick + 1,) * 2)).astype(np.int32)
        edge &= labels > 0
        if name == "white_cells":
            for row in np.flatnonzero(segmentation.doubtful):
                edge &= ~_gaps(labels == row + 1)
        picture[edge] = COLOURS[name]
    size = max(picture.shape[:2]) / 1100
    for label in range(1, int(segmentation.white_cells.max(initial=0)) + 1):
        ys, xs = np.nonzero(segmentation.white_cells == label)
        text = str(label)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2 * thick)
        position = (
            int(np.clip(xs.mean() * zoom - width / 2, 0, picture.shape[1] - width)),
            int(np.clip(ys.mean() * zoom + height / 2, height, picture.shape[0] - 1)),
        )
        for colour, pen in (((0, 0, 0), 4 * thick), ((255, 255, 255), 2 * thick)):
            cv2.putText(picture, text, position, cv2.FONT_HERSHEY_SIMPLEX, size, colour, pen, cv2.LINE_AA)
    return picture


def _gaps(cell: np.ndarray) -> np.ndarray:
    """Sectors of a cell, a bool mask, in which its outline is left out, so that dashes remain."""
    gaps = np.zeros(cell.shape, bool)
    ys, xs = np.nonzero(cell)
    turns = np.arctan2(ys - ys.mean(), xs - xs.mean()) / (2 * np.pi)
    gaps[ys, xs] = np.floor(2 * DASHES * turns) % 2 == 1
    return gaps

"""A field with its cells outlined and numbered, for people."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.segmentation import Segmentation

# Okabe & Ito 2008: told apart by colour-blind readers too, and by brightness on a stained smear.
COLOURS = {"nuclei": (0, 114, 178), "white_cells": (213, 94, 0), "red_cells": (230, 159, 0), "platelets": (0, 158, 115)}
SMALLEST = 640  # px, longer side; smaller images are enlarged, or numbers would hide the cells


def draw(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Outline red cells, platelets, white cells and nuclei, and number the white cells by their ids.

    Args:
        image: uint8, H × W × 3, RGB; not changed.
        segmentation: of this image.

    Returns:
        uint8, RGB; of the image's size, or a whole number of times larger if it is small.
    """
    times = max(1, round(SMALLEST / max(image.shape[:2])))
    picture = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    thick = max(1, round(max(picture.shape[:2]) / 800))
    for name in ("red_cells", "platelets", "white_cells", "nuclei"):
        labels = np.repeat(np.repeat(getattr(segmentation, name), times, axis=0), times, axis=1)
        edge = labels != cv2.erode(labels.astype(np.float32), np.ones((2 * thick + 1,) * 2)).astype(np.int32)
        edge |= labels != cv2.dilate(labels.astype(np.float32), np.ones((2 * thick + 1,) * 2)).astype(np.int32)
        picture[edge & (labels > 0)] = COLOURS[name]
    size = max(picture.shape[:2]) / 1100
    for label in range(1, int(segmentation.white_cells.max(initial=0)) + 1):
        ys, xs = np.nonzero(segmentation.white_cells == label)
        text = str(label)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2 * thick)
        place = (
            int(np.clip(xs.mean() * times - width / 2, 0, picture.shape[1] - width)),
            int(np.clip(ys.mean() * times + height / 2, height, picture.shape[0] - 1)),
        )
        for colour, pen in (((0, 0, 0), 4 * thick), ((255, 255, 255), 2 * thick)):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, pen, cv2.LINE_AA)
    return picture

"""One pass over the images, of which only small arrays stay: a few hundred bytes a row, sums for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from leuko.data.image_table import ImageTable
from leuko.images import scale_bar
from leuko.images.decode import ImageError
from leuko.images.stain.colour_statistics import colour_statistics

Progress = Callable[[Iterable, str, int], Iterable]

STATISTICS = tuple(f"{name} {channel}" for name in ("mean", "spread", "skew") for channel in ("red", "green", "blue"))
BINS = 64  # of the colour histograms
SIDE = 96  # pixels, of the mean images
_EDGE = np.pad(np.zeros((14, 14), bool), 1, constant_values=True)  # the outer cells of 16 × 16


@dataclass(frozen=True)
class Records:
    """What is kept of the images. Rows that cannot be read are False in `readable` and zero elsewhere.

    Attributes:
        colours: float32, N × 9, from `leuko.images.stain.colour_statistics.colour_statistics`.
        border: uint8, N × 180, the outer sixteenth of each side, averaged in squares.
        corner: uint8, N × 768, the lower right quarter of each side, where scale bars stand, 16 × 16 × 3.
        written: bool, N, whether `leuko.images.scale_bar` finds burned-in writing in a corner.
        sizes: int32, N × 2, width and height in pixels.
        readable: bool, N.
        histograms: float64, classes × 3 × `BINS`, mean share of pixels by brightness.
        means: float64, classes × `SIDE` × `SIDE` × 3, mean image, 0 to 255.
    """

    colours: np.ndarray
    border: np.ndarray
    corner: np.ndarray
    written: np.ndarray
    sizes: np.ndarray
    readable: np.ndarray
    histograms: np.ndarray
    means: np.ndarray


def measure(rows: ImageTable, progress: Progress) -> Records:
    """Decode every row once and keep its measures.

    Args:
        rows: as `leuko.data.load` gives them.
        progress: wraps an iterable, given what is done and how many there are.
    """
    total, classes = len(rows), len(rows.class_names)
    records = Records(
        colours=np.zeros((total, 9), np.float32),
        border=np.zeros((total, 180), np.uint8),
        corner=np.zeros((total, 768), np.uint8),
        written=np.zeros(total, bool),
        sizes=np.zeros((total, 2), np.int32),
        readable=np.zeros(total, bool),
        histograms=np.zeros((classes, 3, BINS)),
        means=np.zeros((classes, SIDE, SIDE, 3)),
    )
    for row in progress(range(total), "Measuring", total):
        try:
            image = rows.open_image(row)
        except ImageError:
            continue
        _record(records, row, rows.labels[row], image)
    count = np.maximum(np.bincount(rows.labels[records.readable], minlength=classes), 1)
    records.histograms[:] /= count[:, None, None]
    records.means[:] /= count[:, None, None, None]
    return records


def _record(records: Records, row: int, label: int, image: np.ndarray) -> None:
    records.readable[row] = True
    records.sizes[row] = image.shape[1], image.shape[0]
    records.colours[row] = colour_statistics(image)
    cells = cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA)
    records.border[row] = cells[_EDGE].ravel()
    height, width = image.shape[:2]
    lower_right = image[height - height // 4 :, width - width // 4 :]
    records.corner[row] = cv2.resize(lower_right, (16, 16), interpolation=cv2.INTER_AREA).ravel()
    records.written[row] = scale_bar.find(image).any()
    for channel in range(3):
        counts = np.bincount(image[..., channel].ravel() // (256 // BINS), minlength=BINS)
        records.histograms[label, channel] += counts / counts.sum()
    records.means[label] += cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)

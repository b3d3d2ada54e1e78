"""The segmentation network, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from leuko.cells.segmentation.learned.classes import BACKGROUND, CLASSES, OFFSET_UNIT_PX
from leuko.system.onnx_session import open_session

EMBEDDED = Path(__file__).with_name("network.onnx")
STRIDE = 2  # of classes and offsets
DEEP_STRIDE = 16  # of the diameter; sides of an input are multiples of it
GREY, SPREAD = 127.0, 64.0  # pixel values are shifted and scaled by them
TILE_PX, MARGIN_PX = 512, 64  # sides of the tiles of a large image, which bound memory, and their overlap


@dataclass(frozen=True)
class Look:
    """What the network says about an image of H × W pixels.

    Attributes:
        shares: float32, classes × H/2 × W/2 (rounded up): how likely each class is, 0 to 1.
        offsets: float32, 2 × H/2 × W/2: rows and columns to the middle of a pixel's cell, in pixels of the maps.
        red_diameter: of a typical red cell, px of the image; None where the image shows no cells.
    """

    shares: np.ndarray
    offsets: np.ndarray
    red_diameter: float | None


class SegmentationNetwork:
    """A network as `leuko train-segmenter` writes it; may be used by several threads at once."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        self._session = open_session(file, threads)

    @classmethod
    @cache
    def embedded(cls) -> SegmentationNetwork:
        """The network that belongs to this version."""
        return cls(EMBEDDED)

    def look(self, image: np.ndarray) -> Look:
        """Run the network on an image, uint8, H × W × 3, RGB; a large one in tiles."""
        height, width = image.shape[:2]
        maps_shape = -(-height // STRIDE), -(-width // STRIDE)
        shares = np.empty((len(CLASSES), *maps_shape), np.float32)
        offsets = np.empty((2, *maps_shape), np.float32)
        logarithms: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        for rows, inner_rows in _tiles(height):
            for columns, inner_columns in _tiles(width):
                logits, votes, diameters = self._run(image[rows, columns])
                at = _at(inner_rows, inner_columns, maps_shape)
                local = _at(_shifted(inner_rows, rows.start), _shifted(inner_columns, columns.start), logits.shape[1:])
                tile_shares = _softmax(logits)
                shares[(slice(None), *at)] = tile_shares[(slice(None), *local)]
                offsets[(slice(None), *at)] = votes[(slice(None), *local)] * (OFFSET_UNIT_PX / STRIDE)
                found = 1 - tile_shares[BACKGROUND]
                logarithms.append(diameters.ravel())
                weights.append(cv2.resize(found, diameters.shape[::-1], interpolation=cv2.INTER_AREA).ravel())
        return Look(shares, offsets, _typical(np.concatenate(logarithms), np.concatenate(weights)))

    def _run(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, offsets and logarithms of diameters of one tile."""
        height, width = image.shape[:2]
        padded = np.full((_up(height), _up(width), 3), GREY, np.float32)
        padded[:height, :width] = image
        pixels = ((padded - GREY) / SPREAD).transpose(2, 0, 1)[None]
        logits, votes, diameters = self._session.run(None, {"pixels": np.ascontiguousarray(pixels)})
        used = np.s_[:, : -(-height // STRIDE), : -(-width // STRIDE)]
        return logits[0][used], votes[0][used], diameters[0, 0]


def _up(side: int) -> int:
    return -(-side // DEEP_STRIDE) * DEEP_STRIDE


def _tiles(side: int) -> list[tuple[slice, slice]]:
    """Parts of a side with their margins, and the same without."""
    if side <= TILE_PX + 2 * MARGIN_PX:
        return [(slice(0, side), slice(0, side))]
    count = -(-side // TILE_PX)
    step = -(-side // (count * DEEP_STRIDE)) * DEEP_STRIDE
    return [
        (slice(max(start - MARGIN_PX, 0), min(start + step + MARGIN_PX, side)), slice(start, min(start + step, side)))
        for start in range(0, side, step)
    ]


def _shifted(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _at(rows: slice, columns: slice, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Pixels as places of the maps."""
    return (
        slice(rows.start // STRIDE, min(-(-rows.stop // STRIDE), shape[0])),
        slice(columns.start // STRIDE, min(-(-columns.stop // STRIDE), shape[1])),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Shares of the first axis."""
    shares = np.exp(logits - logits.max(axis=0))
    shares /= shares.sum(axis=0)
    return shares


def _typical(logarithms: np.ndarray, weights: np.ndarray) -> float | None:
    """The weighted median of diameters; None without weight."""
    weights = np.where(weights > 0.3, weights, 0)  # places with hardly a cell say little
    if not weights.any():
        return None
    order = np.argsort(logarithms)
    below = np.cumsum(weights[order])
    return float(np.exp(logarithms[order][np.searchsorted(below, below[-1] / 2)]))

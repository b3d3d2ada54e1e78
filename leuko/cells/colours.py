"""A smear's colours as the segmentation sees them: free of the lamp, in a perceptual space, and counted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.clustering import Memberships

SOFTENING = 0.7  # px, sigma; sensor noise and compression are finer, chromatin is coarser
BIN = 2.0  # of the palette, in units of CIELAB; about what an eye can just tell apart
_BINS = (51, 128, 128)


@dataclass(frozen=True)
class Colours:
    """An image as its colours.

    Attributes:
        lab: float32, H × W × 3: CIELAB with the empty glass as white (L* 100, a* and b* 0).
        green: float32, H × W, 0 to 1: the green light that comes through, 1 on empty glass. Both dyes of a blood stain
            absorb green.
        palette: float, P × 3: every colour of `lab` that occurs, in bins of `BIN`.
        counts: float, P: how many pixels have it.
        index: int, H × W: the place of every pixel's colour in the palette.
    """

    lab: np.ndarray
    green: np.ndarray
    palette: np.ndarray
    counts: np.ndarray
    index: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> Colours:
        """Take an image, uint8, H × W × 3, RGB, apart."""
        light = np.clip(image / _glass(image), 1 / 255, 1).astype(np.float32)
        light = cv2.GaussianBlur(light, (0, 0), SOFTENING)
        lab = cv2.cvtColor(light, cv2.COLOR_RGB2LAB)
        place = ((lab + np.array([0, 128, 128])) / BIN).astype(np.int32)
        flat = np.ravel_multi_index(tuple(place.reshape(-1, 3).T), _BINS, mode="clip")
        counts = np.bincount(flat, minlength=int(np.prod(_BINS)))
        present = np.flatnonzero(counts)
        where = np.empty(len(counts), dtype=np.int32)
        where[present] = np.arange(len(present))
        palette = (np.stack(np.unravel_index(present, _BINS), axis=1) + 0.5) * BIN - [0, 128, 128]
        return cls(lab, light[..., 1], palette, counts[present].astype(float), where[flat].reshape(lab.shape[:2]))

    def spread(self, memberships: Memberships) -> np.ndarray:
        """Memberships of all pixels, float32, H × W × K, from those of the palette's colours."""
        return memberships(self.palette).astype(np.float32)[self.index]


def violet(lab: np.ndarray) -> np.ndarray:
    """How violet colours are: a* − b*; … × 3 → …. What basic dyes stain is violet, whatever the tint of the rest."""
    return lab[..., 1] - lab[..., 2]


def _glass(image: np.ndarray) -> np.ndarray:
    """The colour of the lamp seen through empty glass: the median of the brightest quarter; float, 3, at least 1."""
    values = image[::2, ::2].reshape(-1, 3)
    brightness = values.min(axis=1).astype(np.int32) + values.sum(axis=1, dtype=np.int32) // 3
    bright = values[brightness >= np.quantile(brightness, 0.75)]
    return np.maximum(np.median(bright, axis=0), 1.0)

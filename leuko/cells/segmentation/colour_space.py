"""A smear's colours as the segmentation sees them: free of the lamp, in a perceptual space, and counted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SOFTENING = 0.7  # px, sigma; sensor noise and compression are finer, chromatin is coarser
BIN = 2.0  # of the palette, in units of CIELAB; about what an eye can just tell apart
TILES = 12  # of each side, in which glass is looked for
FALL = 0.35  # share of its light that a lamp may lose towards the corners
_SHIFT = np.float32([0, 128, 128])  # makes L*, a* and b* positive


@dataclass(frozen=True)
class Colours:
    """An image as its colours.

    Attributes:
        lab: float32, H × W × 3: CIELAB with the empty glass as white (L* 100, a* and b* 0).
        green: float32, H × W, 0 to 1: the green light that comes through, 1 on empty glass. Both dyes of a blood stain
            absorb green.
        palette: float, P × 3: every colour of `lab` that occurs, in bins of `BIN`.
        index: int, H × W: the place of every pixel's colour in the palette.
    """

    lab: np.ndarray
    green: np.ndarray
    palette: np.ndarray
    index: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> Colours:
        """Take an image, uint8, H × W × 3, RGB, apart."""
        light = np.clip(image / _glass(image), np.float32(1 / 255), 1)
        light = cv2.GaussianBlur(light, (0, 0), SOFTENING)
        lab = cv2.cvtColor(light, cv2.COLOR_RGB2LAB)
        bins = [((plane + shift) / BIN).astype(np.int32) for plane, shift in zip(cv2.split(lab), _SHIFT, strict=True)]
        first = np.array([each.min() for each in bins], np.int32)
        sides = np.array([each.max() for each in bins], np.int32) - first + 1
        place = ((bins[0] - first[0]) * sides[1] + (bins[1] - first[1])) * sides[2] + (bins[2] - first[2])
        present = np.flatnonzero(np.bincount(place.ravel(), minlength=sides.prod()))
        number = np.empty(sides.prod(), np.int32)
        number[present] = np.arange(len(present))
        palette = (np.stack(np.unravel_index(present, sides), axis=1) + first + 0.5) * BIN - _SHIFT
        return cls(lab, light[..., 1], palette, number[place])


def violet(lab: np.ndarray) -> np.ndarray:
    """How violet colours are: a* − b*; … × 3 → …. What basic dyes stain is violet, whatever the tint of the rest."""
    return lab[..., 1] - lab[..., 2]


def _glass(image: np.ndarray) -> np.ndarray:
    """The light through empty glass everywhere in an image: float, H × W × 3, at least 1.

    Lamps light the middle better than the corners. A quadratic surface is laid through the brightest tenth of every
    tile; tiles without glass lie below it and lose their weight.
    """
    height, width = image.shape[:2]
    lights, places = _brightest(image)
    levels = lights.mean(axis=1)
    weights = (levels >= (1 - FALL) * np.quantile(levels, 0.9)).astype(float)
    surface = np.broadcast_to(np.quantile(lights, 0.9, axis=0), lights.shape)
    terms = _terms(places)
    for _ in range(5):
        if (weights > 0.5).sum() < 2 * terms.shape[1]:  # too little glass to tell where the light falls off
            glass = np.average(lights, axis=0, weights=weights + 1e-6)
            return np.maximum(np.broadcast_to(glass, image.shape), 1).astype(np.float32)
        root = np.sqrt(weights)[:, None]
        factors = np.linalg.lstsq(root * terms, root * lights, rcond=None)[0]
        surface = terms @ factors
        weights = (levels > 0.97 * surface.mean(axis=1)).astype(float)
    y, x = np.linspace(-0.5, 0.5, 16), np.linspace(-0.5, 0.5, 16)
    coarse = _terms(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)) @ factors
    field = cv2.resize(coarse.reshape(16, 16, 3).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(field, np.float32(0.5 * surface.max()))


def _brightest(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 0.9 quantile of every tile: float, T × 3; and the tiles' middles as y and x from −0.5 to 0.5, T × 2."""
    tall, wide = (max(side // TILES, 1) for side in image.shape[:2])
    tops, lefts = (
        np.linspace(0, side - one, TILES).astype(int) for side, one in zip(image.shape[:2], (tall, wide), strict=True)
    )
    rows, columns = tops[:, None] + np.arange(0, tall, 2), lefts[:, None] + np.arange(0, wide, 2)
    values = image[rows[:, None, :, None], columns[None, :, None, :]].reshape(TILES**2, -1, 3)
    y, x = (tops + tall / 2) / image.shape[0] - 0.5, (lefts + wide / 2) / image.shape[1] - 0.5
    places = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    ranked = np.sort(values.transpose(0, 2, 1).astype(np.float32), axis=2)  # numpy's quantile takes five times as long
    return ranked[..., int(0.9 * (ranked.shape[2] - 1))], places


def _terms(places: np.ndarray) -> np.ndarray:
    y, x = places.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)

"""The colours of a smear without the lamp's: transmittance, CIELAB relative to the background, and a palette."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ColourParameters:
    """How colours are measured.

    Attributes:
        smoothing_px: standard deviation of the smoothing; sensor noise and compression are finer, chromatin is coarser.
        palette_bin: width of a bin of the palette, CIELAB units; about the smallest difference that an eye can see.
        tiles: of each side of the image, in which background is searched; one tile is smaller than a gap between cells.
        background_quantile: of a tile's brightness, taken as its background; above lie reflections and hot pixels.
        max_light_loss: share of its light that a lamp may lose towards the corners; darker tiles hold no background.
        background_tolerance: relative brightness, against the fitted light, from which a tile holds background.
        min_background: share of the brightest fitted light; less is an error of the fit at the border.
    """

    smoothing_px: float = 0.7
    palette_bin: float = 2.0
    tiles: int = 12
    background_quantile: float = 0.9
    max_light_loss: float = 0.35
    background_tolerance: float = 0.97
    min_background: float = 0.5


DEFAULTS = ColourParameters()
BACKGROUND = np.array([100.0, 0.0, 0.0])  # CIELAB of empty background: the white that colours are relative to
_TO_POSITIVE = np.array([0, 128, 128], np.float32)  # makes L*, a* and b* positive


@dataclass(frozen=True)
class Colours:
    """The colours of an image.

    Attributes:
        lab: float32, H × W × 3: CIELAB with the background as white (L* 100, a* and b* 0).
        green_transmittance: float32, H × W, 0 to 1: the share of green light that passes, 1 on empty background. Both
            dyes of a blood stain absorb green.
        palette: float, P × 3: every colour of `lab` that occurs, in bins of `ColourParameters.palette_bin`.
        palette_index: int, H × W: the palette's entry of every pixel.
    """

    lab: np.ndarray
    green_transmittance: np.ndarray
    palette: np.ndarray
    palette_index: np.ndarray

    @classmethod
    def from_image(cls, image: np.ndarray, parameters: ColourParameters = DEFAULTS) -> Colours:
        """Measure the colours of an image, uint8, H × W × 3, RGB."""
        width = parameters.palette_bin
        transmittance = np.clip(image / _background_light(image, parameters), np.float32(1 / 255), 1)
        transmittance = cv2.GaussianBlur(transmittance, (0, 0), parameters.smoothing_px)
        lab = cv2.cvtColor(transmittance, cv2.COLOR_RGB2LAB)
        bins = [
            ((plane + shift) / width).astype(np.int32)
            for plane, shift in zip(cv2.split(lab), _TO_POSITIVE, strict=True)
        ]
        first = np.array([plane.min() for plane in bins], np.int32)
        sides = np.array([plane.max() for plane in bins], np.int32) - first + 1
        cell = ((bins[0] - first[0]) * sides[1] + (bins[1] - first[1])) * sides[2] + (bins[2] - first[2])
        present = np.flatnonzero(np.bincount(cell.ravel(), minlength=sides.prod()))
        number = np.empty(sides.prod(), np.int32)
        number[present] = np.arange(len(present))
        palette = (np.stack(np.unravel_index(present, sides), axis=1) + first + 0.5) * width - _TO_POSITIVE
        return cls(lab, transmittance[..., 1], palette, number[cell])


def violet_index(lab: np.ndarray) -> np.ndarray:
    """How violet colours are, a* − b*; … × 3 → …. Basic dyes stain violet, whatever the tint of the rest."""
    return lab[..., 1] - lab[..., 2]


def _background_light(image: np.ndarray, parameters: ColourParameters) -> np.ndarray:
    """The light of the empty background at every pixel: float32, H × W × 3, at least 1.

    Lamps light the centre better than the corners, so a quadratic surface is fitted to the brightest tenth of every
    tile. Tiles without background lie below the surface and lose their weight.
    """
    height, width = image.shape[:2]
    lights, positions = _tile_brightness(image, parameters)
    levels = lights.mean(axis=1)
    quantile = parameters.background_quantile
    weights = (levels >= (1 - parameters.max_light_loss) * np.quantile(levels, quantile)).astype(float)
    surface = np.broadcast_to(np.quantile(lights, quantile, axis=0), lights.shape)
    terms = _quadratic_terms(positions)
    for _ in range(5):
        if (weights > 0.5).sum() < 2 * terms.shape[1]:  # too little background to fit a surface
            mean = np.average(lights, axis=0, weights=weights + 1e-6)
            return np.maximum(np.broadcast_to(mean, image.shape), 1).astype(np.float32)
        root = np.sqrt(weights)[:, None]
        factors = np.linalg.lstsq(root * terms, root * lights, rcond=None)[0]
        surface = terms @ factors
        weights = (levels > parameters.background_tolerance * surface.mean(axis=1)).astype(float)
    y, x = np.linspace(-0.5, 0.5, 16), np.linspace(-0.5, 0.5, 16)
    coarse = _quadratic_terms(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)) @ factors
    light = cv2.resize(coarse.reshape(16, 16, 3).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(light, np.float32(parameters.min_background * surface.max()))


def _tile_brightness(image: np.ndarray, parameters: ColourParameters) -> tuple[np.ndarray, np.ndarray]:
    """The upper quantile of every tile, float32, T × 3, and the tiles' centres (y and x, −0.5 to 0.5), T × 2."""
    tiles = parameters.tiles
    tall, wide = (max(side // tiles, 1) for side in image.shape[:2])
    tops, lefts = (
        np.linspace(0, side - one, tiles).astype(int) for side, one in zip(image.shape[:2], (tall, wide), strict=True)
    )
    rows, columns = tops[:, None] + np.arange(0, tall, 2), lefts[:, None] + np.arange(0, wide, 2)
    values = image[rows[:, None, :, None], columns[None, :, None, :]].reshape(tiles**2, -1, 3)
    y, x = (tops + tall / 2) / image.shape[0] - 0.5, (lefts + wide / 2) / image.shape[1] - 0.5
    positions = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    ranked = np.sort(values.transpose(0, 2, 1).astype(np.float32), axis=2)  # NumPy's quantile takes five times as long
    return ranked[..., int(parameters.background_quantile * (ranked.shape[2] - 1))], positions


def _quadratic_terms(positions: np.ndarray) -> np.ndarray:
    y, x = positions.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)

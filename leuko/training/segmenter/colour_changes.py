"""Random changes of colour, light and sharpness: a smear as other laboratories would stain and photograph it.

Colours change as optical densities, in which dyes add up (Ruifrok & Johnston 2001; jitter in stain space after Tellez
et al., "Quantifying the effects of data augmentation and stain color normalization", 2019, arXiv:1902.06543). Red
cells, nuclei and cytoplasm also change each for itself, so that no colour tells them apart, only structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.learned.classes import CLASSES, CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.training.segmenter.example import UNKNOWN
from leuko.training.stain_changes import mixing, noise_and_jpeg

Rng = np.random.Generator


@dataclass(frozen=True)
class ColourChangeParameters:
    """How strong changes are at most; wide enough to hold the stains of all laboratories that were seen.

    Attributes:
        untouched: share of views whose colours stay.
        density: logarithm of the factor of all densities.
        channel: standard deviation of the same for a channel.
        hue: degrees about the grey axis.
        saturation: logarithm of its factor.
        red_cell, nucleus, cytoplasm, other: logarithm of the factor of one class, from and to.
        class_channel: standard deviation of the same for a channel.
        lamp: brightness of the background, 0 to 1, from and to.
        tint: least share of a channel in the lamp's colour.
        gamma: logarithm of the exponent.
        overexposed: probability that light is up to 1.3 times what the camera can show.
        vignette: light that is missing in a corner at most.
        blur: standard deviation of a blur in red-cell diameters at most.
        noise: standard deviation in grey levels at most.
        jpeg: quality, from and to.
    """

    untouched: float = 0.1
    density: float = 0.6
    channel: float = 0.2
    hue: float = 70.0
    saturation: float = 0.8
    red_cell: tuple[float, float] = (-0.8, 0.8)
    nucleus: tuple[float, float] = (-0.35, 0.4)
    cytoplasm: tuple[float, float] = (-0.7, 0.6)
    other: tuple[float, float] = (-0.4, 0.4)
    class_channel: float = 0.2
    lamp: tuple[float, float] = (0.4, 1.0)
    tint: float = 0.55
    gamma: float = 0.45
    overexposed: float = 0.12
    vignette: float = 0.35
    blur: float = 0.07
    noise: float = 14.0
    jpeg: tuple[int, int] = (30, 95)


PARAMETERS = ColourChangeParameters()


def change(image: np.ndarray, classes: np.ndarray, red_diameter: float, rng: Rng) -> np.ndarray:
    """The image as another laboratory might show it.

    Args:
        image: uint8, H × W × 3, RGB.
        classes: uint8, H × W: of its pixels, or `UNKNOWN`.
        red_diameter: px.
        rng: source of all random choices.

    Returns:
        uint8, H × W × 3, RGB.
    """
    if rng.random() >= PARAMETERS.untouched:
        image = _stain(image, classes, rng)
    return _camera(image, red_diameter, rng)


def recolour(image: np.ndarray, rng: Rng) -> np.ndarray:
    """The image in other colours, where the classes of its pixels are not known; uint8, H × W × 3, RGB."""
    return _stain(image, np.full(image.shape[:2], UNKNOWN, np.uint8), rng)


def _stain(image: np.ndarray, classes: np.ndarray, rng: Rng) -> np.ndarray:
    """Another stain and lamp."""
    strength = rng.uniform(0.15, 1)
    background = np.maximum(np.quantile(image[::4, ::4].reshape(-1, 3), 0.9, axis=0), 8).astype(np.float32)
    density = -np.log(np.maximum(image, 4) / background).astype(np.float32)
    gains = np.ones((256, 3), np.float32)
    ranges = {
        RED_CELL: PARAMETERS.red_cell,
        NUCLEUS: PARAMETERS.nucleus,
        CYTOPLASM: PARAMETERS.cytoplasm,
        PLATELET: PARAMETERS.other,
        SMUDGE: PARAMETERS.other,
    }
    for kind in range(1, len(CLASSES)):
        factor = strength * (rng.uniform(*ranges[kind]) + PARAMETERS.class_channel * rng.normal(size=3))
        gains[kind] = np.exp(factor)
    gains[UNKNOWN] = gains[[RED_CELL, CYTOPLASM]].mean(axis=0)
    density *= cv2.GaussianBlur(gains[classes], (0, 0), 1.2)
    density = density @ _mixing(strength, rng).T
    lamp = 255 * rng.uniform(*PARAMETERS.lamp) ** strength * rng.uniform(PARAMETERS.tint, 1, 3) ** strength
    lamp = lamp / max(lamp.max() / 255, 1) if rng.random() > 0.5 else 255 * lamp / lamp.max() * rng.uniform(0.7, 1)
    if rng.random() < PARAMETERS.overexposed:
        lamp = lamp * rng.uniform(1, 1.3)
    light = np.exp(-density) * (lamp / 255 * np.ones(3)).astype(np.float32)
    gamma = np.exp(strength * PARAMETERS.gamma * rng.uniform(-1, 1))
    return (255 * np.clip(light, 0, 1) ** gamma).astype(np.uint8)


def _mixing(strength: float, rng: Rng) -> np.ndarray:
    p = PARAMETERS
    return mixing(strength, p.density, p.channel, p.hue, p.saturation, rng).astype(np.float32)


def _camera(image: np.ndarray, red_diameter: float, rng: Rng) -> np.ndarray:
    """Uneven light, blur, sharpening, noise and compression."""
    if rng.random() < 0.25:
        height, width = image.shape[:2]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        away = ((y / height - rng.uniform(0, 1)) ** 2 + (x / width - rng.uniform(0, 1)) ** 2)[..., None]
        image = np.clip(image * (1 - PARAMETERS.vignette * rng.random() * away), 0, 255).astype(np.uint8)
    chance = rng.random()
    if chance < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), 0.2 + PARAMETERS.blur * red_diameter * rng.random())
    elif chance < 0.5:
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 1.6))
        image = cv2.addWeighted(image, 1 + (amount := rng.uniform(0.2, 1.2)), soft, -amount, 0)
    return noise_and_jpeg(image, PARAMETERS.noise, PARAMETERS.jpeg, rng)

"""Random changes of stain and camera that the networks of cells share."""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


def mixing(strength: float, density: float, channel: float, hue: float, saturation: float, rng: Rng) -> np.ndarray:
    """How optical densities mix, float, 3 × 3: factors of the channels, hue about the grey axis, saturation.

    Args:
        strength: 0 to 1, of all changes.
        density, channel: logarithm of the factor of all densities at most; standard deviation of a channel's.
        hue: degrees at most.
        saturation: logarithm of its factor at most.
        rng: source of all random choices.
    """
    grey = np.full((3, 3), 1 / 3)
    angle = np.deg2rad(strength * hue * rng.uniform(-1, 1))
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * grey
    factor = np.exp(strength * saturation * rng.uniform(-1, 1))
    factors = strength * (density * rng.uniform(-1, 1) + channel * rng.normal(size=3))
    return np.asarray(np.exp(factors)[:, None] * (grey + factor * (turn - grey)))


def noise_and_jpeg(image: np.ndarray, noise: float, jpeg: tuple[int, int], rng: Rng) -> np.ndarray:
    """Noise, its standard deviation in grey levels at most, and compression, of a quality from and to; often neither.

    The image and the result are uint8, H × W × 3, RGB.
    """
    if rng.random() < 0.4:
        shape = (*image.shape[:2], 3 if rng.random() < 0.5 else 1)
        image = np.clip(image + rng.normal(0, noise * rng.random() ** 2, shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*jpeg))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
    return image

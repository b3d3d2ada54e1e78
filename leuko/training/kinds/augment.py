"""Random changes of a cell: turned, scaled, in the stain of another laboratory, by another camera.

Stains change as optical densities, in which dyes add up (Ruifrok & Johnston 2001). The colours of nuclei and red cells
of a laboratory are moved towards those of an image of any other laboratory by one linear map, after which the
differences between kinds of cells are still there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.kinds import crops
from leuko.training.stain_changes import mixing, noise_and_jpeg

Rng = np.random.Generator


@dataclass(frozen=True)
class AugmentParameters:
    """How strong changes are at most.

    Attributes:
        untouched: share of cells whose colours stay.
        zoom: logarithm of the factor of size.
        shift_um: of the cell from the middle.
        margin_um: by which the mask of the cell is widened, from and to.
        ridge: how firmly a stain map keeps what two colours do not determine, relative to their squared length.
        density, channel: logarithm of the factor of all densities, and standard deviation of the same for a channel.
        hue: degrees about the grey axis.
        saturation: logarithm of its factor.
        part: logarithm of the factor of nucleus and cytoplasm, each for itself.
        lamp: logarithm of the factor of the light, from and to, and standard deviation of the same for a channel.
        gamma: logarithm of the exponent.
        coarse: share of cells taken by a coarser camera.
        blur_um, noise: standard deviations in µm and grey levels at most.
        jpeg: quality, from and to.
    """

    untouched: float = 0.1
    zoom: float = 0.2
    shift_um: float = 1.0
    margin_um: tuple[float, float] = (0.0, 1.2)
    ridge: float = 0.05
    density: float = 0.35
    channel: float = 0.08
    hue: float = 20.0
    saturation: float = 0.4
    part: float = 0.18
    lamp: tuple[float, float] = (-0.15, 0.08)
    tint: float = 0.03
    gamma: float = 0.25
    blur_um: float = 0.35
    coarse: float = 0.3
    noise: float = 8.0
    jpeg: tuple[int, int] = (40, 95)


PARAMETERS = AugmentParameters()


def change(pixels: np.ndarray, parts: np.ndarray, source: np.ndarray, target: np.ndarray, rng: Rng) -> np.ndarray:
    """A cell as another laboratory might show it.

    Args:
        pixels, parts: of one cell, see `leuko.training.kinds.cells.Cells`.
        source, target: float, 2 × 3, optical densities of nuclei and red cells of the cell's laboratory, and of another
            image.
        rng: source of all random choices.

    Returns:
        uint8, 96 × 96 × 3 (`leuko.cells.kinds.crops.SIDE_PX`), RGB, alone on white.
    """
    pixels, parts = _turn(pixels, parts, rng)
    if rng.random() >= PARAMETERS.untouched:
        pixels = _stain(pixels, parts, source, target, rng)
    pixels = _camera(pixels, rng)
    return crops.alone(pixels, parts, rng.uniform(*PARAMETERS.margin_um))


def stain_map(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The linear map of optical densities, 3 × 3, that takes nuclei and red cells of a source near to a target's.

    Least squares with a ridge towards the plain ratio of darkness: what two colours leave open stays as it is.
    """
    gain = float(np.linalg.norm(target) / np.linalg.norm(source))
    ridge = PARAMETERS.ridge * float((source**2).sum())
    left = target.T @ source + ridge * gain * np.eye(3)
    return np.asarray(left @ np.linalg.inv(source.T @ source + ridge * np.eye(3)))


def _turn(pixels: np.ndarray, parts: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Turn, mirror, scale and shift, and cut the middle."""
    side, goal = len(parts), crops.SIDE_PX
    zoom = np.exp(PARAMETERS.zoom * rng.uniform(-1, 1))
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, rng.uniform(0, 360), zoom)
    shift = PARAMETERS.shift_um / crops.UM_PER_PX * rng.uniform(-1, 1, 2)
    matrix[:, 2] = matrix[:, 2] + (goal - side) / 2 + shift
    if rng.random() < 0.5:
        pixels, parts = pixels[:, ::-1], parts[:, ::-1]
    turned = cv2.warpAffine(pixels, matrix, (goal, goal), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))
    return turned, cv2.warpAffine(parts, matrix, (goal, goal), flags=cv2.INTER_NEAREST)


def _stain(pixels: np.ndarray, parts: np.ndarray, source: np.ndarray, target: np.ndarray, rng: Rng) -> np.ndarray:
    strength = rng.uniform(0, 1)
    density = -np.log(np.maximum(pixels, 4) / np.float32(255))
    gains = np.ones((3, 3), np.float32)
    gains[1:] = np.exp(strength * PARAMETERS.part * rng.normal(size=(2, 1)))
    density *= cv2.GaussianBlur(gains[parts], (0, 0), 1.0)
    share = rng.uniform(0, 1.2)  # beyond 1: stains between and beyond those that were seen
    p = PARAMETERS
    mixed = mixing(strength, p.density, p.channel, p.hue, p.saturation, rng)
    mixed = mixed @ ((1 - share) * np.eye(3) + share * stain_map(source, target))
    density = density @ mixed.T.astype(np.float32)
    lamp = np.exp(strength * (rng.uniform(*PARAMETERS.lamp) + PARAMETERS.tint * rng.normal(size=3)))
    gamma = np.exp(strength * PARAMETERS.gamma * rng.uniform(-1, 1))
    light = np.clip(np.exp(-density) * lamp.astype(np.float32), 0, 1)
    return (255 * light**gamma).astype(np.uint8)


def _camera(pixels: np.ndarray, rng: Rng) -> np.ndarray:
    """Blur, sharpening, coarse pixels, noise and compression."""
    chance = rng.random()
    if chance < 0.35:
        sigma = 0.2 + PARAMETERS.blur_um / crops.UM_PER_PX * rng.random()
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    elif chance < 0.5:
        soft = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.8, 1.6))
        pixels = cv2.addWeighted(pixels, 1 + (amount := rng.uniform(0.2, 1.0)), soft, -amount, 0)
    if rng.random() < PARAMETERS.coarse:  # a coarser camera
        side = int(rng.integers(48, len(pixels)))
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(small, pixels.shape[:2], interpolation=cv2.INTER_LINEAR)
    return noise_and_jpeg(pixels, PARAMETERS.noise, PARAMETERS.jpeg, rng)

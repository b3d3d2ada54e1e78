"""Microscope and camera of a rendered smear: blur, colour fringes, sharpening, uneven light, exposure, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.images.synthetic.layout import Rng


@dataclass(frozen=True)
class Optics:
    """What microscope and camera add to the light that passes the smear. The defaults add nothing unusual."""

    tilt_um: float = 0  # further blur at one border of a slide that does not lie flat
    shade: tuple[float, float, float] = (1, 1, 1)  # by channel, how much of the shading it takes: a tinted rim
    fringe_um: float = 0  # how far red and blue lie apart from green, in the corners twice as far
    sharpening: float = 0.4  # height of the halo over the step that it outlines
    halo_um: float = 0.4  # its standard deviation
    exposure: float = 1  # more light than 255 is clipped
    gamma: float = 1  # of the camera's curve; below 1 lifts the shadows
    jpeg: int | None = None  # quality of the file, 1-100


USUAL = Optics()


def expose(
    light: np.ndarray, rng: Rng, um_per_px: float, *, shading: float, blur_um: float, noise: float, optics: Optics
) -> np.ndarray:
    """The image, uint8, of the light, H × W × 3, 0-255, behind the smear; the rest as of `render`."""
    shape = light.shape[:2]
    light = cv2.GaussianBlur(light, (0, 0), blur_um / um_per_px)
    if optics.tilt_um:
        light = _tilted(light, rng, optics.tilt_um / um_per_px)
    if optics.fringe_um:
        light = _fringes(light, optics.fringe_um / um_per_px)
    # Cameras sharpen, which draws a faint bright line around cells.
    light = light + optics.sharpening * (light - cv2.GaussianBlur(light, (0, 0), optics.halo_um / um_per_px))
    offset = np.indices(shape) / np.reshape(shape, (2, 1, 1)) - rng.uniform(0.3, 0.7, (2, 1, 1))
    lost = shading * (offset**2).sum(axis=0)[..., None]
    light *= 1 - (lost if optics.shade == (1, 1, 1) else np.clip(lost * optics.shade, 0, 0.9))
    if optics.exposure != 1 or optics.gamma != 1:
        light = 255 * (np.clip(light, 0, None) * (optics.exposure / 255)) ** optics.gamma
    # The variance of a photon count grows with the light.
    light = light + rng.standard_normal(light.shape) * noise * np.sqrt(255 * np.clip(light, 0, None))
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def compress(image: np.ndarray, quality: int | None) -> np.ndarray:
    """An image, uint8, RGB, as a JPEG file of a quality keeps it; None: unchanged."""
    if quality is None:
        return image
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])


def _tilted(light: np.ndarray, rng: Rng, sigma_px: float) -> np.ndarray:
    """Light that is in focus at one border and blurred at the opposite one."""
    height, width = light.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.linspace(-1, 1, width) * np.cos(angle) + np.linspace(-1, 1, height)[:, None] * np.sin(angle)
    share = np.clip(0.5 + 0.5 * slope + rng.uniform(-0.3, 0.3), 0, 1)[..., None]
    half = cv2.GaussianBlur(light, (0, 0), 0.5 * sigma_px)
    full = cv2.GaussianBlur(half, (0, 0), 0.87 * sigma_px)
    near = light + (half - light) * np.clip(2 * share, 0, 1)
    return near + (full - half) * np.clip(2 * share - 1, 0, 1)


def _fringes(light: np.ndarray, shift_px: float) -> np.ndarray:
    """Red and blue moved apart and magnified a little differently, as lenses do."""
    height, width = light.shape[:2]
    fringed = light.copy()
    for channel, sign in ((0, 1), (2, -1)):
        zoom = 1 + sign * shift_px / max(height, width)
        move = np.array([[zoom, 0, sign * shift_px - (zoom - 1) * width / 2], [0, zoom, (1 - zoom) * height / 2]])
        fringed[..., channel] = cv2.warpAffine(
            light[..., channel], move, (width, height), borderMode=cv2.BORDER_REFLECT
        )
    return fringed

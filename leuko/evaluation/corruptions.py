"""Changed images: corruptions by microscope, camera and laboratory, and parts of images that reveal shortcuts.

Corruptions have five strengths; the third may occur in careless routine work. After Hendrycks & Dietterich,
"Benchmarking neural network robustness to common corruptions and perturbations", 2019, arXiv:1903.12261, adjusted to
smears. All random choices come from a seeded generator: an image is changed in the same way every time, and in the same
direction (darker or lighter) at all strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from leuko.cells.segmentation import segment
from leuko.images.scale_bar import CORNER
from leuko.images.stain.normalisation import recolour_dyes, reinhard_normalise
from leuko.images.stain.profile import StainProfile

BORDER = 1 / 16  # of each side: the border that is kept in "border only"
MARGIN_UM = 1.0  # around white cells; removed from the background together with them
MARGIN = 1 / 60  # of the shorter side: the same margin if the scale is unknown
BACKGROUND_GREY = 240  # around white cells in "cells only"; the same for all images

CELL_FREE = ("scale-bar corner only", "border only", "background only")  # of `parts`: views with hardly any white cell


def blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Out of focus: a Gaussian blur with standard deviation `strength` at 224 pixels, in proportion at other sizes."""
    return cv2.GaussianBlur(image, (0, 0), strength * min(image.shape[:2]) / 224)


def noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise: independent for each pixel and channel, with standard deviation `strength` in grey levels."""
    return _bytes(image + rng.normal(0, strength, image.shape))


def jpeg(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG compression with quality 100 − `strength`."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(100 - strength)])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])


def brightness(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Brighter or darker by the factor 1 ± `strength`."""
    return _bytes(image * (1 + strength * rng.choice([-1, 1])))


def stain(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Other dyes: amounts changed by a factor of up to 1 + `strength`, colours turned by up to 40° × `strength`.

    Amounts and dyes are those of `leuko.images.stain.normalisation`; the background does not change.
    """
    profile = StainProfile.from_image(image)
    amount = (1 + strength) ** rng.uniform(-1, 1, size=(2, 1))
    direction = rng.uniform(-1, 1, size=(2, 3))
    dyes = np.maximum(
        profile.dyes + np.tan(np.radians(40 * strength)) * direction / np.linalg.norm(direction, axis=1)[:, None], 0.01
    )
    dyes = dyes / np.linalg.norm(dyes, axis=1)[:, None] * amount
    return recolour_dyes(image, profile, replace(profile, dyes=dyes))


def scale(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Another magnification: larger or smaller by the factor `strength`; the image is mirrored at its borders."""
    height, width = image.shape[:2]
    factor = strength if rng.random() < 0.5 else 1 / strength
    transform = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, factor)
    interpolation = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    if factor < 1:  # warping samples single points, so average first
        image = cv2.GaussianBlur(image, (0, 0), 0.5 * (1 / factor - 1) + 0.1)
        interpolation = cv2.INTER_LINEAR
    return cv2.warpAffine(image, transform, (width, height), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101)


CORRUPTIONS: dict[str, tuple[Callable[[np.ndarray, float, np.random.Generator], np.ndarray], Sequence[float]]] = {
    "blur": (blur, (0.5, 0.8, 1.2, 1.8, 2.5)),
    "noise": (noise, (3, 6, 10, 15, 22)),
    "JPEG": (jpeg, (20, 40, 60, 75, 85)),
    "brightness": (brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "stain": (stain, (0.1, 0.2, 0.3, 0.4, 0.6)),
    "scale": (scale, (1.1, 1.2, 1.3, 1.45, 1.7)),
}


def corrupted(image: np.ndarray, seed: Sequence[int]) -> dict[str, np.ndarray]:
    """The image (uint8, H × W × 3, RGB) under each corruption and strength, by "KIND STRENGTH" (1 to 5)."""
    views = {}
    for number, (kind, (change, strengths)) in enumerate(CORRUPTIONS.items()):
        for level, strength in enumerate(strengths, start=1):
            views[f"{kind} {level}"] = change(image, strength, np.random.default_rng([*seed, number]))
    return views


def parts(image: np.ndarray) -> dict[str, np.ndarray]:
    """Views of an image (uint8, H × W × 3, RGB) with only a shortcut, or without it, in the size of the image.

    Removed parts are filled with the median colour of the rest, so that no edge shows their place. In "cells only"
    (white cells) they get one grey for all images, because the own background would reveal the laboratory.
    "background only" is without white cells, smudge cells and platelets.
    """
    height, width = image.shape[:2]
    corner = np.zeros((height, width), bool)
    corner[-round(height * CORNER) :, -round(width * CORNER) :] = True
    inner = np.zeros((height, width), bool)
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    inner[rows:-rows, columns:-columns] = True
    segmentation = segment(image)
    reach = MARGIN_UM / segmentation.um_per_px if segmentation.um_per_px else MARGIN * min(height, width)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(reach)) + 1,) * 2)
    cells = segmentation.white_cells > 0
    stained = cells | (segmentation.platelets > 0)
    if segmentation.smudges is not None:
        stained |= segmentation.smudges > 0
    around = cv2.dilate(stained.astype(np.uint8), disc) > 0
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return {
        "scale-bar corner covered": _without(image, corner),
        "scale-bar corner only": _without(image, ~corner),
        "border only": _without(image, inner),
        "background only": _without(image, around),
        "cells only": np.where(cells[..., None], image, np.uint8(BACKGROUND_GREY)),
        "grey": grey,
    }


def _without(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    rest = image[~removed]
    fill = np.median(rest, axis=0) if len(rest) else np.full(3, 255)
    return np.where(removed[..., None], fill.astype(np.uint8), image)


def restained(image: np.ndarray, stains: dict[str, StainProfile]) -> dict[str, np.ndarray]:
    """The image (uint8, H × W × 3, RGB) in the stains of other laboratories, by name."""
    return {f"stain of {name}": reinhard_normalise(image, stain) for name, stain in stains.items()}


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

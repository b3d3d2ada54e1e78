"""Images changed on purpose: what a microscope, a camera and a laboratory may do, and what shows a shortcut.

Corruptions come in five strengths, the third being the middle one: what a smear of a careless routine may look like.
After the benchmark of Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", 2019, arXiv:1903.12261, made for smears. All chance comes from a generator, so that an image is changed
in the same way every time, and goes the same way (darker or lighter) at all strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from leuko.cells.segmentation import segment
from leuko.images.scale_bar import CORNER
from leuko.images.stain_normalisation import recolour_dyes, reinhard_normalise
from leuko.images.stain_profile import StainProfile

BORDER = 1 / 16  # of each side: what the border alone shows
MARGIN_UM = 1.0  # around white cells, left out of the background with them
MARGIN = 1 / 60  # of the shorter side, where the scale is not known
GLASS = 240  # grey around cells that stand alone

CELL_FREE = ("scale-bar corner only", "border only", "background only")  # of `parted`: hardly a white cell in them


def blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Out of focus: `strength` is the Gaussian's standard deviation for an image of 224 pixels, and grows with it."""
    return cv2.GaussianBlur(image, (0, 0), strength * min(image.shape[:2]) / 224)


def noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A weak sensor: `strength` is the standard deviation in grey levels, of each pixel and channel alone."""
    return _bytes(image + rng.normal(0, strength, image.shape))


def jpeg(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Compressed: `strength` is 100 less the quality."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(100 - strength)])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def brightness(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lamp too bright or too weak by a share of `strength`."""
    return _bytes(image * (1 + strength * rng.choice([-1, 1])))


def stain(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Other dyes: the amount of each by a factor of up to 1 + `strength`, their hues turned by up to 40 ° × `strength`.

    Amounts and dyes are those of `leuko.images.stain_normalisation`; the glass stays as it is.
    """
    own = StainProfile.from_image(image)
    amount = (1 + strength) ** rng.uniform(-1, 1, size=(2, 1))
    towards = rng.uniform(-1, 1, size=(2, 3))
    dyes = np.maximum(
        own.dyes + np.tan(np.radians(40 * strength)) * towards / np.linalg.norm(towards, axis=1)[:, None], 0.01
    )
    dyes = dyes / np.linalg.norm(dyes, axis=1)[:, None] * amount
    return recolour_dyes(image, own, StainProfile(own.background, own.mean, own.spread, dyes, own.strength))


def scale(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Another magnification: larger or smaller by a factor of `strength`; beyond the border the image is mirrored."""
    height, width = image.shape[:2]
    factor = strength if rng.random() < 0.5 else 1 / strength
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, factor)
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    if factor < 1:  # warping samples points; what gets smaller must be averaged first
        image = cv2.GaussianBlur(image, (0, 0), 0.5 * (1 / factor - 1) + 0.1)
        how = cv2.INTER_LINEAR
    return cv2.warpAffine(image, turn, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT_101)


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


def parted(image: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of an image (uint8, H × W × 3, RGB) that hold a shortcut, or all but it, in its own size.

    What is taken away is filled with the median colour of what is left, so that no hole tells its place; but around
    "cells only", white cells alone, with one grey for all images, since their own glass would tell the laboratory.
    "background only" is without white cells and platelets.
    """
    height, width = image.shape[:2]
    corner = np.zeros((height, width), bool)
    corner[-round(height * CORNER) :, -round(width * CORNER) :] = True
    inner = np.zeros((height, width), bool)
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    inner[rows:-rows, columns:-columns] = True
    found = segment(image)
    reach = MARGIN_UM / found.um_per_px if found.um_per_px else MARGIN * min(height, width)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(reach)) + 1,) * 2)
    cells = found.white_cells > 0
    around = cv2.dilate((cells | (found.platelets > 0)).astype(np.uint8), disc) > 0
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return {
        "scale-bar corner covered": _without(image, corner),
        "scale-bar corner only": _without(image, ~corner),
        "border only": _without(image, inner),
        "background only": _without(image, around),
        "cells only": np.where(cells[..., None], image, np.uint8(GLASS)),
        "grey": grey,
    }


def _without(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    left = image[~gone]
    fill = np.median(left, axis=0) if len(left) else np.full(3, 255)
    return np.where(gone[..., None], fill.astype(np.uint8), image)


def restained(image: np.ndarray, looks: dict[str, StainProfile]) -> dict[str, np.ndarray]:
    """The image (uint8, H × W × 3, RGB) in the colours of other laboratories, by their names."""
    return {f"stain of {name}": reinhard_normalise(image, look) for name, look in looks.items()}


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

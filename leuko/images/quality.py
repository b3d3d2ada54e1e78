"""Whether an image is fit to be judged: size, exposure, contrast, colour, focus, and whether it is a smear at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

WORKING_SIDE = 512  # pixels; larger images are measured at this size, so that the measures mean the same

# Each bound lies outside everything seen in 2,768 Aria, 364 BCCD, 300 JTSC and 2,000 PBC images.
MIN_SIDE = 64
MIN_CONTRAST = 35  # grey levels between the 1st and 99th percentile
MIN_WHITE = 120  # 99th percentile of grey: the background of a bright field
MAX_BLACK = 225  # 1st percentile of grey: the darkest cell
MIN_COLOUR = 6  # mean of max − min over the channels
MIN_SHARPNESS = 0.022  # strongest Laplacian relative to the contrast
MIN_LIGHT = 80  # 99th percentile of the weakest channel: the lamp is white, or yellow at most
MIN_STAINED = 0.003  # share of pixels in the dyes' colour; the rest is glass
MAX_FOREIGN = 0.07  # share of pixels in colours that blood dyes do not make
MAX_FLAT = 0.78  # share of pixels exactly as bright as their neighbours, as drawings have them
MAX_STEEP = 0.25  # share of steps over 30 % of the contrast from one pixel to the next, as in noise
PLAIN = 0.5, 0.02  # shares of flat and of steep that together only print and screens have
MAX_EDGE = 14  # strongest steps relative to the usual ones: hard lines on smooth ground

_SENTENCES = MappingProxyType(
    {
        "dark": "The image is too dark; raise the light and take it again.",
        "over-exposed": "The image is over-exposed; lower the light and take it again.",
        "blank": "The image is almost blank; choose a field with cells.",
        "no-colour": "The image has no colour; the stain is needed to judge it.",
        "blurred": "The image is out of focus; refocus and take it again.",
        "not-a-smear": "The image does not look like a stained smear; choose a picture of blood or marrow.",
    }
)
KINDS = ("too-small", *_SENTENCES)


@dataclass(frozen=True)
class Quality:
    """The verdict on an image.

    Attributes:
        found: every issue by its kind, one of `KINDS`, in words for a user; an image with one cannot be judged.
        warned: every warning in the same way: the image can be judged, but a better one would be more reliable.
    """

    found: Mapping[str, str] = field(default_factory=dict)
    warned: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether to judge the image: no issue was found."""
        return not self.found

    @property
    def issues(self) -> tuple[str, ...]:
        """The sentences of the issues."""
        return tuple(self.found.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the warnings."""
        return tuple(self.warned.values())

    def as_json(self) -> dict[str, Any]:
        """As it stands in the JSON of a finding and of a field."""
        return {"usable": self.usable, "issues": list(self.issues), "warnings": list(self.warnings)}


def assess(image: np.ndarray) -> Quality:
    """Assess the technical quality of a smear image.

    Focus is the 99th percentile of the absolute Laplacian of Gaussian over the contrast, after Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", 2000, doi:10.1109/ICPR.2000.903548.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        The verdict: `too-small` and the first of the other kinds that applies.
    """
    height, width = image.shape[:2]
    image = _at_working_size(image)
    found = {}
    if min(height, width) < MIN_SIDE:
        found["too-small"] = f"The image is very small ({width} × {height}); upload it at full resolution."
    kind = _worst(image)
    if kind and not (found and kind == "not-a-smear"):  # cells of few pixels have edges as hard as print
        found[kind] = _SENTENCES[kind]
    return Quality(found)


def measure(image: np.ndarray) -> tuple[float, float]:
    """Contrast in grey levels and sharpness (see `assess`) of an image, uint8, H × W × 3, RGB."""
    grey = cv2.cvtColor(_at_working_size(image), cv2.COLOR_RGB2GRAY)
    contrast = float(np.subtract(*_quantiles(grey, 0.99, 0.01)))
    return contrast, _edges(grey.astype(np.float32)) / max(contrast, 1.0)


def _at_working_size(image: np.ndarray) -> np.ndarray:
    shrink = WORKING_SIDE / max(image.shape[:2])
    return image if shrink >= 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def _edges(grey: np.ndarray) -> float:
    """The strongest Laplacian of Gaussian of grey values, float32, H × W."""
    laplacian = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F))
    (strongest,) = _quantiles(laplacian, 0.99)
    return strongest


def _quantiles(values: np.ndarray, *shares: float) -> list[float]:
    """As `np.quantile`, several times as fast, of uint8 or float32.

    Of bytes a histogram holds all ranks; and NumPy has a quick way to find one rank of an array, not several.
    """
    up_to = np.cumsum(cv2.calcHist([values], [0], None, [256], [0, 256])) if values.dtype == np.uint8 else None
    found = []
    for share in shares:
        rank = share * (values.size - 1)
        low = int(rank)
        if up_to is not None:
            below, above = (float(np.searchsorted(up_to, place, side="right")) for place in (low, np.ceil(rank)))
        else:
            ordered = np.partition(values, low, axis=None)
            below = float(ordered[low])
            above = float(ordered[low + 1 :].min()) if rank > low else below
        found.append(below + (rank - low) * (above - below))
    return found


def _worst(image: np.ndarray) -> str | None:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    black, white = _quantiles(grey, 0.01, 0.99)
    contrast = white - black
    if white < MIN_WHITE:
        return "dark"
    if black > MAX_BLACK:
        return "over-exposed"
    if contrast < MIN_CONTRAST:
        return "blank"
    if _colour(image) < MIN_COLOUR:
        return "no-colour"
    if _edges(grey.astype(np.float32)) < MIN_SHARPNESS * contrast:
        return "blurred"
    return None if _dyed(image) and not _drawn(grey, contrast) else "not-a-smear"


def _colour(image: np.ndarray) -> float:
    red, green, blue = cv2.split(image)
    return float(cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)).mean())


def _dyed(image: np.ndarray) -> bool:
    """Whether light passed through blood dyes: a light ground, and on it what absorbs green more than blue.

    Densities are decadic, relative to the lamp. Nothing on a smear is opaque, and neither red cells nor nuclei let
    green through better than the other channels, or red far worse; dense things never absorb blue most.
    """
    soft = cv2.split(cv2.GaussianBlur(image, (0, 0), 1.5)[::2, ::2])
    light = [_quantiles(channel, 0.99)[0] for channel in soft]
    if min(light) < MIN_LIGHT:
        return False
    values = np.arange(1, 257, dtype=np.float32)
    red, green, blue = (
        cv2.LUT(channel, -np.log10(np.minimum(values / (lamp + 1), 1)))
        for channel, lamp in zip(soft, light, strict=True)
    )
    foreign = (blue > green) & (red + green + blue > 0.6)  # yellow, brown, orange
    foreign |= green < np.minimum(red, blue) - 0.03  # green
    foreign |= red > green + 0.3  # cyan and pure blue
    foreign |= np.minimum(np.minimum(red, green), blue) > 0.5  # black
    stained = (green > 0.08) & (green > blue + 0.04)
    return bool(foreign.mean() <= MAX_FOREIGN and stained.mean() >= MIN_STAINED)


def _drawn(grey: np.ndarray, contrast: float) -> bool:
    """Whether brightness moves in hard steps between flat areas, as in print and charts, or is all steps, as noise."""
    corner = grey[:-1, :-1]
    step = cv2.max(cv2.absdiff(grey[:-1, 1:], corner), cv2.absdiff(grey[1:, :-1], corner))
    usual, strong = _quantiles(step, 0.9, 0.995)
    flat, steep = (step == 0).mean(), (step > 0.3 * contrast).mean()
    return bool(
        flat > MAX_FLAT
        or steep > MAX_STEEP
        or (flat > PLAIN[0] and steep > PLAIN[1])
        or strong > MAX_EDGE * max(usual, 0.5)
    )

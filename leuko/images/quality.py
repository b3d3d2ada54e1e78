"""Whether an image is fit to be judged: size, exposure, contrast, colour, focus, and whether it is a smear at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from leuko.images import field_of_view, masked_cell

WORKING_SIDE = 512  # pixels; larger images are measured at this size, so that the measures mean the same

# What cannot be judged. Each bound lies outside nearly everything seen in a sample of nine sources, as they are and at
# 0.6 to 1.4 times their light (`python -m benchmarks.refusals` counts what is refused of all of them).
MIN_SIDE = 64
MIN_WHITE = 76  # 99th percentile of grey: the background of a bright field
MAX_BLACK = 240  # 0.1st percentile of grey: the darkest cell
MIN_CONTRAST = 22  # grey levels between these two
MIN_COLOUR = 8  # 99.5th percentile of max − min over the channels
MIN_SHARPNESS = 0.0195  # strongest Laplacian relative to the usual contrast
YELLOWEST = 0.31  # weakest channel of the lamp over its strongest: it is white, or yellow at most
MIN_STAINED = 0.003  # share of pixels in the dyes' colour; the rest is glass. Or, in pale or sparse fields:
ABSORBING = 0.03, 0.5  # density of green, and share of the densest's, of what is looked at instead:
LIKE_DYES = 0.3  # of it, the share in which green is absorbed by a tenth more than blue
MAX_FOREIGN = 0.07  # share of pixels in colours that blood dyes do not make
MAX_FLAT = 0.78  # share of pixels exactly as bright as their neighbours, as drawings have them
MAX_STEEP = 0.25  # share of steps over 30 % of the contrast from one pixel to the next, as in noise
PLAIN = 0.5, 0.02  # shares of flat and of steep that together only print and screens have
MAX_EDGE = 14  # strongest steps relative to the usual ones: hard lines on smooth ground
CLIPPED = 250, 0.05  # grey of glass too bright for the camera; share of such pixels from which they are left out
MOSTLY_CLIPPED = 0.6  # share of such pixels from which little but nuclei is left, so that hard edges tell nothing, and
STEEP_CLIPPED = (
    0.5  # the share of steep steps among the rest, which thin print exceeds and 99 of 100 such smears do not
)
INVERTED = 0.8, 0.6  # share of stained pixels, and depth of the median of grey below white, that together no field has

# What can be judged, but better from a better image.
SMALL_SIDE = 96
DIM_WHITE = 120  # 99th percentile of grey
BRIGHT_BLACK = 225  # 1st percentile of grey
LOW_CONTRAST = 35  # grey levels between 1st and 99th percentile
PALE_COLOUR = 6  # mean of max − min over the channels
SOFT_SHARPNESS = 0.022

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
_WARNINGS = MappingProxyType(
    {
        "dark": "The image is dim; with more light the answer is more reliable.",
        "over-exposed": "The image is very bright; with less light the answer is more reliable.",
        "blank": "The image has little contrast, so pale cells may be missed.",
        "no-colour": "The image has little colour, so pale cells may be missed.",
        "blurred": "The image is slightly out of focus; a sharper one makes the answer more reliable.",
    }
)
KINDS = ("too-small", *_SENTENCES)


@dataclass(frozen=True)
class Quality:
    """The verdict on an image.

    Attributes:
        issues_by_kind: every issue by its kind, one of `KINDS`, in words for a user; an image with one cannot be judged.
        warnings_by_kind: every warning in the same way: the image can be judged, but a better one would be more reliable.
    """

    issues_by_kind: Mapping[str, str] = field(default_factory=dict)
    warnings_by_kind: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether to judge the image: no issue was found."""
        return not self.issues_by_kind

    @property
    def issues(self) -> tuple[str, ...]:
        """The sentences of the issues."""
        return tuple(self.issues_by_kind.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the warnings."""
        return tuple(self.warnings_by_kind.values())

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
    view = field_of_view.find(image)
    if view is not None:
        image = view.crop(image)
    else:
        cell = masked_cell.find(image, on_white=True)
        if cell is not None:
            return _of_cut_out(image, cell)
    height, width = image.shape[:2]
    image = _at_working_size(image)
    found, warned = _of_size(height, width)
    kind, doubts = _worst(image)
    if kind and not (found and kind == "not-a-smear"):  # cells of few pixels have edges as hard as print
        found[kind] = _SENTENCES[kind]
    return Quality(found, {} if found else {**warned, **{doubt: _WARNINGS[doubt] for doubt in doubts}})


def _of_size(height: int, width: int) -> tuple[dict[str, str], dict[str, str]]:
    """What is wrong with a size, in pixels: issues and warnings."""
    small = f"The image is very small ({width} × {height}); upload it at full resolution."
    if min(height, width) < MIN_SIDE:
        return {"too-small": small}, {}
    return {}, {"too-small": small} if min(height, width) < SMALL_SIDE else {}


def _of_cut_out(image: np.ndarray, cell: np.ndarray) -> Quality:
    """The verdict on a single cell, bool, H × W, without surroundings: its size and focus can be told, no more."""
    rows, columns = (np.flatnonzero(cell.any(axis=axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part, inside = _at_working_size(image[window]), cell[window].astype(np.uint8)
    inside = cv2.resize(inside, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=0) > 0  # the cut is sharp, whatever the cell is
    found, warned = _of_size(*image.shape[:2])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    if inside.any():
        low, high = np.quantile(grey[inside], (0.01, 0.99))
        edges = np.quantile(_laplacian(grey.astype(np.float32))[inside], 0.99)
        if edges < SOFT_SHARPNESS * max(high - low, 1):
            warned["blurred"] = _WARNINGS["blurred"]
    return Quality(found, {} if found else warned)


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
    (strongest,) = _quantiles(_laplacian(grey), 0.99)
    return strongest


def _laplacian(grey: np.ndarray) -> np.ndarray:
    return np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F))


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


def _worst(image: np.ndarray) -> tuple[str | None, list[str]]:
    """The first kind of issue that applies, and all kinds of warnings."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    darkest, black, white = _quantiles(grey, 0.001, 0.01, 0.99)
    most, contrast = white - darkest, white - black
    doubts = {"dark": white < DIM_WHITE, "over-exposed": black > BRIGHT_BLACK, "blank": contrast < LOW_CONTRAST}
    if white < MIN_WHITE:
        return "dark", []
    if darkest > MAX_BLACK:
        return "over-exposed", []
    if most < MIN_CONTRAST:
        return "blank", []
    colour = _colour(image)
    if _quantiles(colour, 0.995)[0] < MIN_COLOUR:
        return "no-colour", []
    doubts["no-colour"] = colour.mean() < PALE_COLOUR
    edges = _edges(grey.astype(np.float32))
    if edges < MIN_SHARPNESS * contrast:
        return "blurred", []
    doubts["blurred"] = edges < SOFT_SHARPNESS * contrast
    deep = (white - _quantiles(grey, 0.5)[0]) / most
    if not _dyed(image, deep) or _drawn(grey, most):
        return "not-a-smear", []
    return None, [kind for kind, applies in doubts.items() if applies]


def _colour(image: np.ndarray) -> np.ndarray:
    """Max − min over the channels; uint8, H × W."""
    red, green, blue = cv2.split(image)
    return cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))


def _dyed(image: np.ndarray, deep: float) -> bool:
    """Whether light passed through blood dyes: a light ground, and on it what absorbs green more than blue.

    Densities are decadic, relative to the lamp. Nothing on a smear is opaque, and neither red cells nor nuclei let
    green through better than the other channels, or red far worse; dense things never absorb blue most. In a negative
    nearly all seems stained, and is much darker than the brightest; `deep` says how much, as a share of the contrast.
    """
    soft = cv2.split(cv2.GaussianBlur(image, (0, 0), 1.5)[::2, ::2])
    light = [_quantiles(channel, 0.99)[0] for channel in soft]
    if min(light) < YELLOWEST * max(light):
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
    if foreign.mean() > MAX_FOREIGN:
        return False
    stained = (green > 0.08) & (green > blue + 0.04)
    if stained.mean() >= MIN_STAINED:
        return not (stained.mean() > INVERTED[0] and deep > INVERTED[1])
    absorbing = green > max(ABSORBING[0], ABSORBING[1] * _quantiles(green, 0.999)[0])
    return bool(absorbing.any() and (green > 1.1 * blue)[absorbing].mean() >= LIKE_DYES)


def _drawn(grey: np.ndarray, contrast: float) -> bool:
    """Whether brightness moves in hard steps between flat areas, as in print and charts, or is all steps, as noise.

    Glass that is brighter than the camera can tell is flat in smears too, so clipped pixels are left out.
    """
    if min(grey.shape) < 2:
        return False
    corner = grey[:-1, :-1]
    step = cv2.max(cv2.absdiff(grey[:-1, 1:], corner), cv2.absdiff(grey[1:, :-1], corner))
    clipped = corner >= CLIPPED[0]
    bright = clipped.mean()
    if CLIPPED[1] < bright < 1:
        step = step[~clipped]
    usual, strong = _quantiles(step, 0.9, 0.995)
    flat, steep = (step == 0).mean(), (step > 0.3 * contrast).mean()
    if flat > MAX_FLAT or (flat > PLAIN[0] and steep > PLAIN[1]):
        return True
    if bright > MOSTLY_CLIPPED:
        return bool(steep > STEEP_CLIPPED)
    return bool(steep > MAX_STEEP or strong > MAX_EDGE * max(usual, 0.5))

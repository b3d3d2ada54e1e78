"""Image quality: size, exposure, contrast, colour, focus, and whether the image is a smear at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from leuko.images import field_of_view, masked_cell_detection
from leuko.images.quality.image_statistics import absolute_laplacian, channel_range, edge_strength, quantiles
from leuko.images.quality.smear_check import is_stained_smear

WORKING_SIDE = 512  # pixels; larger images are measured at this size, so that the measures are comparable


@dataclass(frozen=True)
class QualityParameters:
    """Bounds of image quality, for images of at most `WORKING_SIDE` pixels.

    Each `min` and `max` lies outside nearly all images of nine sources, as they are and at 0.6 to 1.4 times their light
    (`python -m benchmarks.refusals` counts what is refused of all of them). The others only lead to a warning.

    Attributes:
        min_side: of the original image, px; a warning below `small_side`.
        min_white: 99th percentile of grey: the background of a bright field; a warning below `dim_white`.
        max_black: 0.1st percentile of grey: the darkest cell; a warning above `bright_black` (1st percentile).
        min_contrast: grey levels between these two; a warning below `low_contrast` (1st to 99th percentile).
        min_colour: 99.5th percentile of the range of the channels; a warning below `pale_colour` (mean).
        min_sharpness: strongest Laplacian over the contrast; a warning below `soft_sharpness`.
    """

    min_side: int = 64
    small_side: int = 96
    min_white: float = 76
    dim_white: float = 120
    max_black: float = 240
    bright_black: float = 225
    min_contrast: float = 22
    low_contrast: float = 35
    min_colour: float = 8
    pale_colour: float = 6
    min_sharpness: float = 0.0195
    soft_sharpness: float = 0.022


DEFAULTS = QualityParameters()

_ISSUES = MappingProxyType(
    {
        "dark": "The image is too dark; increase the light and take it again.",
        "over-exposed": "The image is over-exposed; reduce the light and take it again.",
        "blank": "The image is almost blank; choose a field with cells.",
        "no-colour": "The image has no colour; the assessment needs the colours of the stain.",
        "blurred": "The image is out of focus; refocus and take it again.",
        "not-a-smear": "The image does not look like a stained smear; choose an image of blood or bone marrow.",
    }
)
_WARNINGS = MappingProxyType(
    {
        "dark": "The image is dim; with more light the result is more reliable.",
        "over-exposed": "The image is very bright; with less light the result is more reliable.",
        "blank": "The image has little contrast, so pale cells may be missed.",
        "no-colour": "The image has little colour, so pale cells may be missed.",
        "blurred": "The image is slightly out of focus; a sharper image gives a more reliable result.",
    }
)
KINDS = ("too-small", *_ISSUES)


@dataclass(frozen=True)
class Quality:
    """The quality of an image.

    Attributes:
        issues_by_kind: every issue, a sentence by its kind, one of `KINDS`; an image with an issue is not assessed.
        warnings_by_kind: every warning in the same way: the image is assessed, but a better one would be more reliable.
    """

    issues_by_kind: Mapping[str, str] = field(default_factory=dict)
    warnings_by_kind: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether the image can be assessed: it has no issue."""
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
        """As in the JSON of a finding and of a field."""
        return {"usable": self.usable, "issues": list(self.issues), "warnings": list(self.warnings)}


def assess(image: np.ndarray, parameters: QualityParameters = DEFAULTS) -> Quality:
    """Assess the technical quality of a smear image.

    Focus is the 99th percentile of the absolute Laplacian of Gaussian over the contrast, after Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", 2000, doi:10.1109/ICPR.2000.903548.

    Args:
        image: uint8, H × W × 3, RGB.
        parameters: the bounds.

    Returns:
        Its issues are `too-small` and the first of the other kinds that applies.
    """
    view = field_of_view.find(image)
    if view is not None:
        image = view.crop(image)
    else:
        cell = masked_cell_detection.find(image, on_white=True)
        if cell is not None:
            return _assess_masked_cell(image, cell, parameters)
    height, width = image.shape[:2]
    issues, warnings = _assess_size(height, width, parameters)
    kind, doubts = _assess_content(_at_working_size(image), parameters)
    if kind and not (issues and kind == "not-a-smear"):  # cells of few pixels have edges as hard as print
        issues[kind] = _ISSUES[kind]
    return Quality(issues, {} if issues else {**warnings, **{doubt: _WARNINGS[doubt] for doubt in doubts}})


def contrast_and_sharpness(image: np.ndarray) -> tuple[float, float]:
    """Contrast in grey levels and sharpness (see `assess`) of an image, uint8, H × W × 3, RGB."""
    grey = cv2.cvtColor(_at_working_size(image), cv2.COLOR_RGB2GRAY)
    white, black = quantiles(grey, 0.99, 0.01)
    return white - black, edge_strength(grey.astype(np.float32)) / max(white - black, 1.0)


def _assess_size(height: int, width: int, parameters: QualityParameters) -> tuple[dict[str, str], dict[str, str]]:
    """Issues and warnings of a size in pixels."""
    small = {"too-small": f"The image is very small ({width} × {height}); upload it at full resolution."}
    if min(height, width) < parameters.min_side:
        return small, {}
    return {}, small if min(height, width) < parameters.small_side else {}


def _assess_masked_cell(image: np.ndarray, cell: np.ndarray, parameters: QualityParameters) -> Quality:
    """The quality of a single cell, bool, H × W, without surroundings: only its size and focus can be assessed."""
    rows, columns = (np.flatnonzero(cell.any(axis=axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = _at_working_size(image[window])
    mask = cv2.resize(cell[window].astype(np.uint8), (part.shape[1], part.shape[0]), interpolation=cv2.INTER_NEAREST)
    # The cut is sharp, whatever the cell is, so the border is left out.
    inside = np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=0)) > 0
    issues, warnings = _assess_size(image.shape[0], image.shape[1], parameters)
    if inside.any():
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        low, high = np.quantile(grey[inside], (0.01, 0.99))
        edges = np.quantile(absolute_laplacian(grey.astype(np.float32))[inside], 0.99)
        if edges < parameters.soft_sharpness * max(high - low, 1):
            warnings["blurred"] = _WARNINGS["blurred"]
    return Quality(issues, {} if issues else warnings)


def _assess_content(image: np.ndarray, parameters: QualityParameters) -> tuple[str | None, list[str]]:
    """The first kind of issue that applies, and all kinds of warnings."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    darkest, black, white = quantiles(grey, 0.001, 0.01, 0.99)
    full_contrast, contrast = white - darkest, white - black
    if white < parameters.min_white:
        return "dark", []
    if darkest > parameters.max_black:
        return "over-exposed", []
    if full_contrast < parameters.min_contrast:
        return "blank", []
    colour = channel_range(image)
    if quantiles(colour, 0.995)[0] < parameters.min_colour:
        return "no-colour", []
    edges = edge_strength(grey.astype(np.float32))
    if edges < parameters.min_sharpness * contrast:
        return "blurred", []
    depth = (white - quantiles(grey, 0.5)[0]) / full_contrast
    if not is_stained_smear(image, grey, full_contrast, depth):
        return "not-a-smear", []
    doubts = {
        "dark": white < parameters.dim_white,
        "over-exposed": black > parameters.bright_black,
        "blank": contrast < parameters.low_contrast,
        "no-colour": colour.mean() < parameters.pale_colour,
        "blurred": edges < parameters.soft_sharpness * contrast,
    }
    return None, [kind for kind, applies in doubts.items() if applies]


def _at_working_size(image: np.ndarray) -> np.ndarray:
    factor = WORKING_SIDE / max(image.shape[:2])
    return image if factor >= 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)

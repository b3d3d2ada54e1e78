"""Whether an image is fit to be judged: size, exposure, contrast, colour, focus."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Quality:
    """The verdict on an image: whether to judge it, and every issue found, in words for a user."""

    usable: bool
    issues: tuple[str, ...] = ()


def assess(image: np.ndarray) -> Quality:
    """Assess the technical quality of a smear image.

    Focus is the 99th percentile of the absolute Laplacian of Gaussian over the contrast, after Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", 2000, doi:10.1109/ICPR.2000.903548.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        The verdict; an image is usable if no issue was found.
    """
    height, width = image.shape[:2]
    shrink = WORKING_SIDE / max(height, width)
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    black, white = np.percentile(grey, [1, 99])
    contrast = white - black
    laplacian = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F))
    sharpness = np.percentile(laplacian, 99) / max(contrast, 1)
    colour = float((image.max(axis=2) - image.min(axis=2)).mean())

    issues = []
    if min(height, width) < MIN_SIDE:
        issues.append(f"The image is very small ({width} × {height}); upload it at full resolution.")
    if white < MIN_WHITE:
        issues.append("The image is too dark; raise the light and take it again.")
    elif black > MAX_BLACK:
        issues.append("The image is over-exposed; lower the light and take it again.")
    elif contrast < MIN_CONTRAST:
        issues.append("The image is almost blank; choose a field with cells.")
    elif colour < MIN_COLOUR:
        issues.append("The image has no colour; the stain is needed to judge it.")
    elif sharpness < MIN_SHARPNESS:
        issues.append("The image is out of focus; refocus and take it again.")
    return Quality(usable=not issues, issues=tuple(issues))

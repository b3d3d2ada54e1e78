"""Pictures as text within the page, so that no file of an image is written in order to show it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np

_JPEG_QUALITY = 88  # no visible loss at the size shown, at a quarter of the bytes of a PNG
_SMOOTHING = 0.02  # standard deviation that smooths an outline, as a share of the mask's width
_TOLERANCE = 0.5  # px of the picture by which a drawn outline may differ from the exact one


def jpeg(image: np.ndarray) -> str:
    """The `data:` address of an image, uint8, H × W × 3, RGB, as a JPEG."""
    return _address("jpeg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def png(image: np.ndarray) -> str:
    """The `data:` address of an image, uint8, H × W × 3, RGB, as a PNG."""
    return _address("png", image, [])


def file(kind: str, content: bytes) -> str:
    """The `data:` address of a file; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def outlines(mask: np.ndarray, scale: float, corner: tuple[int, int] = (0, 0)) -> str:
    """The outlines of a mask as an SVG path, smoothed a little, since enlarged pixels have visible steps.

    Args:
        mask: bool, H × W.
        scale: factor for all coordinates.
        corner: (x, y) of the mask in the image, before scaling.
    """
    sigma = max(_SMOOTHING * np.sqrt(np.count_nonzero(mask)), 0.5)
    margin = int(3 * sigma) + 1
    padded = cv2.copyMakeBorder(mask.astype(np.float32), margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    smooth = (cv2.GaussianBlur(padded, (0, 0), sigma) > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    parts = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, _TOLERANCE / min(scale, 1), True)[:, 0, :]
        points = (points - margin + np.array(corner) + 0.5) * scale
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(parts)


def _address(kind: str, image: np.ndarray, options: Sequence[int]) -> str:
    done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(image[..., ::-1]), options)
    assert done, kind
    return file(f"image/{kind}", data.tobytes())

"""Pictures inside the page's own text: nothing of an image is written to a file to show it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np

_SMOOTH = 0.02  # of a mask's width: the deviation by which its outline is smoothed
_COARSE = 0.5  # px of the picture, by which an outline as drawn may be off


def jpeg(image: np.ndarray) -> str:
    """A `data:` address of an image, uint8, H × W × 3, RGB, as a JPEG."""
    return _address("jpeg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])


def png(image: np.ndarray) -> str:
    """A `data:` address of an image, uint8, H × W × 3, RGB, as a PNG."""
    return _address("png", image, [])


def outlines(mask: np.ndarray, scale: float, corner: tuple[int, int] = (0, 0)) -> str:
    """The edges of a mask as an SVG path, smoothed a little: masks of magnified cells have steps.

    Args:
        mask: bool, H × W.
        scale: by which coordinates are multiplied.
        corner: (x, y) of the mask in the image, before scaling.
    """
    sigma = max(_SMOOTH * np.sqrt(np.count_nonzero(mask)), 0.5)
    edge = int(3 * sigma) + 1
    padded = cv2.copyMakeBorder(mask.astype(np.float32), edge, edge, edge, edge, cv2.BORDER_CONSTANT)
    smooth = (cv2.GaussianBlur(padded, (0, 0), sigma) > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    parts = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, _COARSE / min(scale, 1), True)[:, 0, :]
        points = (points - edge + np.array(corner) + 0.5) * scale
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(parts)


def _address(kind: str, image: np.ndarray, how: Sequence[int]) -> str:
    done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(image[..., ::-1]), how)
    assert done, kind
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"

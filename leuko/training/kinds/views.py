"""The coarse view of a cell, in which blasts are judged.

Blasts can only be learnt where leukaemia was photographed. Those images are coarse (0.36 to 0.49 µm a pixel), and
sharpness would tell the laboratory. So blasts are judged in a view that shows every laboratory at that resolution.
"""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.kinds.crops import SIDE_PX

COARSE_PX = 64  # side of the coarse view
SEEN_PX = 56  # side at which it is taken: 24 µm at 0.43 µm a pixel


def coarse(pixels: np.ndarray, seen_px: int = SEEN_PX) -> np.ndarray:
    """The coarse view of a crop.

    Args:
        pixels: uint8, 96 × 96 × 3, RGB.
        seen_px: side in pixels at which a coarse camera would take it.

    Returns:
        uint8, 64 × 64 × 3, RGB.
    """
    small = cv2.resize(pixels, (seen_px, seen_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_LINEAR)


def coarse_matrix() -> np.ndarray:
    """The coarse view as a matrix, float32, 64 × 96: `matrix @ channel @ matrix.T` is the view of a channel."""
    columns = np.eye(SIDE_PX, dtype=np.float32)
    small = cv2.resize(columns, (SIDE_PX, SEEN_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIDE_PX, COARSE_PX), interpolation=cv2.INTER_LINEAR))

"""Fast statistics of images: quantiles, edges, and steps between neighbouring pixels."""

from __future__ import annotations

import cv2
import numpy as np


def quantiles(values: np.ndarray, *shares: float) -> list[float]:
    """As `np.quantile`, several times as fast, of uint8 or float32.

    A histogram holds all ranks of bytes, and NumPy has a quick way to find one rank of an array, but not several.
    """
    is_bytes = values.dtype == np.uint8
    up_to = np.cumsum(cv2.calcHist([values], [0], None, [256], [0, 256])) if is_bytes else None
    result = []
    for share in shares:
        rank = share * (values.size - 1)
        low = int(rank)
        if up_to is not None:
            below, above = (float(np.searchsorted(up_to, place, side="right")) for place in (low, np.ceil(rank)))
        else:
            ordered = np.partition(values, low, axis=None)
            below = float(ordered[low])
            above = float(ordered[low + 1 :].min()) if rank > low else below
        result.append(below + (rank - low) * (above - below))
    return result


def absolute_laplacian(grey: np.ndarray) -> np.ndarray:
    """The absolute Laplacian of Gaussian of grey values, float32, H × W."""
    return np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F))


def edge_strength(grey: np.ndarray) -> float:
    """The 99th percentile of `absolute_laplacian` of grey values, float32, H × W."""
    (strongest,) = quantiles(absolute_laplacian(grey), 0.99)
    return strongest


def neighbour_steps(grey: np.ndarray) -> np.ndarray:
    """The larger step from each pixel to its right and lower neighbours: uint8, H − 1 × W − 1, of uint8, H × W."""
    corner = grey[:-1, :-1]
    return np.asarray(cv2.max(cv2.absdiff(grey[:-1, 1:], corner), cv2.absdiff(grey[1:, :-1], corner)))


def channel_range(image: np.ndarray) -> np.ndarray:
    """Maximum − minimum over the channels; uint8, H × W."""
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)))

"""The colour of a smear: how it is summed up."""

from __future__ import annotations

import numpy as np


def colour_statistics(image: np.ndarray) -> np.ndarray:
    """Nine numbers that hold nothing of shape: mean, standard deviation and skewness of each channel.

    The trivial baseline of this field: on the Aria images, nearest neighbours on numbers like these reach about
    93 %, because the stain goes with the class. Colour moments: Stricker & Orengo, 1995, doi:10.1117/12.205308.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        float64, 9: means (0 to 1), standard deviations (0 to 1), skewnesses, each in the order R, G, B.
    """
    values = np.arange(256) / 255.0
    counts = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    deviation = values - mean[:, None]
    spread = np.sqrt((share * deviation**2).sum(axis=1))
    third = (share * deviation**3).sum(axis=1)
    return np.concatenate([mean, spread, third / np.maximum(spread, 1e-6) ** 3])

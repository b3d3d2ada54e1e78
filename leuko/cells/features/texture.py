"""Texture inside a mask: grey-level co-occurrence matrices and local binary patterns.

Both use only pixel pairs and neighbourhoods inside the mask, so the surroundings of a cell have no influence.
"""

from __future__ import annotations

import cv2
import numpy as np

LEVELS = 32  # grey levels of the co-occurrence matrix: 3 units of L* each, about the level of noise
NEIGHBOURS = 8
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))  # rows, columns: the four directions at a distance of one pixel
_RIM = np.ones((3, 3), np.uint8)


def cooccurrence(levels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Grey-level co-occurrence matrices at a distance of one pixel (diagonally √2), symmetric, each with sum 1.

    Haralick, Shanmugam & Dinstein, "Textural features for image classification", 1973, doi:10.1109/TSMC.1973.4309314.

    Args:
        levels: int, H × W, 0 to 31.
        mask: bool, H × W; both pixels of a pair must lie inside.

    Returns:
        float, 4 × 32 × 32, for 0°, 45°, 90° and 135°; NaN if the mask contains no pair.
    """
    height, width = mask.shape
    matrices = np.empty((len(_STEPS), LEVELS, LEVELS))
    for matrix, (down, right) in zip(matrices, _STEPS, strict=True):
        first = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        second = slice(down, height), slice(max(0, right), width - max(0, -right))
        both = mask[first] & mask[second]
        pairs = levels[first][both] * LEVELS + levels[second][both]
        counts = np.bincount(pairs, minlength=LEVELS**2).reshape(LEVELS, LEVELS)
        matrix[:] = (counts + counts.T) / (2 * len(pairs)) if len(pairs) else np.nan
    return matrices


def haralick(matrices: np.ndarray) -> dict[str, float]:
    """Contrast, correlation, energy and homogeneity of co-occurrence matrices, K × L × L, as means over the K.

    Returns:
        `contrast` 0 to (L − 1)², `correlation` −1 to 1 (1 if all pixels have the same level), `energy` 0 to 1 (the root
        of the angular second moment), `homogeneity` 0 to 1; NaN for matrices of NaN.
    """
    i, j = np.indices(matrices.shape[1:])
    contrast = (matrices * (i - j) ** 2).sum(axis=(1, 2))
    mean = (matrices * i).sum(axis=(1, 2))
    centred = i - mean[:, None, None], j - mean[:, None, None]  # symmetric: rows and columns have the same mean
    variance = (matrices * centred[0] ** 2).sum(axis=(1, 2))
    covariance = (matrices * centred[0] * centred[1]).sum(axis=(1, 2))
    flat = variance < 1e-12
    return {
        "contrast": float(contrast.mean()),
        "correlation": float(np.where(flat, 1, covariance / np.where(flat, 1, variance)).mean()),
        "energy": float(np.sqrt((matrices**2).sum(axis=(1, 2))).mean()),
        "homogeneity": float((matrices / (1 + (i - j) ** 2)).sum(axis=(1, 2)).mean()),
    }


def binary_patterns(grey: np.ndarray) -> np.ndarray:
    """Local binary patterns of eight neighbours at a distance of one pixel, uniform and rotation invariant (riu2).

    Ojala, Pietikäinen & Mäenpää, "Multiresolution gray-scale and rotation invariant texture classification with local
    binary patterns", 2002, doi:10.1109/TPAMI.2002.1017623. Diagonal neighbours are interpolated.

    Args:
        grey: float32 or float64, H × W.

    Returns:
        int, (H − 2) × (W − 2), without the outermost pixels. 0 to 8: the number of neighbours that are not darker than
        the pixel, if these neighbours are contiguous (uniform pattern). 9: all other patterns.
    """
    height, width = grey.shape
    middle = grey[1:-1, 1:-1]

    def rise(down: int, right: int) -> np.ndarray:
        return grey[1 + down : height - 1 + down, 1 + right : width - 1 + right] - middle

    near = np.sqrt(0.5)
    # Differences are interpolated, not values: they are exactly 0 in uniform areas.
    ring = [
        rise(down, right)
        if not down or not right
        else near * ((1 - near) * (rise(down, 0) + rise(0, right)) + near * rise(down, right))
        for down, right in ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
    ]
    signs = np.stack([difference >= 0 for difference in ring])
    changes = (signs != np.roll(signs, 1, axis=0)).sum(axis=0)
    return np.where(changes <= 2, signs.sum(axis=0), NEIGHBOURS + 1)


def pattern_statistics(patterns: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Entropy and uniformity of the binary patterns of pixels whose whole neighbourhood lies inside a mask.

    Args:
        patterns: int, (H − 2) × (W − 2), from `binary_patterns`.
        mask: uint8, H × W, 0 outside.

    Returns:
        `entropy` in bits, 0 to log₂ 10, and `uniformity`, the sum of squared proportions, 0.1 to 1; NaN if there are no
        such pixels.
    """
    inside = cv2.erode(mask, _RIM)[1:-1, 1:-1] > 0
    if not inside.any():
        return {"entropy": np.nan, "uniformity": np.nan}
    share = np.bincount(patterns[inside], minlength=NEIGHBOURS + 2) / inside.sum()
    seen = share[share > 0]
    return {"entropy": float(-(seen * np.log2(seen)).sum()), "uniformity": float((share**2).sum())}

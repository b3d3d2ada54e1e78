"""The scale at which the network sees an image best: found in a first look at low resolution, checked in the second."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.learned.classes import BACKGROUND, CLASSES, CYTOPLASM, NUCLEUS
from leuko.cells.segmentation.learned.network import Look, SegmentationNetwork


@dataclass(frozen=True)
class ScaleParameters:
    """Working scales; diameters are of a red cell.

    Attributes:
        first_side_px: longer side of the first look.
        min_diameter_px, max_diameter_px: at the working scale. Smaller cells lose their shape, larger ones cost time.
        tolerance: ratio of the diameters of a look and the one expected, above which the network looks again.
        max_looks: then it stays with the last.
        max_enlargement: more adds no detail.
        max_pixels: of the image at the working scale, which bounds the time.
        second_look: factor of the resolution of a look for comparison, where the first look was at the right scale.
        other_weight: of the look at another scale in the mean of both; chosen on even-numbered JTSC and BCCD files.
    """

    first_side_px: int = 256
    min_diameter_px: float = 20.0
    max_diameter_px: float = 36.0
    tolerance: float = 1.25
    max_looks: int = 4
    max_enlargement: float = 2.0
    max_pixels: float = 4e6
    second_look: float = 0.6
    other_weight: float = 0.3


PARAMETERS = ScaleParameters()
_MERGED = np.arange(len(CLASSES), dtype=np.uint8)
_MERGED[NUCLEUS] = CYTOPLASM


@dataclass(frozen=True)
class Looks:
    """Two looks at an image.

    Attributes:
        look: at the working scale.
        factor: by which the image was resized for it.
        resized: uint8, h × w × 3: the image at this scale.
        other: at another scale.
    """

    look: Look
    factor: float
    resized: np.ndarray
    other: Look

    def shares(self) -> np.ndarray:
        """float32, classes × h/2 × w/2: the mean of both maps, which has smoother outlines than either."""
        best = self.look.shares
        weight = PARAMETERS.other_weight
        size = best.shape[:0:-1]
        return np.stack(
            [
                cv2.addWeighted(one, 1 - weight, cv2.resize(other, size, interpolation=cv2.INTER_LINEAR), weight, 0)
                for one, other in zip(best, self.other.shares, strict=True)
            ]
        )

    def agreement(self) -> float:
        """How far cells are found reliably, 0 to 1: share of pixels on which both looks agree × how sure the last is.

        Kinds are background, red cells, white cells and smaller objects. In photographs of other things than smears,
        and in sections of tissue, looks disagree and are unsure.
        """
        kinds = self.look.shares.argmax(axis=0).astype(np.uint8)
        others = _MERGED[self.other.shares.argmax(axis=0).astype(np.uint8)]
        same = _MERGED[kinds] == cv2.resize(others, kinds.shape[::-1], interpolation=cv2.INTER_NEAREST)
        cells = kinds != BACKGROUND
        if not cells.any():
            return float(same.mean())
        return float(same.mean() * self.look.shares.max(axis=0)[cells].mean())


def find_scale(image: np.ndarray, network: SegmentationNetwork) -> Looks:
    """Look at an image, uint8, H × W × 3, RGB, until cells have a working size."""
    height, width = image.shape[:2]
    factor = min(1.0, PARAMETERS.first_side_px / max(height, width))
    resized = _resize(image, factor)
    look, other = network.look(resized), None
    for _ in range(PARAMETERS.max_looks - 1):
        if look.red_diameter is None:
            break
        wanted = _working_factor(look.red_diameter / factor, height, width)
        if max(wanted / factor, factor / wanted) < PARAMETERS.tolerance:
            break
        factor, other = wanted, look
        resized = _resize(image, factor)
        look = network.look(resized)
    if other is None:
        other = network.look(_resize(image, max(PARAMETERS.second_look * factor, 1 / min(height, width))))
    return Looks(look, factor, resized, other)


def _working_factor(red_diameter: float, height: int, width: int) -> float:
    """The factor by which to resize an image whose red cells have a diameter in px."""
    low, high = (px / red_diameter for px in (PARAMETERS.min_diameter_px, PARAMETERS.max_diameter_px))
    most = np.sqrt(PARAMETERS.max_pixels / (height * width))
    least = 16 / min(height, width)
    return float(max(min(np.clip(1.0, low, high), PARAMETERS.max_enlargement, most), min(least, 1.0)))


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    """An image resized by a factor."""
    if factor == 1:
        return image
    height, width = (max(round(factor * side), 1) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)

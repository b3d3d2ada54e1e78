"""Magnification: how large the cells appear to a network, measured by the red cells.

A network knows cells of the size in its training images. On a field under another objective, or of another size, its
predictions are wrong and confident. Red cells have about the same size in everybody and reveal it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation import segment
from leuko.images.field_of_view import crop_to_field_of_view

SCALE_QUANTILES = (0.05, 0.95)  # of the training images' scales; beyond lie measurement errors
MARGIN = 1.25  # factor beyond these quantiles that is still in range; cells differ that much within one laboratory
MIN_IMAGES = 20  # with a known scale; fewer do not give quantiles
MIN_KNOWN_SHARE = 0.9  # of the images must have a scale; else its absence in a new image would mean nothing


@dataclass(frozen=True)
class ScaleRange:
    """The scales at which a network saw its training images.

    Attributes:
        low: micrometres per pixel of the network's input.
        high: the same.
    """

    low: float
    high: float

    @classmethod
    def fit(cls, um_per_px: Sequence[float | None]) -> ScaleRange | None:
        """Fit the range to the scales of training images.

        Args:
            um_per_px: micrometres per pixel of the network's input, None for images of unknown scale.

        Returns:
            None for fewer than 20 known scales, or where more than a tenth are unknown, as of images of single cells.
        """
        known = [scale for scale in um_per_px if scale]
        if len(known) < max(MIN_IMAGES, MIN_KNOWN_SHARE * len(um_per_px)):
            return None
        low, high = np.quantile(known, SCALE_QUANTILES)
        return cls(float(low / MARGIN), float(high * MARGIN))

    def relative_cell_size(self, um_per_px: float) -> float:
        """How large cells appear, as a ratio to the size in training; 1 within the range."""
        return 1.0 if self.low <= um_per_px <= self.high else self.middle / um_per_px

    @property
    def middle(self) -> float:
        """The geometric mean of both ends."""
        return (self.low * self.high) ** 0.5


def um_per_input_px(um_per_px: float | None, shape: tuple[int, ...], size: tuple[int, int]) -> float | None:
    """Micrometres per pixel of the network's input (the mean of both sides); None where the scale is not known.

    Args:
        um_per_px: of the image.
        shape: of the part of the image that the network is shown, height and width first.
        size: of the input, height and width.
    """
    return um_per_px and um_per_px * float(shape[0] * shape[1] / (size[0] * size[1])) ** 0.5


def measure_scales(images: Iterable[np.ndarray], size: tuple[int, int]) -> list[float | None]:
    """`um_per_input_px` of images, uint8, H × W × 3, RGB, by their red cells."""
    return [um_per_input_px(segment(image).um_per_px, crop_to_field_of_view(image).shape, size) for image in images]

"""How large the cells appear to a network, measured by the red cells.

A network knows cells of the size it was trained on. Shown a field under another objective or of another size, it still
answers, and surely; red cells, which are about as large in everybody, tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation import segment
from leuko.images.field_of_view import crop_to_field_of_view

BETWEEN = (0.05, 0.95)  # quantiles of the training images' scales; beyond lie errors of the measurement
MARGIN = 1.25  # factor beyond them that still counts as seen
ENOUGH = 20  # images with a known scale, for a range to be told
NEARLY_ALL = 0.9  # of the images must have one: then an image without is strange, and not where few have one


@dataclass(frozen=True)
class ScaleRange:
    """The scales at which the network saw its training images.

    Attributes:
        low, high: micrometres per pixel of the network's input.
    """

    low: float
    high: float

    @classmethod
    def fit(cls, um: Sequence[float | None]) -> ScaleRange | None:
        """From the scales of training images, in micrometres per pixel of the input, None where one is not known.

        None of fewer than 20, and where more than a tenth are not known, as of pictures of single cells.
        """
        known = [each for each in um if each]
        if len(known) < max(ENOUGH, NEARLY_ALL * len(um)):
            return None
        low, high = np.quantile(known, BETWEEN)
        return cls(float(low / MARGIN), float(high * MARGIN))

    def relative_cell_size(self, um: float) -> float:
        """How large cells appear, over what was usual in training; 1 within what was seen."""
        return 1.0 if self.low <= um <= self.high else self.usual / um

    @property
    def usual(self) -> float:
        """The middle of what was seen."""
        return (self.low * self.high) ** 0.5


def um_per_input_px(um_per_px: float | None, shape: tuple[int, ...], size: tuple[int, int]) -> float | None:
    """Micrometres per pixel of the network's input (the mean of both sides), None where the scale is not known.

    Args:
        um_per_px: of the image.
        shape: of what the network is shown of the image, height and width first.
        size: of the input, height and width.
    """
    return um_per_px and um_per_px * float(shape[0] * shape[1] / (size[0] * size[1])) ** 0.5


def measure_scales(images: Iterable[np.ndarray], size: tuple[int, int]) -> list[float | None]:
    """`um_per_input_px` for each of some images, uint8, H × W × 3, RGB, by their red cells."""
    return [um_per_input_px(segment(image).um_per_px, crop_to_field_of_view(image).shape, size) for image in images]

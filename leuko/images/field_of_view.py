"""Field of view: the bright disc in a photograph through an eyepiece, and the image without its dark surround.

Light reaches the camera through a round aperture, so the smear is a disc (or the visible part of one) in a dark and
even surround. The surround is no smear: with it, the image would seem too dark, and its rim would look like cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.images.eyepiece_disc import PARAMETERS, locate_disc

HEAT_MAP_SIDE = 256  # px, longer side of a heat map of the whole image


@dataclass(frozen=True)
class FieldOfView:
    """The disc that shows the smear.

    Attributes:
        middle: x and y, in pixels.
        radius: in pixels, without a shaded rim.
        box: x0, y0, x1, y1: the part of the frame that the disc spans.
        shape: height and width of the frame.
    """

    middle: tuple[float, float]
    radius: float
    box: tuple[int, int, int, int]
    shape: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of `box`, in pixels."""
        x0, y0, x1, y1 = self.box
        return y1 - y0, x1 - x0

    def inside(self) -> np.ndarray:
        """bool, height and width of `box`: which of its pixels lie in the disc."""
        x0, y0, x1, y1 = self.box
        across = (np.arange(x0, x1, dtype=np.float32) - np.float32(self.middle[0])) ** 2
        down = (np.arange(y0, y1, dtype=np.float32) - np.float32(self.middle[1])) ** 2
        return down[:, None] + across <= np.float32(self.radius) ** 2

    def surround(self) -> np.ndarray:
        """bool, H × W of the frame: what lies outside the disc."""
        return ~self.embed(self.inside())

    def crop(self, image: np.ndarray) -> np.ndarray:
        """The part of an image of the frame's size that the disc spans, outside it the colour of the background."""
        x0, y0, x1, y1 = self.box
        part, inside = image[y0:y1, x0:x1].copy(), self.inside()
        part[~inside] = _background(part, inside)
        return part

    def embed(self, values: np.ndarray) -> np.ndarray:
        """A map of the box, h × w, as a map of the whole image, H × W, with 0 around it."""
        x0, y0, x1, y1 = self.box
        whole = np.zeros((*self.shape, *values.shape[2:]), values.dtype)
        whole[y0:y1, x0:x1] = values
        return whole

    def place(self, heat: np.ndarray) -> np.ndarray:
        """A heat map of the box, float32, as one of the whole image: `HEAT_MAP_SIDE` pixels long, 0 around the box."""
        factor = min(1.0, HEAT_MAP_SIDE / max(self.shape))
        x0, y0, x1, y1 = (round(factor * side) for side in self.box)
        whole = np.zeros([max(round(factor * side), 1) for side in self.shape], np.float32)
        whole[y0:y1, x0:x1] = cv2.resize(heat, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        return whole


def find(image: np.ndarray) -> FieldOfView | None:
    """The disc in a photograph through an eyepiece; None where the whole image shows the smear.

    Args:
        image: uint8, H × W × 3, RGB.
    """
    step = -(-max(image.shape[:2]) // PARAMETERS.sample_side)
    small = image[step // 2 :: step, step // 2 :: step]
    circle = locate_disc(small)
    if circle is None:
        return None
    x, y, radius = circle
    x, y, radius = ((x + 0.5) * step, (y + 0.5) * step, radius * step)
    height, width = image.shape[:2]
    box = (
        max(int(x - radius), 0),
        max(int(y - radius), 0),
        min(int(np.ceil(x + radius)) + 1, width),
        min(int(np.ceil(y + radius)) + 1, height),
    )
    return FieldOfView((x, y), radius, box, (height, width))


def crop_to_field_of_view(image: np.ndarray) -> np.ndarray:
    """The part of an image that shows the smear: all, or the box around the disc (`FieldOfView.crop`).

    Networks see this part, in training and in serving.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        uint8, h × w × 3, RGB.
    """
    view = find(image)
    return image if view is None else view.crop(image)


def _background(part: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The background colour of a disc: the median of its brightest third; uint8, 3."""
    step = max(max(part.shape[:2]) // PARAMETERS.sample_side, 1)
    pixels = part[::step, ::step][inside[::step, ::step]]
    light = pixels.sum(axis=1, dtype=np.int32)
    return np.median(pixels[light >= np.quantile(light, 2 / 3)], axis=0).astype(np.uint8)

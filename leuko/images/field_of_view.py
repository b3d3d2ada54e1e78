"""Photographs through an eyepiece: where the bright disc lies, and the image without its dark surround.

Light reaches the camera through a round aperture, so the smear is a disc (or the part of one that the frame shows), and
what surrounds it is dark and even. That surround is no smear: counted as one, it makes the image too dark, and its
rim looks like cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAP = 256  # px, longer side of a heat map of the whole frame
LOOK = 160  # px, longer side of the sample in which the disc is sought
DARK = 0.5  # of the brightest: a corner that is brighter lies in the disc; with all four, the whole frame does
RIM = 0.35  # between the surround's level and the disc's: where the disc ends
CONTRAST = 50  # grey levels between the surround and the disc, at least
SMALLEST = 0.1  # radius of a disc, of the frame's shorter side
FEWEST = 6  # radius of a disc in pixels of the sample, at least
LARGEST = 1.5  # radius of a disc, of the frame's longer side; what is larger is a straight edge
LEAST_OUTSIDE = 0.003  # share of the frame outside the disc; less is worth no correction
EVEN = 0.97  # share of what lies outside that is dark
ROUND = 0.93  # share of what lies inside, near the rim, that does not belong to the surround
OFF = 0.03  # of the radius: distance from the circle at which a point of the rim does not lie on it
ON_CIRCLE = 0.75  # share of the rim's points that lie on the circle
MAGENTA = 0.2  # of its brightness by which a light has less green than red and blue; a lamp has not, dyes have
ONE_CELL = 0.3  # of the disc: a single dark compact thing that is larger is the nucleus of a cell cut out, no field
SHADED = 0.85  # of the disc's light; the rim that has less is left out, but no more than
DEEPEST = 0.8  # of the radius
# Chosen on discs drawn over files of Aria and Raabin; of all development images, none but real photographs through an
# eyepiece may be taken for one.


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
        """What was found in the box, h × w, as a map of the frame, H × W, with 0 around it."""
        x0, y0, x1, y1 = self.box
        whole = np.zeros((*self.shape, *values.shape[2:]), values.dtype)
        whole[y0:y1, x0:x1] = values
        return whole

    def place(self, heat: np.ndarray) -> np.ndarray:
        """A heat map, float32, of the box as one of the frame: `MAP` pixels on its longer side, 0 around the box."""
        factor = min(1.0, MAP / max(self.shape))
        x0, y0, x1, y1 = (round(factor * side) for side in self.box)
        whole = np.zeros([max(round(factor * side), 1) for side in self.shape], np.float32)
        whole[y0:y1, x0:x1] = cv2.resize(heat, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        return whole


def find(image: np.ndarray) -> FieldOfView | None:
    """The disc in a photograph through an eyepiece; None where the whole image shows the smear.

    Args:
        image: uint8, H × W × 3, RGB.
    """
    step = -(-max(image.shape[:2]) // LOOK)
    small = image[step // 2 :: step, step // 2 :: step]
    if min(small.shape[:2]) < 8:
        return None
    corners = [small[rows, columns].max(axis=2).mean() for rows in (_FIRST, _LAST) for columns in (_FIRST, _LAST)]
    if min(corners) > DARK * small.max():
        return None  # most images end here
    small = cv2.blur(small, (3, 3))
    level = small.max(axis=2)
    circle = _circle(level, min(corners))
    if circle is None or _one_cell(small, circle):
        return None
    x, y, radius = circle
    radius = _unshaded(level, circle) * radius - 1
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
    """What an image shows of a smear: the image itself, or the square around an eyepiece's disc (`FieldOfView.crop`).

    Networks are trained on this and asked about this.

    Args:
        image: uint8, H × W × 3, RGB.

    Returns:
        uint8, h × w × 3, RGB.
    """
    view = find(image)
    return image if view is None else view.crop(image)


_FIRST, _LAST = slice(0, 3), slice(-3, None)


def _circle(level: np.ndarray, dark: float) -> tuple[float, float, float] | None:
    """x, y and radius of the circle in which an image, uint8, h × w, is bright, if it is dark and even elsewhere."""
    height, width = level.shape
    if level.max() - dark < CONTRAST:
        return None
    bright = np.percentile(level[level > (dark + level.max()) / 2], 50)
    if bright - dark < CONTRAST:
        return None
    outside = _reached_from_corners(level < dark + RIM * (bright - dark))
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~outside).astype(np.uint8))
    if count < 2:
        return None
    disc = (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    outline = max(cv2.findContours(disc, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)[:, 0]
    inner = (outline > 1).all(axis=1) & (outline < (width - 2, height - 2)).all(axis=1)
    if inner.sum() < 12:
        return None
    fitted = _fit(outline[inner].astype(float))
    if fitted is None:
        return None
    x, y, radius = fitted
    if not max(SMALLEST * min(level.shape), FEWEST) <= radius <= LARGEST * max(level.shape):
        return None
    rows, columns = np.indices(level.shape)
    far = np.hypot(columns - x, rows - y)
    around, rim = far > radius + max(0.04 * radius, 2), (far < 0.97 * radius - 1) & (far > 0.85 * radius)
    if around.mean() < LEAST_OUTSIDE or outside[around].mean() < EVEN or not rim.any():
        return None
    return fitted if 1 - outside[rim].mean() >= ROUND else None


def _reached_from_corners(dark: np.ndarray) -> np.ndarray:
    """The parts of a mask, bool, that reach into a corner of the image."""
    labels = cv2.connectedComponents(dark.astype(np.uint8))[1]
    reached = np.unique(np.concatenate([labels[r, c].ravel() for r in (_FIRST, _LAST) for c in (_FIRST, _LAST)]))
    return np.isin(labels, reached[reached > 0])


def _fit(points: np.ndarray) -> tuple[float, float, float] | None:
    """x, y and radius of the circle on which most points, N × 2, lie; None where they lie on none.

    Cells at the rim dent it, so points that lie off the circle are left out and it is fitted anew. The fit is the
    algebraic one of Kåsa, "A circle fitting procedure and its error analysis", 1976, doi:10.1109/TIM.1976.6312298.
    """
    used = points
    for _ in range(6):
        middle = used.mean(axis=0)
        near = used - middle
        terms = np.column_stack([2 * near, np.ones(len(near))])
        (x, y, rest), *_ = np.linalg.lstsq(terms, (near**2).sum(axis=1), rcond=None)
        radius = float(np.sqrt(max(rest + x * x + y * y, 1e-9)))
        x, y = x + middle[0], y + middle[1]
        off = np.abs(np.hypot(*(points - (x, y)).T) - radius)
        bound = max(OFF * radius, 1.5, np.quantile(off, 0.6))
        if (off <= bound).sum() < 8:
            return None
        used = points[off <= bound]
    on = (off <= max(OFF * radius, 1.5)).mean()
    return (float(x), float(y), radius) if on >= ON_CIRCLE else None


def _one_cell(small: np.ndarray, circle: tuple[float, float, float]) -> bool:
    """Whether what lies in a circle is one cell that was cut out: there is no glass, or one large nucleus."""
    disc = np.zeros(small.shape[:2], np.uint8)
    cv2.circle(disc, (round(circle[0]), round(circle[1])), max(round(0.95 * circle[2]), 1), 1, cv2.FILLED)
    if not disc.any():
        return True
    pixels = small[disc > 0].astype(np.float32)
    level = pixels.max(axis=1)
    red, green, blue = np.median(pixels[level >= np.quantile(level, 0.8)], axis=0)
    if min(red, blue) - green > MAGENTA * max(red, blue):
        return True
    greens = small[..., 1]
    bound, _ = cv2.threshold(greens[disc > 0][None], 0, 255, cv2.THRESH_OTSU)
    below = ((greens < bound) & (disc > 0)).astype(np.uint8)
    dark = np.asarray(cv2.morphologyEx(below, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    outlines = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not outlines:
        return False
    largest = max(outlines, key=cv2.contourArea)
    area = cv2.contourArea(largest)
    compact = area > 0.8 * cv2.contourArea(cv2.convexHull(largest))
    return compact and area > ONE_CELL * disc.sum() and area > 0.8 * dark.sum()


def _unshaded(level: np.ndarray, circle: tuple[float, float, float]) -> float:
    """The share of the radius up to which the disc is about as bright as its middle."""
    x, y, radius = circle
    rows, columns = np.indices(level.shape)
    far = np.hypot(columns - x, rows - y) / radius
    usual = np.percentile(level[far < 0.75], 75) if (far < 0.75).any() else 0
    for share in np.arange(1.0, DEEPEST, -0.02):
        ring = (far < share) & (far > share - 0.03)
        if ring.any() and np.percentile(level[ring], 75) >= SHADED * usual:
            return float(share)
    return DEEPEST


def _background(part: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The colour of the glass in a disc: the median of its brightest third; uint8, 3."""
    step = max(max(part.shape[:2]) // LOOK, 1)
    pixels = part[::step, ::step][inside[::step, ::step]]
    light = pixels.sum(axis=1, dtype=np.int32)
    return np.median(pixels[light >= np.quantile(light, 2 / 3)], axis=0).astype(np.uint8)

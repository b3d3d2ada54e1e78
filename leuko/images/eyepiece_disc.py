"""Detection of the bright disc in a photograph through an eyepiece."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class DiscParameters:
    """How the disc is found.

    Chosen on discs drawn over files of Aria and Raabin; of all development images, only real photographs through an
    eyepiece may be recognised as such.

    Attributes:
        sample_side: px, longer side of the sample in which the disc is searched.
        max_corner: brightness of a corner, over the brightest pixel; a brighter corner lies in the disc. If all do, the
            whole image shows the smear.
        rim_level: between the levels of surround (0) and disc (1): where the disc ends.
        min_contrast: grey levels between surround and disc.
        min_radius: of the image's shorter side.
        min_radius_px: of the sample.
        max_radius: of the image's longer side; a larger circle is a straight edge.
        min_outside: share of the image outside the disc; less is not worth a correction.
        min_dark_outside: share of what lies outside that is dark.
        min_bright_inside: share of the area inside near the rim that does not belong to the surround.
        max_deviation: of the radius: distance from the circle at which a point of the rim no longer lies on it.
        min_on_circle: share of the rim's points that lie on the circle.
        max_magenta: of its brightness, by which light has less green than red and blue: more is dye and no lamp.
        max_nucleus: of the disc: a single dark compact object that is larger is the nucleus of a cut-out cell.
        min_rim_light: of the disc's light; a darker rim is left out, but at most down to
        min_unshaded: of the radius.
    """

    sample_side: int = 160
    max_corner: float = 0.5
    rim_level: float = 0.35
    min_contrast: float = 50
    min_radius: float = 0.1
    min_radius_px: float = 6
    max_radius: float = 1.5
    min_outside: float = 0.003
    min_dark_outside: float = 0.97
    min_bright_inside: float = 0.93
    max_deviation: float = 0.03
    min_on_circle: float = 0.75
    max_magenta: float = 0.2
    max_nucleus: float = 0.3
    min_rim_light: float = 0.85
    min_unshaded: float = 0.8


PARAMETERS = DiscParameters()


_FIRST, _LAST = slice(0, 3), slice(-3, None)


def locate_disc(small: np.ndarray) -> tuple[float, float, float] | None:
    """The disc in a sample of an image, uint8, h × w × 3, RGB: x, y, and radius without a shaded rim; else None."""
    if min(small.shape[:2]) < 8:
        return None
    corners = [small[rows, columns].max(axis=2).mean() for rows in (_FIRST, _LAST) for columns in (_FIRST, _LAST)]
    if min(corners) > PARAMETERS.max_corner * small.max():
        return None  # most images end here
    small = cv2.blur(small, (3, 3))
    level = small.max(axis=2)
    circle = _circle(level, min(corners))
    if circle is None or _one_cell(small, circle):
        return None
    x, y, radius = circle
    return x, y, _unshaded(level, circle) * radius - 1


def _circle(level: np.ndarray, dark: float) -> tuple[float, float, float] | None:
    """x, y and radius of the circle in which an image, uint8, h × w, is bright, if it is dark and even elsewhere."""
    height, width = level.shape
    if level.max() - dark < PARAMETERS.min_contrast:
        return None
    bright = np.percentile(level[level > (dark + level.max()) / 2], 50)
    if bright - dark < PARAMETERS.min_contrast:
        return None
    outside = _reached_from_corners(level < dark + PARAMETERS.rim_level * (bright - dark))
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
    if (
        not max(PARAMETERS.min_radius * min(level.shape), PARAMETERS.min_radius_px)
        <= radius
        <= PARAMETERS.max_radius * max(level.shape)
    ):
        return None
    rows, columns = np.indices(level.shape)
    far = np.hypot(columns - x, rows - y)
    around, rim = far > radius + max(0.04 * radius, 2), (far < 0.97 * radius - 1) & (far > 0.85 * radius)
    if around.mean() < PARAMETERS.min_outside or outside[around].mean() < PARAMETERS.min_dark_outside or not rim.any():
        return None
    return fitted if 1 - outside[rim].mean() >= PARAMETERS.min_bright_inside else None


def _reached_from_corners(dark: np.ndarray) -> np.ndarray:
    """The parts of a mask, bool, that reach into a corner of the image."""
    labels = cv2.connectedComponents(dark.astype(np.uint8))[1]
    reached = np.unique(np.concatenate([labels[r, c].ravel() for r in (_FIRST, _LAST) for c in (_FIRST, _LAST)]))
    return np.isin(labels, reached[reached > 0])


def _fit(points: np.ndarray) -> tuple[float, float, float] | None:
    """x, y and radius of the circle on which most points, N × 2, lie; None where they lie on none.

    Cells at the rim dent it, so points off the circle are left out and the fit is repeated. It is the algebraic fit of
    Kåsa, "A circle fitting procedure and its error analysis", 1976, doi:10.1109/TIM.1976.6312298.
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
        bound = max(PARAMETERS.max_deviation * radius, 1.5, np.quantile(off, 0.6))
        if (off <= bound).sum() < 8:
            return None
        used = points[off <= bound]
    on = (off <= max(PARAMETERS.max_deviation * radius, 1.5)).mean()
    return (float(x), float(y), radius) if on >= PARAMETERS.min_on_circle else None


def _one_cell(small: np.ndarray, circle: tuple[float, float, float]) -> bool:
    """Whether a circle holds one cut-out cell: there is no background, or one large nucleus."""
    disc = np.zeros(small.shape[:2], np.uint8)
    cv2.circle(disc, (round(circle[0]), round(circle[1])), max(round(0.95 * circle[2]), 1), 1, cv2.FILLED)
    if not disc.any():
        return True
    pixels = small[disc > 0].astype(np.float32)
    level = pixels.max(axis=1)
    red, green, blue = np.median(pixels[level >= np.quantile(level, 0.8)], axis=0)
    if min(red, blue) - green > PARAMETERS.max_magenta * max(red, blue):
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
    return compact and area > PARAMETERS.max_nucleus * disc.sum() and area > 0.8 * dark.sum()


def _unshaded(level: np.ndarray, circle: tuple[float, float, float]) -> float:
    """The share of the radius up to which the disc is about as bright as its middle."""
    x, y, radius = circle
    rows, columns = np.indices(level.shape)
    far = np.hypot(columns - x, rows - y) / radius
    usual = np.percentile(level[far < 0.75], 75) if (far < 0.75).any() else 0
    for share in np.arange(1.0, PARAMETERS.min_unshaded, -0.02):
        ring = (far < share) & (far > share - 0.03)
        if ring.any() and np.percentile(level[ring], 75) >= PARAMETERS.min_rim_light * usual:
            return float(share)
    return PARAMETERS.min_unshaded

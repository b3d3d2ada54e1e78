"""Where one field of a slide lies in relation to another, by the structure that both show.

Fields of a slide are photographed by the same microscope and camera, so overlapping ones differ by a shift alone. The
fine structure of both is compared at every shift by normalised cross-correlation over what both would show there
(Padfield 2012, doi:10.1109/TIP.2011.2181402). It is fine structure, so light and stain play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

SIDE = 128  # px, of reduced images, roughly; factors of reduction are powers of two, alike for one camera
FINE, COARSE = 1.0, 4.0  # px, standard deviations of the two blurs whose difference is the structure
NOISE = 0.5  # grey levels, of a reduced image: weaker structure is none
MIN_SHARE = 0.06  # least share of the smaller image that both show
# Chosen on drawn fields and BCCD: nearly all fields that do not overlap stay below 0.83, overlaps of a tenth do not.
MIN_CORRELATION = 0.86


@dataclass(frozen=True)
class Shift:
    """Two fields that overlap.

    Attributes:
        x, y: px, to be added to a position in the second field to get it in the first.
        share: of the second field that the first also shows, 0 to 1.
    """

    x: float
    y: float
    share: float


@dataclass(frozen=True)
class Structure:
    """The fine structure of a field.

    Attributes:
        values: float32, h × w, reduced, of mean 0, and equally strong everywhere: two fields in which one dark nucleus
            lies in the same place are not alike.
        factor: of reduction, a power of two.
        pixel: width and height of a pixel of `values` in pixels of the image: about the factor.
    """

    values: np.ndarray
    factor: int
    pixel: tuple[float, float]

    @classmethod
    def of(cls, image: np.ndarray) -> Structure:
        """The structure of an image, uint8, H × W × 3, RGB."""
        factor = 2 ** max(0, round(np.log2(max(image.shape) / SIDE)))
        size = [max(1, side // factor) for side in image.shape[1::-1]]
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        values = cv2.GaussianBlur(small, (0, 0), FINE) - cv2.GaussianBlur(small, (0, 0), COARSE)
        squares = values * values
        strength = np.sqrt(cv2.GaussianBlur(squares, (0, 0), COARSE) + np.median(squares) + NOISE**2)
        pixel = image.shape[1] / size[0], image.shape[0] / size[1]
        return cls(values / strength, factor, pixel)

    @cached_property
    def transform(self) -> np.ndarray:
        """The Fourier transform, padded for a partner of the same size."""
        return self.padded_transform(_padded(self.values.shape, self.values.shape))

    def padded_transform(self, size: tuple[int, int]) -> np.ndarray:
        """The Fourier transform, padded to a size."""
        return np.asarray(fft.rfft2(self.values, size))

    @cached_property
    def energy(self) -> np.ndarray:
        """Sums of squares of all pixels above and left of a corner, float64, (h + 1) × (w + 1)."""
        return np.pad(np.cumsum(np.cumsum(np.square(self.values, dtype=float), axis=0), axis=1), ((1, 0), (1, 0)))


def find_shift(first: Structure, second: Structure) -> Shift | None:
    """How a second field lies to a first one; None if they do not overlap, or were not photographed alike."""
    if first.factor != second.factor:
        return None
    a, b = first.values.shape, second.values.shape
    size = _padded(a, b)
    transforms = (
        (first.transform, second.transform) if a == b else (first.padded_transform(size), second.padded_transform(size))
    )
    products = fft.irfft2(transforms[0] * transforms[1].conj(), size)
    ys, xs = np.arange(-b[0] + 1, a[0]), np.arange(-b[1] + 1, a[1])
    products = products[np.ix_(ys % size[0], xs % size[1])]
    rows, columns = _common(a[0], b[0], ys), _common(a[1], b[1], xs)
    areas = np.outer(rows[1] - rows[0], columns[1] - columns[0])
    energies = _sums(first.energy, rows, columns) * _sums(
        second.energy, tuple(edge - ys for edge in rows), tuple(edge - xs for edge in columns)
    )
    correlations = products / np.sqrt(np.maximum(energies, 1e-6))
    correlations[areas < MIN_SHARE * min(a[0] * a[1], b[0] * b[1])] = 0
    y, x = np.unravel_index(correlations.argmax(), correlations.shape)
    if correlations[y, x] < MIN_CORRELATION:
        return None
    share = areas[y, x] / (b[0] * b[1])
    return Shift(float(xs[x] * first.pixel[0]), float(ys[y] * first.pixel[1]), float(share))


def matches(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Positions that are each other's nearest, float, N × 2 and M × 2: pairs of rows."""
    if not len(first) or not len(second):
        return []
    nearest = cKDTree(second).query(first)[1]
    back = cKDTree(first).query(second)[1]
    return [(row, int(other)) for row, other in enumerate(nearest) if back[other] == row]


def _padded(a: Sequence[int], b: Sequence[int]) -> tuple[int, int]:
    """A size in which no shift runs into the next period."""
    return fft.next_fast_len(a[0] + b[0], True), fft.next_fast_len(a[1] + b[1], True)


def _common(a: int, b: int, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From where to where, in the first, both images show the slide, at each shift along a side."""
    return np.maximum(0, shifts), np.minimum(a, b + shifts)


def _sums(sums: np.ndarray, rows: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Sums over rectangles, by sums from the corner."""
    (top, bottom), (left, right) = rows, columns
    return np.asarray(
        sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)] - sums[np.ix_(bottom, left)] + sums[np.ix_(top, left)]
    )

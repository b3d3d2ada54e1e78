"""Shape descriptors from outlines with subpixel precision: length, hull, diameters, concavity, signature, dimension.

The pixel border of a mask is a staircase, which is longer than the true border, at some angles by 41 %. Every length
here therefore comes from a smoothed outline. The chain of border pixels (8-connected) is low-pass filtered with Tukey's
twicing (*Exploratory Data Analysis*, 1977: the residual of the first pass is smoothed and added), so that round shapes
hardly shrink. The outline is then moved outwards by half a pixel, the distance from the centre of a border pixel to the
border. The form factor of a digital disc is within 1 % of 1 from a radius of 6 pixels, at any position.

Points are float64, N × 2, x and y in pixels, the centre of the first pixel at (0, 0), in order around the shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_SMOOTHING = 2.0  # standard deviation of the filter in border pixels: two steps of a staircase
_TURN = 20  # border pixels per pixel of smoothing; shapes with fewer would shrink and are smoothed less
_MIN_POINTS = 8  # border pixels; with fewer, the outline is the convex hull of the pixels
_SIGNATURE_POINTS = 128  # samples of the contour signature: enough for eight descriptors of lobed nuclei
DESCRIPTORS = 8
_ANGLES = np.deg2rad(np.arange(0, 180, 0.5))
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
# Number of shifted grids for box counting. Equal steps in x and the golden ratio in y distribute the shifts evenly.
_SHIFTS = 8
_SHIFT_X, _SHIFT_Y = (np.arange(_SHIFTS) + 0.5) / _SHIFTS, np.arange(_SHIFTS) * (np.sqrt(5) - 1) / 2 % 1


def borders(mask: np.ndarray, smallest: float = 0.02) -> list[np.ndarray]:
    """The chains of border pixels of the connected components of a mask, the largest first; without holes.

    Args:
        mask: uint8, H × W, 0 outside.
        smallest: smallest size of a component relative to the largest one, 0-1; smaller ones are segmentation noise.

    Returns:
        Closed chains, each int, N × 2, the first pixel not repeated; none for an empty mask.
    """
    chains, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Pick's theorem gives the number of pixels inside and on a chain, also for a line, which has area 0.
    sizes = np.array([cv2.contourArea(chain) + len(chain) / 2 + 1 for chain in chains])
    return [chains[i][:, 0, :] for i in np.argsort(-sizes) if sizes[i] >= smallest * sizes.max()]


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """The smoothed outlines of the components from `borders`; each N × 2, the first point not repeated."""
    return [_smooth(chain) for chain in borders(mask)]


def _smooth(chain: np.ndarray) -> np.ndarray:
    """Convert border pixels, N × 2, to a smooth outline around the pixels."""
    count = len(chain)
    if count < _MIN_POINTS:  # a dot or a line of a few pixels: use the corners of its pixels
        corners = (chain[:, None, :] + [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]).reshape(-1, 2)
        return cv2.convexHull(corners.astype(np.float32))[:, 0, :].astype(float)
    frequency = 2 * np.pi * np.fft.fftfreq(count)
    gain = np.exp(-0.5 * (min(_SMOOTHING, count / _TURN) * frequency) ** 2)
    waves = np.fft.fft(chain[:, 0] + 1j * chain[:, 1]) * gain * (2 - gain)
    points, along = np.fft.ifft([waves, 1j * frequency * waves])
    # OpenCV traces outer borders anticlockwise in image coordinates, so the outside is to the right.
    outwards = 1j * along / np.maximum(np.abs(along), 1e-9)
    # Half the distance to the next row or column of pixels, depending on the direction of the border.
    points = points + 0.5 * np.maximum(np.abs(outwards.real), np.abs(outwards.imag)) * outwards
    return np.stack([points.real, points.imag], axis=1)


def area(outline: np.ndarray) -> float:
    """Area inside a closed outline, in px²."""
    x, y = outline.T
    return 0.5 * abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]))


def length(outline: np.ndarray) -> float:
    """Length of a closed outline, in px."""
    return float(np.hypot(*np.diff(outline, axis=0, append=outline[:1]).T).sum())


def hull(points: np.ndarray) -> np.ndarray:
    """The corners of the convex hull of points, in order, M × 2."""
    return cv2.convexHull(points.astype(np.float32))[:, 0, :].astype(float)


def feret(corners: np.ndarray) -> tuple[float, float]:
    """Largest and smallest calliper (Feret) diameter of points, M × 2, in px, computed at every half degree."""
    widths = np.ptp(corners @ _DIRECTIONS, axis=0)
    return float(widths.max()), float(widths.min())


def deepest_dent(outline: np.ndarray) -> float:
    """Depth of the deepest concavity: largest distance, in px, of outline points from their side of the convex hull."""
    corners = np.sort(cv2.convexHull(outline.astype(np.float32), returnPoints=False)[:, 0])
    # Each point lies between two hull corners in the order of the outline; the last stretch closes the outline.
    stretch = np.searchsorted(corners, np.arange(len(outline)), side="right") - 1
    start, end = outline[corners[stretch]], outline[np.roll(corners, -1)[stretch]]
    side, point = end - start, outline - start
    across = np.abs(side[:, 0] * point[:, 1] - side[:, 1] * point[:, 0])
    return float((across / np.maximum(np.hypot(*side.T), 1e-9)).max())


def signature(outline: np.ndarray) -> np.ndarray:
    """The centroid distance function: distance from the centroid, divided by its mean, at equal steps of length.

    Returns:
        128 values with mean 1. Rotation, translation or another starting point only shifts the values; scaling does not
        change them.
    """
    points = _resample(outline, _SIGNATURE_POINTS)
    distance = np.hypot(*(points - _centroid(outline)).T)
    return distance / distance.mean()


def descriptors(values: np.ndarray) -> np.ndarray:
    """Fourier descriptors: magnitudes of the first eight Fourier coefficients of a signature, relative to its mean.

    Magnitudes without phases do not depend on the starting point or on the rotation (Zhang & Lu, "Review of shape
    representation and description techniques", 2004, doi:10.1016/j.patcog.2003.07.008).
    """
    spectrum = np.abs(np.fft.rfft(values))
    return spectrum[1 : DESCRIPTORS + 1] / spectrum[0]


def box_dimension(points: np.ndarray, sizes: Sequence[float] | np.ndarray) -> float:
    """Box-counting estimate of the Hausdorff dimension of a set of points.

    It is the slope of log N(s) over log 1/s, where N(s) is the number of boxes of side s that contain a point, as a
    mean over shifted grids (Liebovitch & Toth, "A fast algorithm to determine fractal dimensions by box counting",
    1989, doi:10.1016/0375-9601(89)90854-2). Useful box sizes are between the spacing of the points and about a quarter
    of the shape. Near a quarter, the dimension of areas is underestimated, because boxes at the edge are half empty.

    Args:
        points: float or int, N × 2, N at least 1: pixels of a mask (`np.argwhere(mask)`), or a densely sampled outline.
        sizes: two or more box sides, in the unit of the points, larger than their spacing.

    Returns:
        0 for a point, 1 for a smooth line, 2 for an area, about 1.26 for Koch's curve.
    """
    sides = np.asarray(sizes, float)
    scaled = (points - points.min(axis=0)) / sides[:, None, None]  # sizes × N × 2
    column = (scaled[:, None, :, 0] + _SHIFT_X[:, None]).astype(np.int64)
    row = (scaled[:, None, :, 1] + _SHIFT_Y[:, None]).astype(np.int64)
    wide, high = column.max() + 1, row.max() + 1
    grid = np.arange(len(sides) * _SHIFTS).reshape(len(sides), _SHIFTS, 1)
    taken = np.zeros((len(sides) * _SHIFTS, high * wide), bool)
    taken[grid, row * wide + column] = True
    counts = taken.sum(axis=1).reshape(len(sides), _SHIFTS).mean(axis=1)
    return float(-np.polyfit(np.log(sides), np.log(counts), 1)[0])


def border_dimension(chains: Sequence[np.ndarray], extent: float) -> float:
    """Box-counting dimension of borders, with boxes from 1/32 to 1/4 of their extent in px, independent of scale.

    It is computed from the unsmoothed chains of pixels, because smoothing would remove the roughness that is measured.
    A staircase occupies no more boxes than the line it represents. With fewer pixels, less roughness can be measured.
    """
    sizes = extent / np.array([32, 22.6, 16, 11.3, 8, 5.7, 4])
    # Add points along straight lines, so that no box is missed.
    dense = [_resample(chain, int(4 * length(chain) / sizes[0]) + 1) for chain in chains]
    return box_dimension(np.concatenate(dense), sizes)


def _resample(outline: np.ndarray, count: int) -> np.ndarray:
    """Points at equal steps along a closed outline, count × 2."""
    closed = np.concatenate([outline, outline[:1]])
    travelled = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.arange(count) * travelled[-1] / count
    return np.stack([np.interp(at, travelled, closed[:, 0]), np.interp(at, travelled, closed[:, 1])], axis=1)


def _centroid(outline: np.ndarray) -> np.ndarray:
    """Centroid of the area inside a closed outline: x and y."""
    origin = outline.mean(axis=0)  # near the shape, for numerical precision
    a = outline - origin
    b = np.roll(a, -1, axis=0)
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    return origin + ((a + b) * cross[:, None]).sum(axis=0) / (3 * cross.sum())

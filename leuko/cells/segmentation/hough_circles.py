"""Round objects by their edges: a Hough transform for circles that uses the direction of the gradient.

Every edge pixel votes for the centre of its circle: the point one radius away against the gradient (Kimme, Ballard &
Sklansky, "Finding circles by an array of accumulators", 1975, doi:10.1145/360666.360677). The radius at which votes
coincide best is the typical one, and where they coincide are centres, also of objects that overlap, whose area is no
measure of their size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Self

import cv2
import numpy as np

_SOBEL_GAIN = 8.0  # response of OpenCV's Sobel operator to a slope of 1


@dataclass(frozen=True)
class HoughParameters:
    """Parameters of the Hough transform; lengths are in radii of the expected circle where not stated otherwise.

    The three bounds of plausibility were chosen on 1,105 fields (Aria's training part as it is and in foreign stains
    and sizes, and even-numbered BCCD): two fields lie below one of them, and others little above.

    Attributes:
        working_radius_px: larger objects are scaled down to this radius, which costs no accuracy.
        tested_radii: at which votes are counted, in expected radii.
        centre_radii: at which centres are searched, in typical radii.
        smoothing: standard deviation; finer detail is no edge.
        min_strength: share of the typical edge's strength; weaker edges do not vote.
        vote_spread: standard deviation of the votes for one centre where the radius is measured,
        centre_spread: and where centres are located.
        min_distance: between two centres.
        min_votes: share of a circle's edge that votes for a centre.
        outside: how far beyond the image's border centres are accepted.
        min_steepness: slope of the typical edge × radius / (light of the background − light of the objects).
        min_evenness: slope of the typical edge / typical slope of the background.
        min_coincidence: share of a circle's edge that votes where the typical edge votes.
    """

    working_radius_px: float = 10.0
    tested_radii: tuple[float, ...] = tuple(np.geomspace(0.6, 1.6, 9).tolist())
    centre_radii: tuple[float, ...] = (0.8, 0.93, 1.08, 1.25)
    smoothing: float = 0.08
    min_strength: float = 0.25
    vote_spread: float = 0.2
    centre_spread: float = 0.13
    min_distance: float = 0.5
    min_votes: float = 0.03
    outside: float = 0.6
    min_steepness: float = 1.25
    min_evenness: float = 4.0
    min_coincidence: float = 0.13

    @property
    def margin_px(self) -> int:
        """How far beyond the image votes may fall."""
        return int(self.working_radius_px * self.tested_radii[-1] * self.centre_radii[-1]) + 2


DEFAULTS = HoughParameters()


@dataclass(frozen=True)
class CircleEdges:
    """Edges of dark round objects, in an image scaled so that these have the working radius at most.

    Attributes:
        positions: float32, N × 2: row and column.
        inward: float32, N × 2, of length 1: towards the dark side.
        strengths: float32, N, 0 to 1.
        mask: bool, h × w: where the objects are.
        factor: by which the image was resized.
        radius: expected, px, in the resized image.
        shape: of the image before resizing.
        steepness: slope of the typical edge × radius / (light of the background − light of the objects); 0 where there
            is no free edge or no background, or nothing is darker than the background.
        evenness: slope of the typical edge / typical slope of the background; 0 without a free edge or background.
        parameters: of the transform.
    """

    positions: np.ndarray
    inward: np.ndarray
    strengths: np.ndarray
    mask: np.ndarray
    factor: float
    radius: float
    shape: tuple[int, ...]
    steepness: float
    evenness: float
    parameters: HoughParameters = DEFAULTS

    @classmethod
    def detect(
        cls,
        light: np.ndarray,
        mask: np.ndarray,
        others: np.ndarray,
        radius: float,
        parameters: HoughParameters = DEFAULTS,
    ) -> Self:
        """Detect the edges of round objects in an image.

        Args:
            light: float32, H × W: transmitted light.
            mask: bool, H × W, not empty: where the objects are.
            others: bool, H × W: other objects, whose edges do not vote.
            radius: expected, px.
            parameters: of the transform.
        """
        factor = min(parameters.working_radius_px / radius, 1.0)
        size = (max(round(light.shape[1] * factor), 1), max(round(light.shape[0] * factor), 1))
        level = np.where(others, np.median(light[mask]), light).astype(np.float32)
        small = cv2.resize(level, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), parameters.smoothing * factor * radius)
        regions = _Regions.of(_shrunk(mask, size) > 0.5, _shrunk(others, size) > 0.25)
        slope, direction = _gradient(small)
        typical = np.median(slope[regions.rim]) if regions.rim.any() else slope.max(initial=1e-9)
        steepness, evenness = _edge_statistics(small, slope, typical, regions, factor * radius)
        crest = _crest(slope, direction, parameters.min_strength * typical) & regions.surroundings & regions.free
        crest[[0, -1]] = crest[:, [0, -1]] = False
        x, y = direction
        return cls(
            positions=np.argwhere(crest).astype(np.float32),
            inward=-np.stack([y[crest], x[crest]], axis=1),
            strengths=np.minimum(slope[crest] / max(typical, 1e-9), 1),
            mask=regions.objects,
            factor=factor,
            radius=factor * radius,
            shape=light.shape,
            steepness=steepness,
            evenness=evenness,
            parameters=parameters,
        )

    def typical_radius(self) -> float | None:
        """The radius at which votes coincide best, in pixels of the image; None where there are hardly any edges."""
        if len(self.positions) < 2 * self.radius:
            return None
        radii = np.array(self.parameters.tested_radii)
        scores = [self._coincidence(share * self.radius) for share in radii]
        best = int(np.argmax(scores))
        step = 0.0
        if 0 < best < len(scores) - 1:  # the top of the parabola through three scores
            below, top, above = scores[best - 1 : best + 2]
            step = 0.5 * (below - above) / min(below - 2 * top + above, -1e-9)
        radius = radii[best] * (radii[1] / radii[0]) ** step * self.radius / self.factor
        return round(float(radius), 3)  # the last digits of sums differ between processes

    def is_plausible(self, radius: float) -> bool:
        """Whether the detected circles are plausible red cells.

        Their edges are steep, lie on an even background, and agree on centres.

        Args:
            radius: typical, in pixels of the image.
        """
        return (
            self.steepness >= self.parameters.min_steepness
            and self.evenness >= self.parameters.min_evenness
            and self._coincidence(radius * self.factor) >= self.parameters.min_coincidence
        )

    def centres(self, radius: float) -> np.ndarray:
        """Where votes for objects of about a radius coincide: int, K × 2, rows and columns of the image."""
        parameters = self.parameters
        radius *= self.factor
        votes = reduce(
            np.maximum,
            (self._votes(share * radius, parameters.centre_spread)[0] for share in parameters.centre_radii),
        )
        side = 2 * round(parameters.min_distance * radius) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        peaks = (votes == cv2.dilate(votes, disc)) & (votes > parameters.min_votes)
        tops = np.argwhere(peaks) - parameters.margin_px
        last = np.array(self.mask.shape) - 1
        outside = parameters.outside * radius
        tops = tops[((tops > -outside) & (tops < last + outside)).all(axis=1)].clip(0, last)
        tops = tops[self.mask[tuple(tops.T)]]
        return np.rint((tops + 0.5) / self.factor - 0.5).astype(int).clip(0, np.array(self.shape) - 1)

    def _coincidence(self, radius: float) -> float:
        """How well votes for a radius coincide: 1 if every edge lies on a whole circle."""
        votes, index = self._votes(radius, self.parameters.vote_spread)
        return float(votes.ravel()[index] @ self.strengths / self.strengths.sum())

    def _votes(self, radius: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """The votes for centres at a radius.

        Returns:
            float32, h × w with a margin: the share of a circle's edge that votes for each pixel; and int, N: the flat
            index of every edge's vote.
        """
        margin = self.parameters.margin_px
        height, width = (side + 2 * margin for side in self.mask.shape)
        rows, columns = np.rint(self.positions + radius * self.inward).astype(np.intp).T + margin
        index = rows * width + columns
        votes = np.bincount(index, self.strengths, height * width)
        votes = votes.reshape(height, width).astype(np.float32)
        sigma = spread * radius
        # The peak of a Gaussian is 1 / 2πσ² high; a whole circle of radius r casts 2πr votes.
        return cv2.GaussianBlur(votes, (0, 0), sigma) * (sigma**2 / radius), index


@dataclass(frozen=True)
class _Regions:
    """Regions of the resized image, bool, h × w each.

    Attributes:
        objects: where the round objects are.
        free: away from other objects.
        surroundings: the objects with one pixel around them.
        rim: the border of the objects, away from others.
    """

    objects: np.ndarray
    free: np.ndarray
    surroundings: np.ndarray
    rim: np.ndarray

    @classmethod
    def of(cls, objects: np.ndarray, others: np.ndarray) -> Self:
        square = np.ones((3, 3), np.uint8)
        surroundings = cv2.dilate(objects.view(np.uint8), square) > 0
        free = cv2.dilate(others.view(np.uint8), square) == 0
        inner = cv2.erode(objects.view(np.uint8), square) > 0
        return cls(objects, free, surroundings, surroundings & ~inner & free)

    def background(self) -> np.ndarray:
        """Two pixels and more from the objects, and away from others."""
        return (cv2.dilate(self.surroundings.view(np.uint8), np.ones((3, 3), np.uint8)) == 0) & self.free


def _shrunk(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The share of each pixel of a smaller image that a mask covers; `size` is width and height."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _gradient(level: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The slope (Sobel) of an image, and its direction as x and y of length 1."""
    x, y = cv2.Sobel(level, cv2.CV_32F, 1, 0), cv2.Sobel(level, cv2.CV_32F, 0, 1)
    slope = np.asarray(cv2.magnitude(x, y))
    return slope, (x / np.maximum(slope, 1e-9), y / np.maximum(slope, 1e-9))


def _crest(slope: np.ndarray, direction: tuple[np.ndarray, np.ndarray], min_slope: float) -> np.ndarray:
    """Pixels whose slope is the largest along its own direction (non-maximum suppression), above a minimum."""
    x, y = direction
    rows, columns = np.indices(slope.shape, np.float32)
    crest = slope > min_slope
    for sign in (1, -1):
        crest &= slope >= cv2.remap(slope, columns + sign * x, rows + sign * y, cv2.INTER_LINEAR)
    return crest


def _edge_statistics(
    level: np.ndarray, slope: np.ndarray, typical: float, regions: _Regions, radius: float
) -> tuple[float, float]:
    """Steepness and evenness of `CircleEdges`; `typical` is the slope of the typical edge, `radius` in pixels."""
    every_second = np.s_[::2, ::2]  # pixel, which is enough for a median
    objects = (regions.objects & regions.free)[every_second]
    background = regions.background()[every_second]
    if not (regions.rim.any() and objects.any() and background.any()):
        return 0.0, 0.0
    contrast = np.median(level[every_second][background]) - np.median(level[every_second][objects])
    steepness = float(typical / _SOBEL_GAIN * radius / contrast) if contrast > 0 else 0.0
    return steepness, float(typical / max(np.median(slope[every_second][background]), 1e-9))

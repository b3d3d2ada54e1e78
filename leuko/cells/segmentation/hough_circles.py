"""Round things by their edges: a Hough transform for circles that goes by the gradient.

Every pixel of an edge says where the middle of its circle lies if it has a certain radius: so far away, against the
gradient (Kimme, Ballard & Sklansky, "Finding circles by an array of accumulators", 1975, doi:10.1145/360666.360677).
The radius at which these votes meet best is the usual one, and where they meet are middles; of things that overlap,
too, whose area says little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

RADIUS = 10.0  # px: larger things are made as small, which shows as much
RADII = np.geomspace(0.6, 1.6, 9)  # shares of the radius that is expected, at which votes are counted
NEAR = 0.8, 0.93, 1.08, 1.25  # shares of the usual radius, at which middles are looked for
SOBEL = 8.0  # what the operator makes of a slope of 1
SOFT = 0.08  # radii, sigma: what is finer is no edge
FAINT = 0.25  # of the usual edge's strength: less is no edge
VAGUE = 0.2  # radii, sigma: how far from one another votes for one middle fall
SHARP = 0.13  # the same where middles are looked for
APART = 0.5  # radii between two middles, at least
SEEN = 0.03  # share of a circle's edge, at least, that votes for a middle
OUTSIDE = 0.6  # radii beyond the border of the image where middles still count

# Of 1,105 fields (Aria's training part as it is, in foreign stains and sizes, and even-numbered BCCD) two lie below one
# of these, and others little above.
STEEP = 1.25  # slope of the usual edge × radius / (light of the ground − light of the things)
EVEN = 4.0  # slope of the usual edge / usual slope of the ground
MEET = 0.13  # share of a circle's edge that votes where the usual edge does


@dataclass(frozen=True)
class Edges:
    """Edges of dark round things, in a picture in which these have a radius of `RADIUS` at most.

    Attributes:
        at: float32, N × 2: row and column.
        inward: float32, N × 2, of length 1: towards the dark side.
        weight: float32, N, 0 to 1: how strong they are.
        mask: bool, h × w: where such things are.
        factor: by which the image was resized.
        radius: px, about, in that picture.
        shape: of the image.
        steepness: slope of the usual edge × radius / (light of the ground − light of the things); 0 where there is
            no free edge or no ground, or nothing is darker than it.
        evenness: slope of the usual edge / usual slope of the ground; 0 where there is no free edge or no ground.
    """

    at: np.ndarray
    inward: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    factor: float
    radius: float
    shape: tuple[int, ...]
    steepness: float
    evenness: float

    @classmethod
    def of(cls, light: np.ndarray, mask: np.ndarray, others: np.ndarray, radius: float) -> Edges:
        """The edges of round things in an image.

        Args:
            light: float32, H × W.
            mask: bool, H × W, not empty: where the things are.
            others: bool, H × W: what is something else, and its edges with it.
            radius: px, about.
        """
        factor = min(RADIUS / radius, 1.0)
        size = tuple(max(round(side * factor), 1) for side in light.shape[::-1])
        level = np.where(others, np.median(light[mask]), light).astype(np.float32)
        level = cv2.GaussianBlur(cv2.resize(level, size, interpolation=cv2.INTER_AREA), (0, 0), SOFT * factor * radius)
        here = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        there = cv2.resize(others.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.25
        x, y = cv2.Sobel(level, cv2.CV_32F, 1, 0), cv2.Sobel(level, cv2.CV_32F, 0, 1)
        steep = cv2.magnitude(x, y)
        x, y = x / np.maximum(steep, 1e-9), y / np.maximum(steep, 1e-9)
        square = np.ones((3, 3), np.uint8)
        wide = cv2.dilate(here.view(np.uint8), square) > 0
        free = cv2.dilate(there.view(np.uint8), square) == 0
        rim = wide & ~(cv2.erode(here.view(np.uint8), square) > 0) & free
        usual = np.median(steep[rim]) if rim.any() else steep.max(initial=1e-9)
        steepness = evenness = 0.0
        some = np.s_[::2, ::2]  # pixels: they tell a median as well as all do
        things = (here & free)[some]
        ground = ((cv2.dilate(wide.view(np.uint8), square) == 0) & free)[some]
        if rim.any() and things.any() and ground.any():
            darker = np.median(level[some][ground]) - np.median(level[some][things])
            steepness = float(usual / SOBEL * factor * radius / darker) if darker > 0 else 0.0
            evenness = float(usual / max(np.median(steep[some][ground]), 1e-9))
        rows, columns = np.indices(steep.shape, np.float32)
        crest = steep > FAINT * usual
        for way in (1, -1):
            crest &= steep >= cv2.remap(steep, columns + way * x, rows + way * y, cv2.INTER_LINEAR)
        crest &= wide & free
        crest[[0, -1]] = crest[:, [0, -1]] = False
        inward = -np.stack([y[crest], x[crest]], axis=1)
        weight = np.minimum(steep[crest] / max(usual, 1e-9), 1)
        at = np.argwhere(crest).astype(np.float32)
        return cls(at, inward, weight, here, factor, factor * radius, light.shape, steepness, evenness)

    def usual_radius(self) -> float | None:
        """The radius at which votes meet best, in pixels of the image; None where there are hardly any edges."""
        if len(self.at) < 2 * self.radius:
            return None
        scores = [self._meet(share * self.radius) for share in RADII]
        best = int(np.argmax(scores))
        step = 0.0
        if 0 < best < len(scores) - 1:  # the top of the parabola through three scores
            below, top, above = scores[best - 1 : best + 2]
            step = 0.5 * (below - above) / min(below - 2 * top + above, -1e-9)
        radius = RADII[best] * (RADII[1] / RADII[0]) ** step * self.radius / self.factor
        return round(float(radius), 3)  # the last digits of sums are not the same in every process

    def bear_out(self, radius: float) -> bool:
        """Whether there are such things at all: steep edges on even ground that agree on middles a radius away."""
        return self.steepness >= STEEP and self.evenness >= EVEN and self._meet(radius * self.factor) >= MEET

    def middles(self, radius: float) -> np.ndarray:
        """Where votes for things of about a radius meet: int, K × 2, rows and columns of the image."""
        radius *= self.factor
        votes = reduce(np.maximum, (self._votes(share * radius, SHARP)[0] for share in NEAR))
        side = 2 * round(APART * radius) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        tops = np.argwhere((votes == cv2.dilate(votes, disc)) & (votes > SEEN)) - _MARGIN
        last = np.array(self.mask.shape) - 1
        tops = tops[((tops > -OUTSIDE * radius) & (tops < last + OUTSIDE * radius)).all(axis=1)].clip(0, last)
        tops = tops[self.mask[tuple(tops.T)]]
        return np.rint((tops + 0.5) / self.factor - 0.5).astype(int).clip(0, np.array(self.shape) - 1)

    def _meet(self, radius: float) -> float:
        """How well votes for a radius meet: 1 if every edge lies on a whole circle."""
        votes, place = self._votes(radius, VAGUE)
        return float(votes.ravel()[place] @ self.weight / self.weight.sum())

    def _votes(self, radius: float, vague: float) -> tuple[np.ndarray, np.ndarray]:
        """For every pixel, with a margin around, the share of a circle's edge that votes for it, float32; and where
        every edge's vote fell, int, N, counted along the rows."""
        height, width = (side + 2 * _MARGIN for side in self.mask.shape)
        rows, columns = np.rint(self.at + radius * self.inward).astype(np.intp).T + _MARGIN
        place = rows * width + columns
        votes = np.bincount(place, self.weight, height * width)
        votes = votes.reshape(height, width).astype(np.float32)
        sigma = vague * radius
        # At its top a Gaussian is 1 / 2πσ² high; of a whole circle of radius r there are 2πr votes.
        return cv2.GaussianBlur(votes, (0, 0), sigma) * (sigma**2 / radius), place


_MARGIN = int(RADIUS * RADII[-1] * NEAR[-1]) + 2  # px, so far votes fall beyond the image

"""Propose pairs of images that may show the same part of a slide, by matching local features.

Local features (SIFT: Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94; as RootSIFT: Arandjelović & Zisserman 2012,
doi:10.1109/CVPR.2012.6248018) hardly change when an image is shifted, cropped, rotated or resized. An inverted file
(Sivic & Zisserman 2003, doi:10.1109/ICCV.2003.1238663) gives the most similar features of other images. Two images are
proposed as a pair if several of their matching features agree on one similarity transform.
`leuko.data.cleaning.overlaps` then checks whether the pixels agree.

Constants were chosen on synthetic overlaps, rotations and crops of even-numbered files of Aria and BCCD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from sklearn.cluster import MiniBatchKMeans

SIDE = 176  # pixels: larger images are reduced to the area of a square of this side
FEATURES = 100  # features kept of each image: those with the highest contrast
TOTAL = 2_000_000  # largest number of features of all images; with over 20,000 images, fewer are kept of each
FEWEST = 20  # smallest number of features kept of each image, for any number of images
CONTRAST = 0.02  # smallest contrast of a feature, as a share of the range of grey values
LENGTH = 128  # numbers in a descriptor
COMPONENTS = 32  # principal components of the descriptors that are compared
CELL = 500  # descriptors in a cell of the inverted file, on average
PROBES = 2  # nearest cells in which each descriptor is searched
NEIGHBOURS = 3  # most similar descriptors of other images that are used as matches
MIN_COSINE = 0.88  # smallest cosine of two matching descriptors
MIN_MATCHES = 4  # smallest number of matches between two images that agree on one transform
MAX_SCALE = 4  # largest scale factor between two images
PER_IMAGE = 12  # largest number of proposed pairs of an image
_SAMPLE = 50_000  # descriptors from which components and cells are learned
_CHUNK = 8192  # descriptors that are compared with all centres at a time


@dataclass(frozen=True)
class Proposal:
    """Two images that may show the same part of a slide.

    Attributes:
        a, b: rows, a < b.
        transform: float, 2 × 3: maps positions in a to positions in b, both relative to the width and the height.
        matches: number of features that agree on the transform; 0 if it was not found by features.
    """

    a: int
    b: int
    transform: np.ndarray
    matches: int


class Keypoints:
    """Local features of images, 15 kB each, added one by one."""

    def __init__(self, count: int) -> None:
        """Allocate memory for the rows 0 to `count` − 1; rows that are never added have no matches."""
        self._most = int(np.clip(TOTAL // max(count, 1), FEWEST, FEATURES))
        self._places: list[np.ndarray] = [np.empty((0, 4), np.float32)] * count
        self._descriptors: list[np.ndarray] = [np.empty((0, LENGTH), np.uint8)] * count
        self._sides = np.ones((count, 2))  # width and height, in units of the longer side; positions use the same unit

    def add(self, row: int, image: np.ndarray) -> None:
        """Find the features of a row's image, uint8, H × W × 3, RGB."""
        grey = reduced_grey(image)
        sift = cv2.SIFT.create(nfeatures=self._most, contrastThreshold=CONTRAST)
        found, descriptors = sift.detectAndCompute(grey, None)
        if not found:
            return
        found, descriptors = found[: self._most], descriptors[: self._most]  # more are returned if contrasts are equal
        longer = max(grey.shape)
        self._sides[row] = np.divide(grey.shape[::-1], longer)
        self._places[row] = np.array(
            [(*np.divide(k.pt, longer), np.log(k.size / longer), np.deg2rad(k.angle)) for k in found], np.float32
        )
        root = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1))
        self._descriptors[row] = np.rint(root * 255).astype(np.uint8)

    def proposals(self) -> list[Proposal]:
        """Pairs of rows whose features agree, sorted by the number of matches, highest first; each pair once."""
        counts = np.array([len(d) for d in self._descriptors])
        if np.count_nonzero(counts) < 2:
            return []
        starts = np.cumsum(counts) - counts
        owner = np.repeat(np.arange(len(counts)), counts)
        found = []
        for ours, theirs, mirrored in _matches(np.concatenate(self._descriptors), owner):
            pair = owner[ours] * len(counts) + owner[theirs]
            order = np.argsort(pair, kind="stable")
            borders = np.flatnonzero(np.diff(pair[order], prepend=-1, append=-1))
            many = np.diff(borders) >= MIN_MATCHES
            for first, last in zip(borders[:-1][many], borders[1:][many], strict=True):
                some = order[first:last]
                a, b = int(owner[ours[some[0]]]), int(owner[theirs[some[0]]])
                places = self._places[a][ours[some] - starts[a]], self._places[b][theirs[some] - starts[b]]
                agreed = _agreed_transform(*places, mirrored)
                if agreed is not None:
                    transform, number = agreed
                    transform[:, :2] *= self._sides[a]
                    found.append(Proposal(a, b, transform / self._sides[b][:, None], number))
        return list(_best(found))


def reduced_grey(image: np.ndarray) -> np.ndarray:
    """Convert an image (uint8, H × W × 3, RGB) to grey, uint8, reduced to an area of at most `SIDE`² pixels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = SIDE / np.sqrt(grey.size)
    size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
    return grey if scale >= 1 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def _mirrored(descriptors: np.ndarray) -> np.ndarray:
    """The descriptors, N × 128, of the mirrored image: rows are exchanged and directions change their sign."""
    grid = descriptors.reshape(-1, 4, 4, 8)
    return grid[:, ::-1, :, -np.arange(8) % 8].reshape(descriptors.shape)


def _matches(descriptors: np.ndarray, owner: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Similar descriptors of different images: indices in the lower and in the higher row; whether mirrored."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(descriptors), min(_SAMPLE, len(descriptors)), replace=False))
    sample = descriptors[chosen].astype(np.float32)
    mean = sample.mean(axis=0)
    axes = np.linalg.eigh(np.cov(sample - mean, rowvar=False))[1][:, -COMPONENTS:].astype(np.float32)
    project = partial(_project, mean=mean, axes=axes)
    points = project(descriptors)
    cells = max(1, len(points) // CELL)
    centres = points[chosen[:1]]
    if cells > 1:
        means = MiniBatchKMeans(cells, n_init=1, max_iter=3, batch_size=_CHUNK, init="random", random_state=0)
        centres = means.fit(points[chosen]).cluster_centers_
    near = _nearest_centres(points, centres)
    members = _by_cell(near[:, 0], cells)
    for mirrored in (False, True):
        queries = project(_mirrored(descriptors)) if mirrored else points
        asked = _nearest_centres(queries, centres) if mirrored else near
        ours, theirs = _search(queries, asked, points, members, owner)
        swap = owner[ours] > owner[theirs]
        both = np.unique(np.where(swap, theirs, ours) * len(points) + np.where(swap, ours, theirs))
        yield both // len(points), both % len(points), mirrored


def _project(descriptors: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Principal components of descriptors, normalised to length 1; float32, N × `COMPONENTS`."""
    points = np.empty((len(descriptors), axes.shape[1]), np.float32)
    for start in range(0, len(points), _CHUNK):
        some = slice(start, start + _CHUNK)
        points[some] = (descriptors[some].astype(np.float32) - mean) @ axes
        points[some] /= np.maximum(np.linalg.norm(points[some], axis=1, keepdims=True), 1e-6)
    return points


def _nearest_centres(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The `PROBES` nearest centres of each point, the nearest first; int, N × at most `PROBES`."""
    half = (centres**2).sum(axis=1) / 2
    nearest = np.empty((len(points), min(PROBES, len(centres))), np.int32)
    for start in range(0, len(points), _CHUNK):
        distance = half - points[start : start + _CHUNK] @ centres.T
        for column in range(nearest.shape[1]):
            best = distance.argmin(axis=1)
            nearest[start : start + _CHUNK, column] = best
            distance[np.arange(len(best)), best] = np.inf
    return nearest


def _by_cell(cell: np.ndarray, cells: int) -> list[np.ndarray]:
    order = np.argsort(cell, kind="stable")
    return np.split(order, np.searchsorted(cell[order], np.arange(1, cells)))


def _search(
    queries: np.ndarray, asked: np.ndarray, points: np.ndarray, members: list[np.ndarray], owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the queries, M, and of their most similar points of other images in the searched cells, M."""
    ours, theirs = [], []
    for probe in asked.T:
        for query, member in zip(_by_cell(probe, len(members)), members, strict=True):
            cosine = queries[query] @ points[member].T
            place = np.flatnonzero(cosine > MIN_COSINE)
            row, column = np.divmod(place, len(member)) if len(place) else (place, place)
            other = owner[query[row]] != owner[member[column]]
            row, column, value = row[other], column[other], cosine.ravel()[place[other]]
            order = np.lexsort((-value, row))
            row, column = row[order], column[order]
            rank = np.arange(len(row)) - np.searchsorted(row, row)
            ours.append(query[row[rank < NEIGHBOURS]])
            theirs.append(member[column[rank < NEIGHBOURS]])
    return np.concatenate(ours), np.concatenate(theirs)


def _agreed_transform(a: np.ndarray, b: np.ndarray, mirrored: bool) -> tuple[np.ndarray, int] | None:
    """The similarity transform that most matches agree on, and their number; None if there are too few.

    Each match, with the sizes and directions of its two features, is a hypothesis for the transform. The hypothesis
    that most other matches agree with is refined by least squares. Positions are complex numbers, so that one complex
    factor rotates and scales.

    Args:
        a, b: float, M × 4: position (x, y), logarithm of the size, direction of each matching feature.
        mirrored: whether b is a mirror image of a.
    """
    ours, theirs, direction = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1], a[:, 3]
    if mirrored:
        ours, direction = -ours.conj(), np.pi - direction
    factors = np.exp(b[:, 2] - a[:, 2] + 1j * (b[:, 3] - direction))
    between = ours[None] - ours[:, None]
    error = np.abs(theirs[None] - theirs[:, None] - factors[:, None] * between)
    differ = np.log(factors[None] / factors[:, None])
    votes = error < 0.03 + 0.2 * np.abs(factors[:, None] * between)
    votes &= (np.abs(differ.real) < 0.4) & (np.abs(differ.imag) < 0.4)
    agree = votes[votes.sum(axis=1).argmax()]
    factor = offset = 0j
    for tolerance in (0.04, 0.02, 0.02):
        if min(len(np.unique(ours[agree])), len(np.unique(theirs[agree]))) < MIN_MATCHES:
            return None
        x, y = ours[agree], theirs[agree]
        away = x - x.mean()
        factor = (away.conj() * (y - y.mean())).sum() / max((np.abs(away) ** 2).sum(), 1e-9)
        offset = y.mean() - factor * x.mean()
        agree = np.abs(factor * ours + offset - theirs) < tolerance * max(1, abs(factor))
    matches = min(len(np.unique(ours[agree])), len(np.unique(theirs[agree])))
    if matches < MIN_MATCHES or not 1 / MAX_SCALE < abs(factor) < MAX_SCALE:
        return None
    (re, im), sign = (factor.real, factor.imag), -1 if mirrored else 1
    return np.array([[sign * re, -im, offset.real], [sign * im, re, offset.imag]]), matches


def _best(proposals: list[Proposal]) -> Iterator[Proposal]:
    """The proposals with the most matches; each pair once, each row in at most `PER_IMAGE` proposals."""
    used: Counter[int] = Counter()
    pairs = set()
    for proposal in sorted(proposals, key=lambda p: -p.matches):
        pair = proposal.a, proposal.b
        if pair not in pairs and max(used[row] for row in pair) < PER_IMAGE:
            pairs.add(pair)
            used.update(pair)
            yield proposal

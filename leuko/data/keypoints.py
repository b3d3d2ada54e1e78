"""Which images may show the same part of a slide: local features, and the pairs of images whose features agree.

Scale-invariant features (SIFT: Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94; RootSIFT: Arandjelović & Zisserman
2012) do not change when an image is shifted, cropped, turned or resized. Each feature is compared with the features of
all other images in its cells of an inverted file. A pair of images is proposed if several of its matches agree on one
similarity transform. `leuko.data.overlaps` then looks at the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.cluster import MiniBatchKMeans

SIDE = 176  # pixels, the side of a square of the area at which features are sought
FEATURES = 150  # kept of each image, those of the highest contrast
CONTRAST = 0.02  # of a feature, at least, of the range of grey values
LENGTH = 128  # numbers in a descriptor
REDUCED = 48  # of its principal components that are compared
CELL = 800  # descriptors in a cell of the inverted file, on average
PROBES = 3  # nearest cells in which each descriptor is looked for
NEIGHBOURS = 3  # most alike descriptors of other images that count as matches
MIN_COSINE = 0.88  # of two descriptors that match
MIN_MATCHES = 4  # between two images, all on one transform
PER_IMAGE = 12  # pairs proposed for an image, at most
_SAMPLE = 50_000  # descriptors from which components and cells are learned


@dataclass(frozen=True)
class Proposal:
    """Two images that may show the same part of a slide.

    Attributes:
        a, b: rows, a < b.
        transform: float, 2 × 3: from shares of a's longer side to shares of b's.
        matches: features that agree on it.
    """

    a: int
    b: int
    transform: np.ndarray
    matches: int


class Keypoints:
    """Local features of images, at most 22 kB each, fed one by one."""

    def __init__(self, count: int) -> None:
        """Make room for the rows 0 to `count` − 1; those never added are like no other."""
        self._place: list[np.ndarray] = [np.empty((0, 4), np.float32)] * count
        self._descriptor: list[np.ndarray] = [np.empty((0, LENGTH), np.uint8)] * count

    def add(self, row: int, image: np.ndarray) -> None:
        """Find the features of a row's image, uint8, H × W × 3, RGB."""
        grey = shrink(image, SIDE)
        sift = cv2.SIFT_create(nfeatures=FEATURES, contrastThreshold=CONTRAST)
        found, descriptor = sift.detectAndCompute(grey, None)
        if not found:
            return
        longer = max(grey.shape)
        self._place[row] = np.array(
            [(*np.divide(k.pt, longer), np.log(k.size / longer), np.deg2rad(k.angle)) for k in found], np.float32
        )[:FEATURES]
        root = np.sqrt(descriptor / np.maximum(descriptor.sum(axis=1, keepdims=True), 1))
        self._descriptor[row] = np.rint(root * 255)[:FEATURES].astype(np.uint8)

    def propose(self) -> Iterator[Proposal]:
        """Pairs of images that share features, each once."""
        count = np.array([len(d) for d in self._descriptor])
        if (count > 0).sum() < 2:
            return
        start = np.concatenate([[0], np.cumsum(count)])
        owner = np.repeat(np.arange(len(count)), count)
        descriptor = np.concatenate(self._descriptor)
        proposals = []
        for mirrored in (False, True):
            ours, theirs = _match(descriptor, owner, mirrored)
            pair = owner[ours].astype(np.int64) * len(count) + owner[theirs]
            order = np.argsort(pair, kind="stable")
            borders = np.flatnonzero(np.diff(pair[order], prepend=-1, append=-1))
            for first, last in zip(borders[:-1], borders[1:], strict=True):
                if last - first < MIN_MATCHES:
                    continue
                some = order[first:last]
                a, b = int(owner[ours[some[0]]]), int(owner[theirs[some[0]]])
                placed = self._place[a][ours[some] - start[a]], self._place[b][theirs[some] - start[b]]
                found = _agree(*placed, mirrored)
                if found is not None:
                    proposals.append(Proposal(a, b, *found))
        yield from _best(proposals)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Grey, uint8, of the area of a square of `side` pixels; smaller images keep their size."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = side / np.sqrt(grey.size)
    return grey if scale >= 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _mirror(descriptor: np.ndarray) -> np.ndarray:
    """The descriptors, N × 128, of the mirrored image: rows change places, and directions their sign."""
    grid = descriptor.reshape(-1, 4, 4, 8)
    return grid[:, ::-1, :, -np.arange(8) % 8].reshape(len(descriptor), -1)


def _match(descriptor: np.ndarray, owner: np.ndarray, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of descriptors that are alike, of different images, the one of the lower row first; M and M."""
    rng = np.random.default_rng(0)
    sample = descriptor[rng.choice(len(descriptor), min(_SAMPLE, len(descriptor)), replace=False)].astype(np.float32)
    mean = sample.mean(axis=0)
    axes = np.linalg.eigh(np.cov((sample - mean).T))[1][:, ::-1][:, :REDUCED].astype(np.float32)

    def reduced(some: np.ndarray) -> np.ndarray:
        projected = (some.astype(np.float32) - mean) @ axes
        return projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6)

    cells = max(1, len(descriptor) // CELL)
    centres = np.zeros((1, REDUCED), np.float32)
    if cells > 1:
        means = MiniBatchKMeans(cells, n_init=1, max_iter=5, batch_size=8192, init="random", random_state=0)
        centres = means.fit(reduced(sample)).cluster_centers_.astype(np.float32)
    points = reduced(descriptor)
    queries = reduced(_mirror(descriptor)) if mirrored else points
    home = _nearest(points, centres, 1)[:, 0]
    asked = _nearest(queries, centres, min(PROBES, cells))
    members = _by_cell(home, cells)
    best = np.full((len(descriptor), NEIGHBOURS), -1, np.int64)
    score = np.full((len(descriptor), NEIGHBOURS), MIN_COSINE, np.float32)
    for probe in asked.T:
        for query, member in zip(_by_cell(probe, cells), members, strict=True):
            if not len(query) or not len(member):
                continue
            cosine = queries[query] @ points[member].T
            row, column = np.nonzero(cosine > MIN_COSINE)
            other = owner[query[row]] != owner[member[column]]
            row, column = row[other], column[other]
            value = cosine[row, column]
            for turn in range(NEIGHBOURS):  # the best of each query, then the second, …
                if not len(row):
                    break
                order = np.lexsort((-value, row))
                first = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
                _insert(best, score, query[row[first]], member[column[first]], value[first])
                left = np.ones(len(row), bool)
                left[first] = False
                row, column, value = row[left], column[left], value[left]
    ours, rank = np.nonzero(best >= 0)
    theirs = best[ours, rank]
    if mirrored:
        # A mirrored descriptor of the higher row that is like one of the lower row says the same.
        pass
    swap = owner[ours] > owner[theirs]
    ours, theirs = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
    both = np.unique(ours * len(descriptor) + theirs)
    return both // len(descriptor), both % len(descriptor)


def _insert(best: np.ndarray, score: np.ndarray, query: np.ndarray, member: np.ndarray, value: np.ndarray) -> None:
    """Note one more neighbour of each query in place of its worst one, if it is better."""
    worst = score[query].argmin(axis=1)
    better = value > score[query, worst]
    query, worst = query[better], worst[better]
    best[query, worst], score[query, worst] = member[better], value[better]


def _nearest(points: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """The nearest centres of each point; int, N × count."""
    half = (centres**2).sum(axis=1) / 2
    found = np.empty((len(points), count), np.int32)
    for start in range(0, len(points), 8192):
        distance = half - points[start : start + 8192] @ centres.T
        found[start : start + 8192] = np.argpartition(distance, count - 1, axis=1)[:, :count]
    return found


def _by_cell(cell: np.ndarray, cells: int) -> list[np.ndarray]:
    order = np.argsort(cell, kind="stable")
    return np.split(order, np.searchsorted(cell[order], np.arange(1, cells)))


def _agree(a: np.ndarray, b: np.ndarray, mirrored: bool) -> tuple[np.ndarray, int] | None:
    """The similarity transform that most matches agree on, and how many; None if they are too few.

    Args:
        a, b: float, M × 4: place, logarithm of the size, direction of each matching feature.
        mirrored: whether b is a mirrored image of the same thing.
    """
    ours = a[:, 0] + 1j * a[:, 1]
    theirs = b[:, 0] + 1j * b[:, 1]
    angle = a[:, 3]
    if mirrored:
        ours, angle = -ours.conj(), np.pi - angle
    turn = np.exp(b[:, 2] - a[:, 2] + 1j * (b[:, 3] - angle))  # each match is a hypothesis
    apart = ours[None] - ours[:, None]
    error = np.abs(theirs[None] - theirs[:, None] - turn[:, None] * apart)
    ratio = np.log(turn[None] / turn[:, None])
    close = error < 0.2 * np.abs(turn)[:, None] * np.abs(apart) + 0.03
    votes = close & (np.abs(ratio.real) < 0.4) & (np.abs(ratio.imag) < 0.4)
    inlier = votes[votes.sum(axis=1).argmax()]
    for tolerance in (0.04, 0.02, 0.02):
        if inlier.sum() < MIN_MATCHES:
            return None
        x, y = ours[inlier], theirs[inlier]
        centred = x - x.mean()
        spread = (np.abs(centred) ** 2).sum()
        if spread < 1e-6:
            return None
        factor = (centred.conj() * (y - y.mean())).sum() / spread
        offset = y.mean() - factor * x.mean()
        inlier = np.abs(factor * ours + offset - theirs) < tolerance * max(1, abs(factor))
    number = min(len(np.unique(ours[inlier])), len(np.unique(theirs[inlier])))
    if number < MIN_MATCHES or not 1 / 4 < abs(factor) < 4:
        return None
    sign = -1 if mirrored else 1
    re, im = factor.real, factor.imag
    return np.array([[sign * re, -im, offset.real], [sign * im, re, offset.imag]]), number


def _best(proposals: list[Proposal]) -> Iterator[Proposal]:
    """Those of most matches, at most `PER_IMAGE` of any image, each pair of images once."""
    used: dict[int, int] = {}
    seen = set()
    for proposal in sorted(proposals, key=lambda p: -p.matches):
        pair = proposal.a, proposal.b
        if pair in seen or max(used.get(row, 0) for row in pair) >= PER_IMAGE:
            continue
        seen.add(pair)
        for row in pair:
            used[row] = used.get(row, 0) + 1
        yield proposal

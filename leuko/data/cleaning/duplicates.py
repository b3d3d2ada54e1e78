"""Find duplicates (including edited copies) and overlapping fields.

Two detectors propose pairs:

- A perceptual hash: the lowest coefficients of the cosine transform (after Zauner, "Implementation and benchmarking of
  perceptual image hash functions", 2010). It finds copies of the whole picture (re-compressed, resized, slightly
  cropped, rotated by multiples of 90°, mirrored, brightened), even in images with few details. The hashes of the eight
  orientations of a picture differ only by signs and by transposition.
- Local features (`leuko.data.cleaning.keypoint_matching`). They find copies that are rotated by any angle or cropped to
  a part, and overlapping fields of one slide.

A pair is accepted only if its pixels, decoded again, agree where both images show something
(`leuko.data.cleaning.overlaps`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leuko.data.cleaning.keypoint_matching import Keypoints, Proposal, reduced_grey
from leuko.data.cleaning.overlaps import Overlap, confirm, shows
from leuko.system.threads import in_order

THUMB = 32  # pixels, the side of the thumbnail that is kept of every row
HASH = 8  # coefficients along each axis
CANDIDATES = 6  # the most similar rows that are checked, for each row
MIN_HASH = 0.5  # cosine of the hashes of a candidate pair
MIN_THUMB = 0.88  # correlation of the aligned thumbnails
MAX_SHIFT = 0.15  # share of the side by which a corner may move: allows crops of about 5 % at every edge
MIN_SHOWN = 0.95  # share of an image that is not black surround; below it, the hash depends mostly on the outline
SAME = 0.9  # smallest share of one picture that the other also shows, for both to be the same picture
_BLOCK = 256  # rows whose hashes are compared at a time


@dataclass(frozen=True)
class Duplicates:
    """The duplicates of a data set: rows that show the same picture or parts of the same field.

    Attributes:
        exact: sets of two and more rows with identical pixels, each ascending.
        near: sets of two and more rows that show the same picture, each ascending; includes the exact duplicates.
        overlaps: pairs of rows that share a part, but are not the same picture, ascending.
        picture: int, N: the first row of the row's set in `near`; its own number if it is in no set.
        field: int, N: the first row of the row's connected component, where copies and overlaps are the edges. A split
            must keep rows with the same number together.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]
    overlaps: tuple[Overlap, ...]
    picture: np.ndarray
    field: np.ndarray


class Fingerprints:
    """Fingerprints of images, 17 kB each, added one by one."""

    def __init__(self, count: int) -> None:
        """Allocate memory for the rows 0 to `count` − 1; rows that are never added have no duplicates."""
        self._digest: list[bytes | None] = [None] * count
        self._thumb = np.zeros((count, THUMB, THUMB), np.int8)
        self._hash = np.zeros((count, HASH * HASH), np.float32)
        self._seen: set[bytes] = set()
        self._full = np.zeros(count, bool)  # rows without a black surround
        self._keypoints = Keypoints(count)

    def add(self, row: int, image: np.ndarray) -> None:
        """Compute the fingerprint of a row's image, uint8, H × W × 3, RGB."""
        digest = hashlib.blake2b(
            np.ascontiguousarray(image).data, digest_size=16, salt=str(image.shape[:2]).encode()[:16]
        ).digest()
        self._digest[row] = digest
        if digest not in self._seen:  # an exact copy has the same matches as the first one
            self._seen.add(digest)
            self._keypoints.add(row, image)
        grey = _shrink(image, THUMB)
        self._full[row] = shows(grey).mean() >= MIN_SHOWN
        thumb = _normalised(grey)
        self._thumb[row] = np.clip(np.rint(thumb * 40), -127, 127)
        low = cv2.dct(thumb)[:HASH, :HASH].copy()
        low[0, 0] = 0
        self._hash[row] = (low / max(float(np.linalg.norm(low)), 1e-6)).ravel()

    def find(self, open: Callable[[int], np.ndarray]) -> Duplicates:
        """Find the duplicates among the added rows.

        Args:
            open: decodes the image of a row again.
        """
        first: dict[bytes, int] = {}
        copies = [(first.setdefault(d, row), row) for row, d in enumerate(self._digest) if d is not None]
        exact = _sets(copies, len(self._digest))
        distinct = np.array(sorted(first.values()), dtype=int)
        shared = self._shared(distinct, open)
        same = [(o.a, o.b) for o in shared if max(o.of_a, o.of_b) >= SAME]
        near = _sets(copies + same, len(self._digest))
        linked = _sets(copies + [(o.a, o.b) for o in shared], len(self._digest))
        picture, field = _first(near, len(self._digest)), _first(linked, len(self._digest))
        overlaps = tuple(o for o in shared if picture[o.a] != picture[o.b])
        return Duplicates(exact, near, overlaps, picture, field)

    def _shared(self, rows: np.ndarray, open: Callable[[int], np.ndarray]) -> list[Overlap]:
        """The pairs that a detector proposes and the pixels confirm, sorted by row."""
        proposed = {(p.a, p.b): [p] for p in self._keypoints.proposals()}
        for a, b, orientation in self._candidates(rows[self._full[rows]]):
            transform = self._overlay(a, b, orientation)
            if transform is not None:
                proposed.setdefault((a, b), []).append(Proposal(a, b, transform, 0))
        grey = lru_cache(maxsize=512)(lambda row: reduced_grey(open(row)))

        def check(proposals: list[Proposal]) -> Overlap | None:
            overlaps = (confirm(p, grey(p.a), grey(p.b)) for p in proposals)
            return next((overlap for overlap in overlaps if overlap is not None), None)

        in_turn = [proposed[pair] for pair in sorted(proposed)]  # sorted, for a better use of the cache
        return [overlap for overlap in in_order(check, in_turn) if overlap is not None]

    def _candidates(self, rows: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """Pairs a < b of rows with similar hashes, and the orientation of b that resembles a."""
        hashes = self._hash[rows]
        seen = set()
        for start in range(0, len(rows), _BLOCK):
            block = hashes[start : start + _BLOCK]
            best = np.full((len(block), len(rows)), -1, np.float32)
            which = np.zeros(best.shape, np.uint8)
            for orientation in range(8):  # a in the inverse orientation is compared with b
                cosine = _orient_hash(block, _INVERSE[orientation]) @ hashes.T
                better = cosine > best
                np.copyto(best, cosine, where=better)
                np.copyto(which, np.uint8(orientation), where=better)
            best[np.arange(len(block)), start + np.arange(len(block))] = -1
            count = min(CANDIDATES, len(rows) - 1)
            for i, near in enumerate(np.argpartition(-best, count, axis=1)[:, :count] if count else []):
                for j in near[best[i, near] > MIN_HASH]:
                    a, b, orientation = start + i, int(j), int(which[i, j])
                    if b < a:
                        a, b, orientation = b, a, _INVERSE[orientation]
                    if (a, b) not in seen:
                        seen.add((a, b))
                        yield int(rows[a]), int(rows[b]), orientation

    def _overlay(self, a: int, b: int, orientation: int) -> np.ndarray | None:
        """The affine map, 2 × 3, from a to b in relative coordinates; None if their thumbnails disagree."""
        over = _align(self._thumb[a].astype(np.float32), _orient(self._thumb[b].astype(np.float32), orientation))
        if over is None or over[1] <= MIN_THUMB:
            return None
        return (_UNDO[orientation] @ np.vstack([over[0], [0, 0, 1]]))[:2]


def _align(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Align b with a: the map from a to b in relative coordinates, and the correlation in the common area.

    None if no such map is found, or if it moves a corner by more than `MAX_SHIFT`.
    """
    side = len(a)
    identity = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
    try:
        _, warp = cv2.findTransformECC(a, b, identity, cv2.MOTION_AFFINE, criteria, np.full(b.shape, 255, np.uint8), 3)
    except cv2.error:  # no convergence: the pictures have nothing in common
        return None
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]], np.float32)
    if np.abs(corners @ warp.T - corners[:, :2]).max() > MAX_SHIFT * side:
        return None
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(b, warp, (side, side), flags=flags)
    both = cv2.warpAffine(np.ones_like(b), warp, (side, side), flags=flags) > 0.99
    correlation = float(np.corrcoef(a[both], moved[both])[0, 1])
    warp[:, 2] = warp[:, 2] / side
    return warp, correlation


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)


def _normalised(grey: np.ndarray) -> np.ndarray:
    """The image with normalised brightness and contrast; float32."""
    grey = grey.astype(np.float32)
    return (grey - grey.mean()) / max(grey.std(), 1)


def _orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image in one of eight orientations: bit 0 mirrors left-right, bit 1 top-bottom, bit 2 transposes."""
    if orientation & 1:
        image = image[:, ::-1]
    if orientation & 2:
        image = image[::-1]
    return np.ascontiguousarray(image.T if orientation & 4 else image)


# The inverse of each orientation. With a transposition, the two mirrors are exchanged.
_INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)


def _undo(orientation: int) -> np.ndarray:
    """The map, 3 × 3, in relative coordinates, from an oriented image back to the original image."""
    back = np.eye(3)
    if orientation & 4:
        back = back[[1, 0, 2]]
    for axis in range(2):
        if orientation >> axis & 1:
            back[axis] = [0, 0, 1] - back[axis]
    return back


_UNDO = tuple(_undo(orientation) for orientation in range(8))


def _orient_hash(hashes: np.ndarray, orientation: int) -> np.ndarray:
    """The hashes, N × 64, of reoriented images: mirroring changes the sign of coefficients of odd frequency."""
    waves = hashes.reshape(-1, HASH, HASH)
    odd = np.where(np.arange(HASH) % 2, -1, 1).astype(np.float32)
    if orientation & 1:
        waves = waves * odd
    if orientation & 2:
        waves = waves * odd[:, None]
    if orientation & 4:
        waves = waves.transpose(0, 2, 1)
    return np.ascontiguousarray(waves.reshape(len(hashes), -1))


def _sets(pairs: Iterable[tuple[int, int]], count: int) -> tuple[tuple[int, ...], ...]:
    """The connected components of two or more rows, where pairs are the edges."""
    a, b = np.array([*pairs] or np.empty((0, 2)), dtype=int).T
    _, member = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)
    sets: dict[int, list[int]] = {}
    for row in np.unique(np.concatenate([a, b])):
        sets.setdefault(member[row], []).append(int(row))
    return tuple(tuple(rows) for rows in sets.values() if len(rows) > 1)


def _first(sets: tuple[tuple[int, ...], ...], count: int) -> np.ndarray:
    """For each row, the first row of its set, or its own number if it is in no set; int, `count`."""
    first = np.arange(count)
    for rows in sets:
        first[list(rows)] = rows[0]
    return first

"""Images that show the same part of a slide: overlapping fields, and copies that were turned, cropped or resized.

`leuko.data.keypoints` proposes pairs and the transform between them. Here the pixels decide: the images, decoded once
more and laid over each other (ECC: Evangelidis & Psarakis 2008, doi:10.1109/TPAMI.2008.113), must agree in their fine
structure nearly everywhere in the part that both show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from leuko.data.keypoints import SIDE, Proposal, shrink

MIN_OVERLAP = 0.2  # of the smaller image's area, that both must show
BLOCK = 16  # pixels, the side of the blocks in which images are compared
MIN_TEXTURE = 0.25  # of the median over the blocks: standard deviation of a block that counts
MIN_BLOCK = 0.6  # correlation of a block that agrees
MIN_AGREEING = 0.7  # of the blocks that count


@dataclass(frozen=True)
class Overlap:
    """Two images that show the same part of a slide.

    Attributes:
        a, b: rows, a < b.
        of_a, of_b: share of the area of each that the other shows too, 0 to 1.
    """

    a: int
    b: int
    of_a: float
    of_b: float


def check(proposal: Proposal, open: Callable[[int], np.ndarray]):
    a, b = open(proposal.a), open(proposal.b)
    warp = proposal.transform.astype(np.float32)
    longer_a, longer_b = max(a.shape), max(b.shape)
    warp = warp * longer_b
    warp[:, :2] /= longer_a
    i, j = proposal.a, proposal.b
    if abs(np.linalg.det(warp[:, :2])) < 1:  # compare where the pixels are coarser
        a, b, warp = b, a, cv2.invertAffineTransform(warp)
    scale = np.sqrt(abs(np.linalg.det(warp[:, :2])))
    b = cv2.GaussianBlur(b, (0, 0), 0.4 * scale) if scale > 1.3 else b
    h, w = a.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    corr = -1
    inside = cv2.warpAffine(np.ones_like(b), warp, (w, h), flags=flags) > 0
    y, x = np.nonzero(inside)
    if inside.sum() < 0.1 * inside.size: return None
    # b laid roughly over a, refined
    fa, fb = detail(a), detail(cv2.warpAffine(b, warp, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE))
    refine = np.eye(2, 3, dtype=np.float32)
    try:
        _, refine = cv2.findTransformECC(fa, fb, refine, cv2.MOTION_AFFINE, (3, 40, 1e-4), inside.astype(np.uint8), 5)
    except cv2.error:
        return None
    full = np.vstack([warp, [0, 0, 1]]) @ np.vstack([refine, [0, 0, 1]])
    full = full[:2].astype(np.float32)
    moved = detail(cv2.warpAffine(b, full, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE))
    seen = cv2.warpAffine(np.ones_like(b), full, (w, h), flags=flags) > 0
    of_a = seen.mean()
    of_b = min(1, seen.sum() * np.sqrt(abs(np.linalg.det(full[:, :2])))**2 / b.size)
    inner = cv2.erode(seen.astype(np.uint8), np.ones((7, 7)), borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    r, tex = blocks(fa, moved, inner)
    g = float(np.corrcoef(fa[inner], moved[inner])[0, 1]) if inner.sum() > 100 else 0
    shift = np.abs(np.float32([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ (full - warp).T).max()
    return of_a, of_b, g, r, tex, shift


def blocks(a, b, inside):
    h, w = (s // BLOCK * BLOCK for s in a.shape)
    def tile(x): return x[:h, :w].reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(0, 2, 1, 3).reshape(-1, BLOCK**2)
    m = tile(inside.astype(np.float32)); n = m.sum(1)
    ok = n > 0.6 * BLOCK**2
    m, a, b, n = m[ok], tile(a)[ok], tile(b)[ok], n[ok]
    a = (a - (a * m).sum(1, keepdims=True) / n[:, None]) * m
    b = (b - (b * m).sum(1, keepdims=True) / n[:, None]) * m
    sa, sb = np.sqrt((a**2).sum(1) / n), np.sqrt((b**2).sum(1) / n)
    return (a * b).sum(1) / n / np.maximum(sa * sb, 1e-6), np.stack([sa, sb])


def detail(grey):
    grey = grey.astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1) - cv2.GaussianBlur(grey, (0, 0), 5)

"""Check whether two images show the same part of a slide: overlapping fields, or cropped, rotated or resized copies.

`leuko.data.cleaning.keypoint_matching` proposes the pair and the transform between them. This module compares the
pixels. The two images are aligned (ECC: Evangelidis & Psarakis 2008, doi:10.1109/TPAMI.2008.113), and their fine
structure must agree block by block. A correlation over the whole image is not suitable: it depends mostly on strong
structures that many images share, such as a scale bar or the rim of an eyepiece.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.data.cleaning.keypoint_matching import Proposal

# Chosen on even-numbered files of Aria and BCCD: true pairs have a median of at least 0.85, other pairs of under 0.6.
MIN_CORRELATION = 0.8  # smallest correlation of the fine structure, in the median block
# The threshold if no features agree. Outlines of round cells on flat background reach 0.88 in JTSC, true pairs 0.95.
MIN_CORRELATION_ALONE = 0.92
BLOCK = 16  # pixels, the side of a block
MIN_BLOCKS = 10  # smallest number of blocks with structure in both images
MIN_STRUCTURE = 0.25  # smallest standard deviation of a block, relative to the median of all blocks of its image
MIN_SHARE = 0.1  # smallest share of the smaller image that both images show
BLACK = 16  # pixels up to this grey value are black surround: around an eyepiece field, filled corners, masked cells
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Overlap:
    """Two images that show the same part of a slide.

    Attributes:
        a, b: rows, a < b.
        of_a, of_b: the share of a that b also shows, and the share of b that a also shows; 0 to 1.
    """

    a: int
    b: int
    of_a: float
    of_b: float


def confirm(proposal: Proposal, a: np.ndarray, b: np.ndarray) -> Overlap | None:
    """Compare the pixels of a proposed pair; None if the images do not show the same part of a slide.

    Args:
        proposal: the pair and the transform between them.
        a, b: the images, from `leuko.data.cleaning.keypoint_matching.reduced_grey`.
    """
    to_b = proposal.transform * np.array(b.shape[::-1])[:, None]
    to_b[:, :2] /= a.shape[::-1]
    least = MIN_CORRELATION if proposal.matches else MIN_CORRELATION_ALONE
    if _scale(to_b) >= 1:
        shares = _shared(a, b, to_b, least)
    else:  # compare at the lower resolution, because enlarging adds no detail
        shares = _shared(b, a, cv2.invertAffineTransform(to_b), least)
        shares = shares and shares[::-1]
    return Overlap(proposal.a, proposal.b, *shares) if shares else None


def _shared(a: np.ndarray, b: np.ndarray, to_b: np.ndarray, least: float) -> tuple[float, float] | None:
    """The shares of a and of b in the common area, if its correlation is at least `least`; `to_b` maps a to b."""
    scale = _scale(to_b)
    if scale > 1.3:  # a stronger reduction would cause aliasing
        b = cv2.GaussianBlur(b, (0, 0), 0.4 * scale)
    shows_a, shows_b = shows(a), shows(b)
    detail_a, detail_b, both = _laid_over(a, b, shows_a, shows_b, to_b)
    identity = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    try:
        _, shift = cv2.findTransformECC(detail_a, detail_b, identity, cv2.MOTION_AFFINE, criteria, both, 5)
    except cv2.error:  # no convergence: the images have nothing in common
        return None
    to_b = to_b @ np.vstack([shift, [0, 0, 1]])
    detail_a, detail_b, both = _laid_over(a, b, shows_a, shows_b, to_b)
    shares = (
        float(both.sum() / max(shows_a.sum(), 1)),
        float(min(1, both.sum() * _scale(to_b) ** 2 / max(shows_b.sum(), 1))),
    )
    if max(shares) < MIN_SHARE:
        return None
    correlations = _block_correlations(detail_a, detail_b, both)
    agree = len(correlations) >= MIN_BLOCKS and np.median(correlations) >= least
    return shares if agree else None


def _laid_over(
    a: np.ndarray, b: np.ndarray, shows_a: np.ndarray, shows_b: np.ndarray, to_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The detail of a, the detail of b aligned with it, and the mask of the common area; each of the size of a."""
    size = a.shape[::-1]
    both = shows_a & cv2.warpAffine(shows_b, to_b, size, flags=_LINEAR)
    return _detail(a, both), _detail(cv2.warpAffine(b, to_b, size, flags=_LINEAR), both), both


def _scale(transform: np.ndarray) -> float:
    return float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))


def shows(grey: np.ndarray) -> np.ndarray:
    """Mask of an image (uint8, H × W) without its black surround: 0 in the surround, else 1; uint8, H × W."""
    return cv2.morphologyEx((grey > BLACK).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))


def _detail(grey: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Fine structure, float32: a band-pass filter removes coarse structure and the details lost by compression.

    Only pixels inside the mask are used. The edge of the mask, which is similar in many images, is no structure.
    """
    weight = seen.astype(np.float32)
    values = grey * weight
    fine, coarse = (
        cv2.GaussianBlur(values, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
        for sigma in (1, 5)
    )
    return (fine - coarse) * weight


def _block_correlations(a: np.ndarray, b: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Correlation of a and b in each block that is mostly inside the mask and has structure in both images."""

    def blocks(image: np.ndarray) -> np.ndarray:
        rows, columns = (side // BLOCK for side in image.shape)
        image = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return image.swapaxes(1, 2).reshape(rows * columns, BLOCK**2)

    weight = blocks(seen.astype(np.float32))
    mostly = weight.mean(axis=1) > 0.6
    weight = weight[mostly]
    weight /= weight.sum(axis=1, keepdims=True)

    def centred(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = blocks(image)[mostly]
        values = values - (values * weight).sum(axis=1, keepdims=True)
        return values, np.sqrt((values**2 * weight).sum(axis=1))

    (a, deviation_a), (b, deviation_b) = centred(a), centred(b)
    structured = np.ones(len(weight), bool)
    for deviation in (deviation_a, deviation_b):
        structured &= deviation > max(MIN_STRUCTURE * np.median(deviation), 0.1) if len(deviation) else False
    covariance = (a * b * weight).sum(axis=1)[structured]
    return covariance / (deviation_a * deviation_b)[structured]

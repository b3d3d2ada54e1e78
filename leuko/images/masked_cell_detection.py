"""Masked cells: images of a single cell cut out of its surroundings, as data sets of cells contain them.

In C-NMC (Gupta & Gupta, "C-NMC 2019", doi:10.7937/tcia.2019.dc64i46r) each image is one cell on black. Others lay the
cell on white or grey, or leave the rest transparent.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class MaskedCellParameters:
    """How a single cell cut out of its surroundings is recognised.

    Attributes:
        min_side: px, shorter side of an image in which a cell can be recognised.
        max_black: greatest value of a black surround; compression leaves noise in it.
        min_white: least value of a white surround.
        black_noise: how far pixels of a black surround may differ from its colour,
        other_noise: and those of any other surround.
        min_exact: share of another surround's pixels, away from the cell, of exactly its colour: real background has
            less.
        halo_px: around the cell, in which compression changes the surround.
        min_framed: share of the image's border that is surround: a cell may touch it.
        min_share: of the image, that one cell takes up.
        max_share: of the image, that one cell takes up.
        min_largest: share of all that is not surround in the largest component.
        min_solidity: of a cell.
        min_dye: grey levels by which green is the weakest channel in the darkest third of the cell.
        max_flat: share of the cell's pixels exactly as bright as their neighbours: drawings have more.
    """

    min_side: int = 16
    max_black: float = 30
    min_white: float = 250
    black_noise: float = 30
    other_noise: float = 8
    min_exact: float = 0.95
    halo_px: int = 9
    min_framed: float = 0.7
    min_share: float = 0.01
    max_share: float = 0.9
    min_largest: float = 0.8
    min_solidity: float = 0.8
    min_dye: float = 5
    max_flat: float = 0.6


PARAMETERS = MaskedCellParameters()
_AT = slice(0, 3), slice(-3, None)


def find(image: np.ndarray, on_white: bool = False) -> np.ndarray | None:
    """The cell in an image of a single cell that was cut out; None in all other images.

    Photographs through an eyepiece are to be excluded first (`leuko.images.field_of_view`).

    Args:
        image: uint8, H × W × 3, RGB.
        on_white: look for cells on pure white, too. They cannot be told from cells on an over-exposed background,
            and white is what background looks like, so only the assessment of quality needs them.

    Returns:
        bool, H × W.
    """
    if min(image.shape[:2]) < PARAMETERS.min_side:
        return None
    corners = np.array([image[rows, columns].reshape(-1, 3).mean(axis=0) for rows in _AT for columns in _AT])
    colour = np.median(corners, axis=0)
    noise = PARAMETERS.black_noise if colour.max() <= PARAMETERS.max_black else PARAMETERS.other_noise
    if (colour.min() >= PARAMETERS.min_white and not on_white) or (
        np.abs(corners - colour).max(axis=1) <= noise
    ).sum() < 3:
        return None  # most images end here
    low, high = (np.clip(colour + sign * noise, 0, 255) for sign in (-1, 1))
    step = max(max(image.shape[:2]) // 64, 1)
    if not _framed(cv2.inRange(image[::step, ::step], low, high)):
        return None
    surround = cv2.inRange(image, low, high)
    labels, areas = _labelled(cv2.bitwise_not(surround))
    total = areas[1:].sum()
    if not total:
        return None
    largest = 1 + int(areas[1:].argmax())
    share = areas[largest] / surround.size
    if not PARAMETERS.min_share <= share <= PARAMETERS.max_share or areas[largest] < PARAMETERS.min_largest * total:
        return None
    cell = _whole(labels == largest)
    if colour.max() > PARAMETERS.max_black and not _exact(image, cell, colour):
        return None
    return cell if _is_a_cell(image, cell) else None


def crop_to_cell(image: np.ndarray) -> np.ndarray:
    """The part of an image that a cell takes up which was cut out; of all other images the image itself.

    Cells on black resemble one another by their surrounds alone.

    Args:
        image: uint8, H × W × 3, RGB.
    """
    cell = find(image)
    if cell is None:
        return image
    rows, columns = (np.flatnonzero(cell.any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _framed(surround: np.ndarray) -> bool:
    border = np.concatenate([surround[0], surround[-1], surround[:, 0], surround[:, -1]])
    return bool((border > 0).mean() >= PARAMETERS.min_framed)


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return labels, stats[:, cv2.CC_STAT_AREA]


def _whole(mask: np.ndarray) -> np.ndarray:
    """The piece, bool, with its holes filled."""
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED) > 0


def _exact(image: np.ndarray, cell: np.ndarray, colour: np.ndarray) -> bool:
    """Whether the surround of the cell is of one colour, as nothing is that a camera saw."""
    away = cv2.dilate(cell.astype(np.uint8), np.ones((2 * PARAMETERS.halo_px + 1,) * 2, np.uint8)) == 0
    return bool(away.any() and (np.abs(image[away] - colour).max(axis=1) <= 1).mean() >= PARAMETERS.min_exact)


def _is_a_cell(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a piece has the shape, the dye and the texture of a stained cell."""
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    outline = max(outlines, key=cv2.contourArea)
    if cv2.contourArea(outline) < PARAMETERS.min_solidity * cv2.contourArea(cv2.convexHull(outline)):
        return False
    pixels = image[mask].astype(np.int16)
    light = pixels.sum(axis=1)
    red, green, blue = pixels[light <= np.quantile(light, 1 / 3)].T
    if np.median(np.minimum(red, blue) - green) < PARAMETERS.min_dye:
        return False
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corner = grey[:-1, :-1]
    step = cv2.max(cv2.absdiff(grey[:-1, 1:], corner), cv2.absdiff(grey[1:, :-1], corner))
    return bool((step[mask[:-1, :-1]] == 0).mean() <= PARAMETERS.max_flat)

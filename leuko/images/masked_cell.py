"""Single cells cut out of their surroundings, as data sets of cells have them: where the cell lies.

In C-NMC (Gupta & Gupta, "C-NMC 2019", doi:10.7937/tcia.2019.dc64i46r) each image is one cell on black. Others lay the
cell on white or grey, or leave the rest transparent.
"""

from __future__ import annotations

import cv2
import numpy as np

LEAST = 16  # px, shorter side of an image in which a cell can be told
BLACK = 30  # greatest value of a surround that counts as black; compression leaves noise in it
WHITE = 250  # least value of a surround that counts as white
NOISE = 30, 8  # how far pixels of a black surround, and of another, may lie from its colour
EXACT = 0.95  # share of another surround's pixels, away from the cell, that have its very colour: bare glass has not
HALO = 9  # px around the cell in which compression changes the surround
FRAMED = 0.7  # share of the frame's border that is surround: a cell may touch it
SHARES = 0.01, 0.9  # of the frame, that one cell takes up
ALONE = 0.8  # of all that is not surround, in the largest piece
COMPACT = 0.8  # solidity of a cell
DYED = 5  # grey levels by which green is the weakest channel in the darkest third of the cell
FLAT = 0.6  # greatest share of the cell's pixels exactly as bright as their neighbours: drawings have more
_AT = slice(0, 3), slice(-3, None)


def find(image: np.ndarray, on_white: bool = False) -> np.ndarray | None:
    """The cell in an image of a single cell that was cut out; None in all other images.

    Photographs through an eyepiece are to be excluded first (`leuko.images.field_of_view`).

    Args:
        image: uint8, H × W × 3, RGB.
        on_white: look for cells on pure white, too. They cannot be told from cells on over-exposed glass, and white is
            what glass looks like, so only who judges the picture needs to know of them.

    Returns:
        bool, H × W.
    """
    if min(image.shape[:2]) < LEAST:
        return None
    corners = np.array([image[rows, columns].reshape(-1, 3).mean(axis=0) for rows in _AT for columns in _AT])
    colour = np.median(corners, axis=0)
    noise = NOISE[0] if colour.max() <= BLACK else NOISE[1]
    if (colour.min() >= WHITE and not on_white) or (np.abs(corners - colour).max(axis=1) <= noise).sum() < 3:
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
    if not SHARES[0] <= share <= SHARES[1] or areas[largest] < ALONE * total:
        return None
    cell = _whole(labels == largest)
    if colour.max() > BLACK and not _exact(image, cell, colour):
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
    return bool((border > 0).mean() >= FRAMED)


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return labels, stats[:, cv2.CC_STAT_AREA]


def _whole(mask: np.ndarray) -> np.ndarray:
    """The piece, bool, with its holes filled."""
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED) > 0


def _exact(image: np.ndarray, cell: np.ndarray, colour: np.ndarray) -> bool:
    """Whether the surround of the cell is of one colour, as nothing is that a camera saw."""
    away = cv2.dilate(cell.astype(np.uint8), np.ones((2 * HALO + 1,) * 2, np.uint8)) == 0
    return bool(away.any() and (np.abs(image[away] - colour).max(axis=1) <= 1).mean() >= EXACT)


def _is_a_cell(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a piece has the shape, the dye and the texture of a stained cell."""
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    outline = max(outlines, key=cv2.contourArea)
    if cv2.contourArea(outline) < COMPACT * cv2.contourArea(cv2.convexHull(outline)):
        return False
    pixels = image[mask].astype(np.int16)
    light = pixels.sum(axis=1)
    red, green, blue = pixels[light <= np.quantile(light, 1 / 3)].T
    if np.median(np.minimum(red, blue) - green) < DYED:
        return False
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corner = grey[:-1, :-1]
    step = cv2.max(cv2.absdiff(grey[:-1, 1:], corner), cv2.absdiff(grey[1:, :-1], corner))
    return bool((step[mask[:-1, :-1]] == 0).mean() <= FLAT)

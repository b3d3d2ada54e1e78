"""Crops of white cells as the network of kinds reads them: one physical scale, white light, nothing around the cell.

The background of the image becomes white, so that lamp and camera cancel out (transmittance of light, as in optical
density). What lies outside the cell becomes white too: it tells the laboratory, and nothing about the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation import Segmentation

UM_PER_PX = 0.25
SIDE_PX = 96  # 24 µm, more than nearly all white cells
MARGIN_UM = 0.5  # by which the mask of a cell is widened: outlines run through the blur of a cell's edge
REACH_UM = 5.0  # half a cell: farther from a place lies another cell
# Area of a nucleus that gives the scale where red cells do not: the median of PBC's and BCCD's white cells.
NUCLEUS_AREA_UM2 = 62.0


@dataclass(frozen=True)
class Crops:
    """White cells of one image, N of them, each in the middle of a square.

    Attributes:
        pixels: uint8, N × side × side × 3, RGB, white background.
        parts: uint8, N × side × side: 2 the nucleus, 1 the rest of the cell, 0 what lies outside.
    """

    pixels: np.ndarray
    parts: np.ndarray


def cut(image: np.ndarray, segmentation: Segmentation, ids: Sequence[int], side_px: int = SIDE_PX) -> Crops:
    """Cut cells out of an image, with their surroundings.

    Args:
        image: uint8, H × W × 3, RGB.
        segmentation: of the image.
        ids: of white cells.
        side_px: of the crops, at `UM_PER_PX`.
    """
    pixels = np.full((len(ids), side_px, side_px, 3), 255, np.uint8)
    parts = np.zeros((len(ids), side_px, side_px), np.uint8)
    if not len(ids):
        return Crops(pixels, parts)
    side = max(round(side_px * UM_PER_PX / scale(segmentation)), 4)  # px of the image
    light = 255 / background(image, segmentation)
    windows = ndimage.find_objects(segmentation.white_cells)
    for row, label in enumerate(ids):
        rows, columns = windows[label - 1]
        top, left = (rows.start + rows.stop - side) // 2, (columns.start + columns.stop - side) // 2
        place = _clipped(top, side, image.shape[0]), _clipped(left, side, image.shape[1])
        inside = _shifted(place[0], top), _shifted(place[1], left)
        window = np.full((side, side, 3), 255, np.uint8)
        window[inside] = np.minimum(image[place] * light, 255)
        masks = np.zeros((side, side, 2), np.uint8)
        masks[..., 0][inside] = 255 * (segmentation.white_cells[place] == label)
        masks[..., 1][inside] = 255 * (segmentation.nuclei[place] == label)
        pixels[row] = _resize(window, side_px)
        cell, nucleus = _resize(masks, side_px).transpose(2, 0, 1) > 127
        parts[row] = cell
        parts[row][cell & nucleus] = 2
    return Crops(pixels, parts)


def cut_alone(image: np.ndarray, segmentation: Segmentation, ids: Sequence[int]) -> np.ndarray:
    """Cells of an image, each alone on white: uint8, N × 96 × 96 × 3, RGB; arguments as of `cut`."""
    found = cut(image, segmentation, ids)
    pixels = [alone(*pair) for pair in zip(found.pixels, found.parts, strict=True)]
    return np.stack(pixels) if pixels else found.pixels


def alone(pixels: np.ndarray, parts: np.ndarray, margin_um: float = MARGIN_UM) -> np.ndarray:
    """The cell on white, without its surroundings.

    Args:
        pixels: uint8, side × side × 3, RGB.
        parts: uint8, side × side, see `Crops`.
        margin_um: by which the cell's mask is widened.

    Returns:
        uint8, side × side × 3, RGB.
    """
    cell: np.ndarray = (parts > 0).astype(np.uint8)
    radius = round(margin_um / UM_PER_PX)
    if radius > 0:
        cell = cv2.dilate(cell, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))
    weight = cv2.GaussianBlur(cell.astype(np.float32), (0, 0), 1.0)[..., None]
    return (255 - weight * (255 - pixels.astype(np.float32))).astype(np.uint8)


def cell_at(segmentation: Segmentation, place: tuple[float, float] | None) -> int | None:
    """The id of the white cell at a place; None where none is near.

    Args:
        segmentation: of the image.
        place: x and y, px; None: the cell nearest to the middle, however far, as in an image of a single cell.
    """
    rows, columns = np.nonzero(segmentation.white_cells)
    if not len(rows):
        return None
    height, width = segmentation.white_cells.shape
    x, y = place or (width / 2, height / 2)
    away = np.hypot(rows - y, columns - x)
    nearest = int(away.argmin())
    if place and away[nearest] > REACH_UM / scale(segmentation):
        return None
    return int(segmentation.white_cells[rows[nearest], columns[nearest]])


def scale(segmentation: Segmentation) -> float:
    """µm a pixel: by red cells or the file, else by the size of the nuclei in the image."""
    if segmentation.um_per_px:
        return segmentation.um_per_px
    areas = np.bincount(segmentation.nuclei.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(NUCLEUS_AREA_UM2 / np.median(areas))) if len(areas) else UM_PER_PX


def background(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Colour of the empty slide: float, 3, above 0; of an image without it, the brightest colours of its cells."""
    step = max(1, round(np.sqrt(image.shape[0] * image.shape[1] / 40_000)))
    thinned = np.s_[::step, ::step]
    pixels, cells = image[thinned], segmentation.white_cells[thinned] > 0
    if segmentation.masked_cell:
        found = pixels[cells]
        return np.maximum(np.quantile(found, 0.98, axis=0) if len(found) else np.full(3, 255.0), 8)
    empty = ~cells & (segmentation.red_cells[thinned] == 0) & (segmentation.platelets[thinned] == 0)
    if segmentation.surround is not None:
        empty &= ~segmentation.surround[thinned]
    if np.count_nonzero(empty) < 0.02 * empty.size:
        return np.maximum(np.quantile(pixels.reshape(-1, 3), 0.9, axis=0), 8)
    return np.maximum(np.median(pixels[empty], axis=0), 8)


def _clipped(start: int, side: int, limit: int) -> slice:
    """The part of a window that lies inside the image."""
    return slice(min(max(start, 0), limit), max(min(start + side, limit), 0))


def _shifted(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _resize(window: np.ndarray, side_px: int) -> np.ndarray:
    shrinks = len(window) > side_px
    return cv2.resize(window, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

"""Red cells: what is no glass and no white cell, its pale middles filled, and heaps divided by their size."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from leuko.cells.masks import Part, distance, fill, labelled, opened, parts, solidity, usual_area

SMALLEST = 0.15  # of a red cell's area: less is debris
THICKNESS = 1.1  # radius of a disc as large as a red cell, over the largest circle within the cell
ENOUGH = 3  # red cells lying alone and alike, for their median to be the size of one
NEAR = 1.8  # between the areas that lone cells and heaps speak of, which then count together
HEAPS = 3  # lone cells that heaps count as much as
SPREAD = 1.5  # between the areas of red cells that are alike
LEAST, MOST = 0.5, 1.4  # radii of a typical nucleus within which the radius of a red cell lies
CRUMBS = 0.2  # of the radius that heaps speak of: what lies alone and is smaller are no red cells
TINY = 3.4  # radii of a nucleus that none is smaller by than red cells or their heaps are thick
SCARCE = 0.035  # of the red cells' area: more stained material than this is not platelets alone
THIN = 0.4  # of the thickest places in heaps: thinner ones are no cell's middle
MANY = 8  # thick places in heaps, for their thickness to tell the scale
PALLOR = 0.5  # of a red cell's area: larger holes are gaps between cells
SINGLE = 1.7  # red cells' areas up to which a compact part is one large cell
COMPACT = 0.93  # solidity of one
ROUND = 0.95  # solidity of one that is counted as one, whatever its area
OVERLAP = 0.45  # cells on top of one another for each that is seen, where no cell lies alone
BEYOND = 0.5  # radii: so far beyond the border lie middles of cells of which enough is seen to count
ROUNDS = 15  # of the division of a heap, at most
FEW = 100  # cells up to which all distances are quicker than a tree
SAMPLE = 60  # pixels a cell that a heap is divided by; more change nothing


def red_cells(matter: np.ndarray, white: np.ndarray, nucleus: float | None) -> tuple[np.ndarray, float | None]:
    """Find red cells.

    Args:
        matter: bool, H × W: what is no glass.
        white: bool, H × W: white cells and platelets.
        nucleus: radius of a typical nucleus of the white cells, in pixels, or None if there is none; it bounds what
            size a red cell may have.

    Returns:
        int32, H × W, ids from 1; and the diameter of one in pixels, or None where too few lie alone to tell.
    """
    mask = opened(matter & ~white, 1)
    area, sure = _typical(mask, white, nucleus)
    labels = np.zeros(mask.shape, np.int32)
    if not area:
        return labels, None
    radius = np.sqrt(area / np.pi)
    mask = opened(fill(mask, PALLOR * area) & ~white, 0.2 * radius)
    depth = distance(mask)
    found = list(parts(mask, SMALLEST * area))
    alone = [part.area < SINGLE * area and solidity(part.mask) > ROUND for part in found]
    covered = sum(part.area for part in found)
    crowded = 1 - sum(part.area for part, one in zip(found, alone, strict=True) if one) / max(covered, 1)
    layers = 1 + OVERLAP * crowded**2
    for part, one in zip(found, alone, strict=True):
        seen = (part.area + BEYOND * radius * _cut_length(part, mask.shape)) / area
        pieces = _divide(part, depth[part.window], 1 if one else max(1, round(layers * seen)), radius)
        labels[part.window][part.mask] = labels.max() + pieces
    return labels, 2 * radius if sure else None


def _cut_length(part: Part, shape: tuple[int, int]) -> int:
    """Pixels of a part on the border of an image of this shape."""
    (rows, columns), (height, width) = part.window, shape
    sides = (rows.start == 0, 0), (rows.stop == height, -1)
    ends = (columns.start == 0, 0), (columns.stop == width, -1)
    return sum(int(part.mask[at].sum()) for cut, at in sides if cut) + sum(
        int(part.mask[:, at].sum()) for cut, at in ends if cut
    )


def red_area(matter: np.ndarray, nuclei: np.ndarray) -> tuple[float | None, bool]:
    """Pixels of a red cell, in what is neither glass nor nucleus, None if there is none; and whether what seemed to be
    nuclei are platelets."""
    radius = np.sqrt(usual_area(nuclei) / np.pi)
    area = _typical(opened(matter & ~nuclei, 1), nuclei, radius)[0]
    return area or None, area > np.pi * (TINY * radius) ** 2


def _typical(mask: np.ndarray, stained: np.ndarray, nucleus: float | None) -> tuple[float, bool]:
    """The area of a red cell, by lone ones and by heaps; and whether enough of them agree on it.

    Args:
        mask: bool, H × W: red cells, with their pale middles open.
        stained: bool, H × W: what is left out of it.
        nucleus: as for `red_cells`.
    """
    filled = fill(mask)
    alone = np.array([p.area for p in parts(filled, 12) if not p.cut and solidity(p.mask) > COMPACT])
    area = _lone_area(alone)
    scarce = stained.sum() < SCARCE * mask.sum()  # where there is little stained, heaps tell too
    rough = _heaped_area(filled, None)[0] if scarce else 0.0
    if area < CRUMBS**2 * rough:
        area = 0.0
    if nucleus and (area or rough) > np.pi * (TINY * nucleus) ** 2:
        nucleus = None  # what seemed to be white cells are platelets
    if nucleus and area < np.pi * (LEAST * nucleus) ** 2:
        area = 0.0  # crumbs, not red cells
    heaped, many = _heaped_area(filled if nucleus is None else fill(mask, np.pi * (MOST * nucleus) ** 2), nucleus)
    if area and not 1 / NEAR < area / max(heaped, 1e-9) < NEAR:
        return area, True
    if not heaped:
        return 0.0, False
    alike = _within(alone, area, SPREAD) if area else _within(alone, heaped, NEAR)
    both = np.exp((np.log(alike).sum() + HEAPS * np.log(heaped)) / (len(alike) + HEAPS))
    return float(both), bool(area) or many


def _lone_area(alone: np.ndarray) -> float:
    """The area of a red cell by those of compact things that lie alone; 0 where there are too few.

    It is the area that as much of their area lies below as above (crumbs are many, but small), if enough agree on it.
    """
    if not len(alone):
        return 0.0
    alone = np.sort(alone)
    middle = alone[np.searchsorted(np.cumsum(alone), alone.sum() / 2)]
    like = _within(alone, middle, SPREAD)
    return float(np.median(like)) if len(like) >= ENOUGH else 0.0


def _within(areas: np.ndarray, middle: float, factor: float) -> np.ndarray:
    return areas[(areas > middle / factor) & (areas < middle * factor)]


def _heaped_area(mask: np.ndarray, nucleus: float | None) -> tuple[float, bool]:
    """The area of a red cell by how thick heaps are, 0 where there is nothing; and whether they are enough to tell."""
    depth = distance(mask)
    peaks = (depth == cv2.dilate(depth, np.ones((5, 5), np.uint8))) & (depth >= 2) & (depth < min(mask.shape) / 2)
    _, first = np.unique(labelled(peaks)[0][peaks], return_index=True)  # a ridge of even depth is one place
    thick = depth[peaks][first]
    if nucleus is not None:
        thick = thick[(thick >= LEAST * nucleus) & (thick <= MOST * nucleus)]
    if not len(thick):
        return 0.0, False
    radius = THICKNESS * np.median(thick[thick >= THIN * np.quantile(thick, 0.95)])
    return float(np.pi * radius**2), len(thick) >= MANY


def _divide(part: Part, depth: np.ndarray, number: int, radius: float) -> np.ndarray:
    """Divide a heap into so many cells: k-means of its pixels, those far from the edge counting most.

    Returns:
        int, one per pixel of the part in the order of its mask: 1 to `number`.
    """
    if number == 1:
        return np.ones(part.area, int)
    pixels = np.argwhere(part.mask).astype(np.float32)
    few = slice(None, None, max(len(pixels) // (SAMPLE * number), 1))
    sample, weight = pixels[few], depth[part.mask][few]
    middles = sample[[weight.argmax()]]
    away = np.full(len(sample), np.float32((1.8 * radius) ** 2))
    for _ in range(number - 1):  # start far from one another and from the edge
        away = np.minimum(away, (sample[:, 0] - middles[-1, 0]) ** 2 + (sample[:, 1] - middles[-1, 1]) ** 2)
        middles = np.concatenate([middles, sample[[(away * weight).argmax()]]])
    for _ in range(ROUNDS):
        nearest = _nearest(sample, middles)
        total = np.bincount(nearest, weight, number)
        moved = np.stack([np.bincount(nearest, weight * sample[:, axis], number) for axis in (0, 1)], axis=1)
        moved = np.where(total[:, None] > 0, moved / np.maximum(total, 1e-9)[:, None], middles).astype(np.float32)
        if np.array_equal(moved, middles):
            break
        middles = moved
    seeds = np.ones(part.mask.shape, np.uint8)
    seeds[tuple(middles.round().astype(int).T)] = 0
    return cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1][part.mask]


def _nearest(points: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """For each point the number of the middle nearest to it; both float32, N × 2."""
    if len(middles) > FEW:
        return cKDTree(middles).query(points)[1]
    return cdist(points, middles, "sqeuclidean").argmin(axis=1)

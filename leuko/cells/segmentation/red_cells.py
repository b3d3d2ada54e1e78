"""Red cells: what is no glass and no white cell, its pale middles filled, and heaps divided where cells are seen."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from leuko.cells.segmentation.hough_circles import Edges
from leuko.cells.segmentation.masks import Part, distance, fill, labelled, opened, parts, solidity, usual_area

SMALLEST = 0.1  # of a red cell's area: less is debris
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
SINGLE = 1.4  # red cells' areas up to which a compact part is one large cell
COMPACT = 0.93  # solidity of one
ROUND = 0.98  # solidity of one that is counted as one, less
JAGGED = 0.33  # over its radius in pixels, since edges are stairs
RIM = 1.12  # radius of a mask over that at which light changes most
ROUNDNESS = 0.75  # how much edges count for the size of a cell; the rest is areas
BEYOND = 0.7  # radii beyond the border: as far out lie middles of cells of which enough is seen to count
ROUNDS = 5  # of k-means
SAMPLE = 60  # pixels a cell that what is too large is divided by


def red_cells(
    light: np.ndarray, matter: np.ndarray, white: np.ndarray, nucleus: float | None
) -> tuple[np.ndarray, float | None, bool]:
    """Find red cells.

    Args:
        light: float32, H × W: what light comes through.
        matter: bool, H × W: what is no glass.
        white: bool, H × W: white cells and platelets.
        nucleus: radius of a typical nucleus of the white cells, in pixels, or None if there is none; it bounds what
            size a red cell may have.

    Returns:
        int32, H × W, ids from 1; the diameter of one in pixels, or None where too few lie alone to tell; and whether
        they have the edges of red cells.
    """
    mask = opened(matter & ~white, 1)
    area, sure = _typical(mask, white, nucleus)
    labels = np.zeros(mask.shape, np.int32)
    if not area:
        return labels, None, False
    radius = np.sqrt(area / np.pi)
    mask = opened(fill(mask, PALLOR * area) & ~white, 0.2 * radius)
    if not mask.any():
        return labels, 2 * radius if sure else None, False
    edges = Edges.of(light, mask, white, radius)
    met = edges.usual_radius()
    if met:
        radius *= (RIM * met / radius) ** ROUNDNESS
        area = np.pi * radius**2
    middles = np.zeros(mask.shape, bool)
    middles[tuple(edges.middles(radius).T)] = True
    depth = distance(mask)
    # How much of a cell each pixel is; those at the image's border stand for what lies beyond it, too.
    share = np.full(mask.shape, 1 / area)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        share[edge] += BEYOND * radius / area
    for part in parts(mask, SMALLEST * area):
        at = part.window
        alone = part.area < SINGLE * area and solidity(part.mask) > ROUND - JAGGED / radius
        pieces = np.ones(part.area, int) if alone else _divide(part, middles[at], depth[at], share[at])
        labels[at][part.mask] = labels.max() + pieces
    return labels, 2 * radius if sure else None, met is not None and edges.bear_out(met)


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


def _divide(heap: Part, middles: np.ndarray, depth: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Divide a heap into cells by their middles, and what is too large for one cell by its area.

    Args:
        heap: N pixels.
        middles: bool, of the window's size.
        depth: float32, of the window's size: distance to the edge of the mask.
        share: of the window's size: how much of a cell each pixel is.

    Returns:
        int, N, one per pixel of the heap in the order of its mask: ids from 1.
    """
    middles = middles & heap.mask
    if not middles.any():
        middles[np.unravel_index(np.where(heap.mask, depth, 0).argmax(), depth.shape)] = True
    pieces = _nearest(middles)[heap.mask]
    numbers = np.rint(np.bincount(pieces, share[heap.mask])).astype(int)
    if numbers.max() < 2:
        return pieces
    pixels, weight = np.argwhere(heap.mask), depth[heap.mask]
    for piece in np.flatnonzero(numbers > 1):
        own = pieces == piece
        middles[tuple(pixels[own & middles[heap.mask]].T)] = False
        middles[tuple(_spread(pixels[own], weight[own], numbers[piece]).T)] = True
    return _nearest(middles)[heap.mask]


def _nearest(middles: np.ndarray) -> np.ndarray:
    """For every pixel the number of the middle nearest to it, from 1."""
    return cv2.distanceTransformWithLabels((~middles).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]


def _spread(pixels: np.ndarray, weight: np.ndarray, number: int) -> np.ndarray:
    """So many middles among pixels, far from one another and from the edge: k-means with weights."""
    few = slice(None, None, max(len(pixels) // (SAMPLE * number), 1))
    sample, weight = pixels[few].astype(float), weight[few]
    middles = sample[[weight.argmax()]]
    for _ in range(number - 1):
        middles = np.concatenate([middles, sample[[(cdist(sample, middles).min(axis=1) * weight).argmax()]]])
    for _ in range(ROUNDS):
        counts = np.eye(number)[cdist(sample, middles).argmin(axis=1)] * weight[:, None]
        middles = counts.T @ sample / np.maximum(counts.sum(axis=0), 1e-9)[:, None]
    return middles.round().astype(int)

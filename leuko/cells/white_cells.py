"""White cells: nuclei by their stain, cytoplasm by what it is not, and touching cells parted by their shape."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.clustering import Method
from leuko.cells.colours import Colours, violet
from leuko.cells.masks import Part, around, closed, fill, keep, opened, parts, solidity, split

STAINED_SHARE = 0.02  # of the palette: the most violet colours, where the stained group starts
VIOLET, CONTRAST = 50.0, 18.0  # CIELAB: least a* − b* of stained material, and how much more than the red cells'
SMALLEST = 0.12  # of a usual nucleus' area: below lie platelets and debris
REACH = 2.4  # radii of the nucleus: how far from it cytoplasm is looked for
FAR = 1.5  # radii: beyond this, what is no glass is red cells
FOREGROUND = 0.65  # greatest membership of glass in foreground
CYTOPLASM = 0.4  # least membership of cytoplasm against red cells
COMPACT = 0.93  # solidity from which a region is one cell, whatever its colours
HUES = (0.1, 0.3, 1.0)  # how L*, a* and b* count between cytoplasm and red cells: b* parts them, light does not
NUCLEUS = 0.45  # least membership of nucleus inside a cell
ANCHOR = 3.0  # how much the known red cells count against the colours around a nucleus
SAMPLE = 1500  # pixels that groups are found from; more change nothing
# Shares and memberships were chosen on the even-numbered files of JTSC and BCCD.


def stain(colours: Colours, method: Method) -> np.ndarray | None:
    """Stage one: sort all colours of an image into glass, red cells and stained material.

    Colours count by the root of the root of their pixels, so that a single white cell among red ones is a group too.

    Returns:
        Memberships, float, H × W × 3, in that order; None if nothing is stained.
    """
    palette, weights = colours.palette, colours.counts**0.3
    darkness = violet(palette) + 0.3 * (100 - palette[:, 0])
    order = np.argsort(-darkness)
    top = order[: np.searchsorted(np.cumsum(weights[order]), STAINED_SHARE * weights.sum()) + 1]
    stained = np.average(palette[top], axis=0, weights=weights[top])
    glass = np.array([100.0, 0.0, 0.0])
    rest = (np.linalg.norm(palette - glass, axis=1) > 12) & (darkness < np.quantile(darkness, 0.8))
    red = np.average(palette[rest], axis=0, weights=weights[rest]) if rest.any() else (stained + glass) / 2
    memberships = colours.spread(method(palette, weights, np.stack([glass, red, stained])))
    found, other = memberships[..., 2] > 0.5, memberships[..., 1] > 0.5
    if not found.any():
        return None
    stained_violet = violet(colours.lab[found]).mean()
    red_violet = violet(colours.lab[other]).mean() if other.any() else 0.0
    return memberships if stained_violet > max(VIOLET, red_violet + CONTRAST) else None


def foreground(colours: Colours, nuclei: np.ndarray, method: Method, glass: float = FOREGROUND) -> np.ndarray:
    """What is not empty glass: two groups of green light, nuclei aside; bool, H × W, holes filled."""
    values = 1 - colours.green
    sample = values[~nuclei][::5, None]
    start = np.percentile(sample, [20, 90])[:, None]
    levels = np.linspace(0, 1, 512)[:, None]
    membership = method(sample, np.ones(len(sample)), start)(levels)[:, 0]
    # Past the darker group's centre the fuzzy membership of glass may rise again.
    threshold = levels[np.flatnonzero(membership < glass)[0], 0]
    return (values > threshold) | nuclei


def nuclei(memberships: np.ndarray) -> np.ndarray:
    """Nuclei among what is stained: holes filled, and nothing far smaller than usual; bool, H × W."""
    stained = opened(memberships[..., 2] > 0.5, 1)
    areas = np.sort([part.area for part in parts(stained)] or [0])
    usual = areas[np.searchsorted(np.cumsum(areas), areas.sum() / 4)]  # not the largest, which may be a heap of cells
    return keep(fill(stained, SMALLEST * usual), max(SMALLEST * usual, 12))


def white_cells(colours: Colours, seeds: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Stage two: the cell around every nucleus, and the nucleus within the cell.

    Args:
        colours: of the image.
        seeds: bool, H × W, from `nuclei`, not empty.
        method: of clustering.

    Returns:
        White cells and their nuclei, int32, H × W, ids from 1.
    """
    typical = np.sqrt(np.median([part.area for part in parts(seeds)]) / np.pi)
    matter = fill(foreground(colours, seeds, method))
    away = cv2.distanceTransform((~seeds).astype(np.uint8), cv2.DIST_L2, 5) > FAR * typical
    red = np.median(colours.lab[matter & away], axis=0) if (matter & away).mean() > 0.02 else None
    body = np.zeros_like(seeds)
    for group in parts(closed(seeds, 0.3 * typical)):
        if not (group.mask & seeds[group.window]).any():  # closing may fill a corner that holds no nucleus
            continue
        window, mask = _body(colours.lab, group, seeds, matter, red, method)
        body[window] |= mask
    cells, inside = np.zeros(seeds.shape, np.int32), np.zeros(seeds.shape, np.int32)
    for part in parts(body):
        pieces = split(part.mask, 0.5 * typical)
        for number in range(1, pieces.max() + 1):
            piece = pieces == number
            if not (piece & seeds[part.window]).any():
                continue
            label = cells.max() + 1
            cells[part.window][piece] = label
            inside[part.window][_nucleus(colours, part.window, piece, method)] = label
    return cells, inside


def _body(
    lab: np.ndarray, seed: Part, seeds: np.ndarray, matter: np.ndarray, red: np.ndarray | None, method: Method
) -> tuple[tuple[slice, slice], np.ndarray]:
    """The cell around one nucleus (its lobes together) as a window of the image and a mask in it.

    It is all matter around the nucleus if that is compact; else what is less like the red cells it touches than like
    cytoplasm.
    """
    radius = np.sqrt(seed.area / np.pi)
    margin = int(REACH * radius) + 3
    window = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in seed.window)
    nucleus = np.zeros_like(seeds)
    nucleus[seed.window] = seed.mask & seeds[seed.window]
    nucleus, lab = nucleus[window], lab[window]
    far = cv2.distanceTransform((~nucleus).astype(np.uint8), cv2.DIST_L2, 5)
    near = matter[window] & (far <= REACH * radius)
    body = around(opened(near, 0.2 * radius) | nucleus, nucleus)
    compact = solidity(body) > COMPACT and far[body].max() < REACH * radius - 1.5
    beside = near & ~nucleus
    if red is not None and not compact and beside.any():
        sample = _sample(lab[beside])
        known = red + 0.35 * (np.median(lab[nucleus], axis=0) - red)
        points = np.concatenate([sample, red[None]]) * HUES
        weights = np.append(np.ones(len(sample)), ANCHOR * len(sample))
        plasm = np.zeros(near.shape)
        plasm[beside] = method(points, weights, np.stack([red, known]) * HUES)(lab[beside] * HUES)[:, 1]
        body = (plasm > CYTOPLASM) | nucleus
    edge = 0.12 * radius
    body = opened(fill(body), edge) | nucleus
    return window, fill(closed(around(body, nucleus), edge))


def _nucleus(colours: Colours, window: tuple[slice, slice], cell: np.ndarray, method: Method) -> np.ndarray:
    """The nucleus in a cell: the group that lets less green light through and is more violet."""
    tone = colours.green[window] ** 0.75 - 0.4 * violet(colours.lab[window]) / 100
    values = tone[cell][:, None]
    start = np.percentile(values, [80, 20])[:, None]
    dark = np.zeros(cell.shape)
    sample = _sample(values)
    dark[cell] = method(sample, np.ones(len(sample)), start)(values)[:, 1]
    area = cell.sum()
    nucleus = opened(fill(dark > NUCLEUS, 0.02 * area), 0.04 * np.sqrt(area / np.pi)) & cell
    return keep(nucleus, 0.02 * area)


def _sample(values: np.ndarray) -> np.ndarray:
    return values[:: max(len(values) // SAMPLE, 1)]

"""Stage one: what is stained, the nuclei among it, and what is no empty glass, by the colours of the whole image."""

from __future__ import annotations

import cv2
import numpy as np

from leuko.cells.segmentation.clustering import Method
from leuko.cells.segmentation.colour_space import Colours, violet
from leuko.cells.segmentation.masks import (
    fill,
    keep,
    labelled,
    opened,
    parts,
    single_areas,
    solidity,
    usual,
    usual_area,
)

GLASS = np.array([100.0, 0.0, 0.0])  # CIELAB
RED, STAINED = 1, 2  # kinds of pixels; 0 is glass
STAINED_SHARE = 0.02  # of the palette: the most violet colours, where the stained group starts
VIOLET = 50.0  # CIELAB: a* − b* from which material is stained for certain
VIVID = 2.6  # else: by how much more violet than red cells it is, over their chroma, however pale all is
APART = 1.4  # or by how much farther it is from red cells than they are from glass
RICH = 2.6  # or by both together, times one another
LAYERS = 0.45  # of the greatest contrast to red cells in violet: what has less is red cells on one another
CONTRAST = 12.0  # CIELAB: how much more violet than red cells it is at least
WHOLE = 0.8  # of a usual nucleus' area: what is found at the second look is as large, and
COMPACT = 0.9  # of such a solidity (what is left of burst cells has less), and
KNOWN = 0.25  # no more of it was found at the first
SMALLEST = 0.12  # of a usual nucleus' area: below lie platelets and debris
WHITE_GLASS = 0.65  # greatest membership of glass in white cells
RED_GLASS = 0.92  # the same in red cells, whose middles are pale
# Shares and memberships were chosen on the even-numbered files of JTSC and BCCD.


def stained(colours: Colours, method: Method) -> np.ndarray:
    """Stage one: what is stained, without specks and without red cells that lie on one another; bool, H × W.

    Beside very dark nuclei pale ones count as red cells; so the rest is looked through once more, for whole cells.
    """
    dark, found = _look(colours, np.ones(colours.green.shape, bool), method)
    if not found.any() or dark.all():
        return found
    pale = _look(colours, ~dark, method)[1]
    for part in parts(opened(fill(found | pale), 2), WHOLE * usual_area(found)):
        if found[part.window][part.mask].mean() < KNOWN and solidity(part.mask) > COMPACT:
            found[part.window] |= part.mask
    return found


def nuclei(stained: np.ndarray) -> np.ndarray:
    """Nuclei among what is stained: holes filled, and nothing far smaller than usual; bool, H × W."""
    if not stained.any():
        return stained
    filled = fill(stained, SMALLEST * usual(labelled(stained)[1][1:]))
    return keep(filled, max(SMALLEST * usual(single_areas(stained)), 12))  # what lies beside a heap stays


def foregrounds(colours: Colours, nuclei: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """What is not empty glass, for white cells and for red ones: two groups of green light; bool, H × W each."""
    values = 1 - colours.green
    sample = values[~nuclei][::5, None]
    if not len(sample):  # all is nucleus
        return nuclei, nuclei
    start = np.percentile(sample, [20, 90])[:, None]
    levels = np.linspace(0, 1, 512)[:, None]
    membership = method(sample, np.ones(len(sample)), start)(levels)[:, 0]
    # Past the darker group's centre the fuzzy membership of glass may rise again.
    # Where all is alike, no level is certain not to be glass; then none is.
    bounds = np.append(levels, 1)
    white, red = (bounds[np.argmax(np.append(membership < glass, True))] for glass in (WHITE_GLASS, RED_GLASS))
    return (values > white) | nuclei, (values > red) | nuclei


def _look(colours: Colours, where: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """The most stained group among some pixels, and what of it is stained for certain; bool, H × W each."""
    kinds = _sorted(colours, where, method)
    group = (kinds == STAINED) & where
    mask = opened(group, 1) & where
    return group, mask & ~_layers(colours, mask, (kinds == RED) & where)


def _sorted(colours: Colours, where: np.ndarray, method: Method) -> np.ndarray:
    """The colours of some pixels sorted into glass, red cells and stained material.

    Colours count by the root of the root of their pixels, so that a single white cell among red ones is a group too.

    Returns:
        uint8, H × W: `RED`, `STAINED`, or another number where a pixel belongs to neither by more than half.
    """
    counts = np.bincount(colours.index[where], minlength=len(colours.palette))
    palette, weights = colours.palette[counts > 0], counts[counts > 0] ** 0.3
    darkness = violet(palette) + 0.3 * (100 - palette[:, 0])
    order = np.argsort(-darkness)
    top = order[: np.searchsorted(np.cumsum(weights[order]), STAINED_SHARE * weights.sum()) + 1]
    stained = np.average(palette[top], axis=0, weights=weights[top])
    rest = (np.linalg.norm(palette - GLASS, axis=1) > 12) & (darkness < np.quantile(darkness, 0.8))
    red = np.average(palette[rest], axis=0, weights=weights[rest]) if rest.any() else (stained + GLASS) / 2
    memberships = method(palette, weights, np.stack([GLASS, red, stained]))(colours.palette)
    kinds = np.where(memberships.max(axis=1) > 0.5, memberships.argmax(axis=1), len(memberships[0]))
    return kinds.astype(np.uint8)[colours.index]


def _layers(colours: Colours, mask: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Where red cells lie on one another, which is as dark as nuclei but far less violet; bool, H × W."""
    pieces, sizes = labelled(mask)
    of, colour = pieces[mask], colours.lab[mask]
    sums = [np.bincount(of, colour[:, axis], len(sizes)) for axis in range(3)]
    tones = (np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None])[1:]
    ruddy = np.array(cv2.mean(colours.lab, red.view(np.uint8))[:3]) if red.any() else GLASS
    contrasts = violet(tones) - violet(ruddy)
    vivid = contrasts / max(np.hypot(*ruddy[1:]), 1e-9)
    apart = np.linalg.norm(tones - ruddy, axis=1) / max(np.linalg.norm(ruddy - GLASS), 1e-9)
    sure = (violet(tones) > VIOLET) | (vivid > VIVID) | (apart > APART) | (vivid * apart > RICH)
    dull = ~sure | (contrasts < max(CONTRAST, LAYERS * contrasts.max(initial=0)))
    return np.concatenate([[False], dull])[pieces]

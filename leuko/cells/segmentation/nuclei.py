"""Stage one: stained material, the nuclei among it, and the foreground, by the colours of the whole image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from leuko.cells.segmentation.clustering import ClusteringMethod
from leuko.cells.segmentation.colour_space import BACKGROUND, Colours, violet_index
from leuko.cells.segmentation.masks import (
    components,
    fill_holes,
    label_components,
    mean_area_by_area,
    open_mask,
    remove_small,
    single_object_areas,
    solidity,
    typical_area,
)

RED_CELL, STAINED = 1, 2  # clusters of pixels; 0 is background


@dataclass(frozen=True)
class NucleusParameters:
    """Parameters of stage one; shares and memberships were chosen on the even-numbered files of JTSC and BCCD.

    Attributes:
        stained_share: of the palette, the most violet colours, where the stained cluster starts.
        certain_violet: CIELAB, a* − b*, from which material is stained for certain. Below it, material is stained by
            one of the next three rules, which are relative to red cells and so hold in pale stains:
        min_vividness: excess of violet over red cells, in units of the red cells' chroma.
        min_distance: distance from red cells, in units of their distance from the background.
        min_product: the product of both.
        min_layer_contrast: share of the greatest excess of violet; what has less is red cells that overlap.
        min_contrast: CIELAB: smallest excess of violet over red cells.
        second_pass_area: of a typical nucleus' area; what the second pass finds is at least as large,
        second_pass_solidity: at least as compact (what is left of burst cells is less),
        second_pass_known: and no more of it was found in the first pass, as a share.
        min_area: of a typical nucleus' area; below lie platelets and debris.
        white_background: largest membership of the background in white cells.
        red_background: the same in red cells, whose centres are pale.
    """

    stained_share: float = 0.02
    certain_violet: float = 50.0
    min_vividness: float = 2.6
    min_distance: float = 1.4
    min_product: float = 2.6
    min_layer_contrast: float = 0.45
    min_contrast: float = 12.0
    second_pass_area: float = 0.8
    second_pass_solidity: float = 0.9
    second_pass_known: float = 0.25
    min_area: float = 0.12
    white_background: float = 0.65
    red_background: float = 0.92


DEFAULTS = NucleusParameters()


def find_stained(colours: Colours, method: ClusteringMethod, parameters: NucleusParameters = DEFAULTS) -> np.ndarray:
    """Stained material, bool, H × W, without specks and without red cells that overlap.

    Beside very dark nuclei, pale ones fall into the cluster of the red cells. The rest of the image is therefore
    searched a second time, for whole compact nuclei.
    """
    dark, stained = _stained_cluster(colours, np.ones(colours.green_transmittance.shape, bool), method, parameters)
    if not stained.any() or dark.all():
        return stained
    pale = _stained_cluster(colours, ~dark, method, parameters)[1]
    min_area = parameters.second_pass_area * mean_area_by_area(stained)
    for component in components(open_mask(fill_holes(stained | pale), 2), min_area):
        known = stained[component.window][component.mask].mean()
        if known < parameters.second_pass_known and solidity(component.mask) > parameters.second_pass_solidity:
            stained[component.window] |= component.mask
    return stained


def find_nuclei(stained: np.ndarray, parameters: NucleusParameters = DEFAULTS) -> np.ndarray:
    """Nuclei among stained material, bool, H × W: holes are filled, and what is far smaller than typical is removed."""
    if not stained.any():
        return stained
    filled = fill_holes(stained, parameters.min_area * typical_area(label_components(stained)[1][1:]))
    # Fragments beside a clump are kept: the typical area is that of single objects.
    return remove_small(filled, max(parameters.min_area * typical_area(single_object_areas(stained)), 12))


def foregrounds(
    colours: Colours, nuclei: np.ndarray, method: ClusteringMethod, parameters: NucleusParameters = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """The foreground for white cells and for red cells, bool, H × W each, by two clusters of green absorption."""
    absorption = 1 - colours.green_transmittance
    sample = absorption[~nuclei][::5, None]
    if not len(sample):  # all is nucleus
        return nuclei, nuclei
    start = np.percentile(sample, [20, 90])[:, None]
    levels = np.linspace(0, 1, 512)[:, None]
    background = method(sample, np.ones(len(sample)), start)(levels)[:, 0]
    # Beyond the darker cluster's centre the fuzzy membership of the background may rise again, so the first level below
    # the bound is taken. In an even image no level is below it; then there is no foreground.
    bounds = np.append(levels, 1)
    white, red = (
        bounds[np.argmax(np.append(background < bound, True))]
        for bound in (parameters.white_background, parameters.red_background)
    )
    return (absorption > white) | nuclei, (absorption > red) | nuclei


def _stained_cluster(
    colours: Colours, where: np.ndarray, method: ClusteringMethod, parameters: NucleusParameters
) -> tuple[np.ndarray, np.ndarray]:
    """The most stained cluster among some pixels, and the part of it that is stained for certain; bool, H × W each."""
    clusters = _cluster_pixels(colours, where, method, parameters)
    cluster = (clusters == STAINED) & where
    mask = open_mask(cluster, 1) & where
    return cluster, mask & ~_overlapping_red_cells(colours, mask, (clusters == RED_CELL) & where, parameters)


def _cluster_pixels(
    colours: Colours, where: np.ndarray, method: ClusteringMethod, parameters: NucleusParameters
) -> np.ndarray:
    """Cluster the colours of some pixels into background, red cells and stained material.

    The weight of a colour is its number of pixels to the power of 0.3, so that one white cell among many red ones forms
    a cluster too.

    Returns:
        uint8, H × W: `RED_CELL`, `STAINED`, or another number where no membership is above one half.
    """
    counts = np.bincount(colours.palette_index[where], minlength=len(colours.palette))
    palette, weights = colours.palette[counts > 0], counts[counts > 0] ** 0.3
    darkness = violet_index(palette) + 0.3 * (100 - palette[:, 0])
    order = np.argsort(-darkness)
    top = order[: np.searchsorted(np.cumsum(weights[order]), parameters.stained_share * weights.sum()) + 1]
    stained = np.average(palette[top], axis=0, weights=weights[top])
    rest = (np.linalg.norm(palette - BACKGROUND, axis=1) > 12) & (darkness < np.quantile(darkness, 0.8))
    red = np.average(palette[rest], axis=0, weights=weights[rest]) if rest.any() else (stained + BACKGROUND) / 2
    memberships = method(palette, weights, np.stack([BACKGROUND, red, stained]))(colours.palette)
    clusters = np.where(memberships.max(axis=1) > 0.5, memberships.argmax(axis=1), len(memberships[0]))
    return clusters.astype(np.uint8)[colours.palette_index]


def _overlapping_red_cells(
    colours: Colours, mask: np.ndarray, red_cells: np.ndarray, parameters: NucleusParameters
) -> np.ndarray:
    """Where red cells overlap, which is as dark as nuclei but far less violet; bool, H × W."""
    pieces, sizes = label_components(mask)
    piece, colour = pieces[mask], colours.lab[mask]
    sums = [np.bincount(piece, colour[:, axis], len(sizes)) for axis in range(3)]
    tones = (np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None])[1:]
    red = np.array(cv2.mean(colours.lab, red_cells.view(np.uint8))[:3]) if red_cells.any() else BACKGROUND
    contrasts = violet_index(tones) - violet_index(red)
    vividness = contrasts / max(np.hypot(*red[1:]), 1e-9)
    distance = np.linalg.norm(tones - red, axis=1) / max(np.linalg.norm(red - BACKGROUND), 1e-9)
    certain = violet_index(tones) > parameters.certain_violet
    certain |= vividness > parameters.min_vividness
    certain |= distance > parameters.min_distance
    certain |= vividness * distance > parameters.min_product
    min_contrast = max(parameters.min_contrast, parameters.min_layer_contrast * contrasts.max(initial=0))
    overlapping = ~certain | (contrasts < min_contrast)
    return np.concatenate([[False], overlapping])[pieces]

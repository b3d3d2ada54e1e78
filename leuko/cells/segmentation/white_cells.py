"""Stage two: the white cell around every nucleus, its cytoplasm, and touching cells separated by their shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.clustering import ClusteringMethod
from leuko.cells.segmentation.colour_space import Colours
from leuko.cells.segmentation.masks import (
    close_mask,
    components_touching,
    fill_holes,
    label_components,
    open_mask,
    remove_small,
    solidity,
)
from leuko.cells.segmentation.nucleus_grouping import NucleusGroup, group_nuclei
from leuko.cells.segmentation.star_convex_outline import star_convex_regions


@dataclass(frozen=True)
class WhiteCellParameters:
    """Parameters of stage two; shares and memberships were chosen on the even-numbered files of JTSC and BCCD.

    Attributes:
        red_cell_distance: in radii of the nucleus; foreground that is farther from nuclei is red cells.
        cytoplasm_distance: in radii of the nucleus; foreground that is nearer is mostly cytoplasm.
        min_cytoplasm: smallest membership of cytoplasm against red cells.
        lab_weights: of L*, a* and b* between cytoplasm and red cells: brightness varies with thickness.
        tints: clusters of colours among cytoplasm and red cells.
        min_difference: by which colours near nuclei must differ from those far away for there to be cytoplasm.
        min_nucleus: smallest membership of the nucleus inside a cell.
        tone: weights of L*, a* and b* beside the root of green light: the line that separates nuclei best.
        chromatin_radius: in radii of the cell, sigma; chromatin is coarser than noise, and its light spots belong to
            the nucleus.
        joined_solidity: smallest solidity of a cell that was cut in halves,
        joined_nucleus: and the largest share of nuclei in it.
        max_hole: of a nucleus' area; larger holes of the foreground are gaps between cells.
        max_gap: of a nucleus' radius; gaps of the foreground that are no wider belong to a cell.
        background_cost: of a pixel of background or of another nucleus inside a cell.
        sample: pixels from which clusters are found; more change nothing.
    """

    red_cell_distance: float = 1.5
    cytoplasm_distance: float = 0.35
    min_cytoplasm: float = 0.35
    lab_weights: tuple[float, float, float] = (0.5, 1.0, 1.0)
    tints: int = 6
    min_difference: float = 0.1
    min_nucleus: float = 0.19
    tone: tuple[float, float, float] = (-0.0053, 0.0016, 0.0025)
    chromatin_radius: float = 0.035
    joined_solidity: float = 0.91
    joined_nucleus: float = 0.7
    max_hole: float = 1.0
    max_gap: float = 0.3
    background_cost: float = 0.6
    sample: int = 1500


DEFAULTS = WhiteCellParameters()


def find_white_cells(
    colours: Colours,
    seeds: np.ndarray,
    foreground: np.ndarray,
    red_area: float | None,
    method: ClusteringMethod,
    parameters: WhiteCellParameters = DEFAULTS,
) -> tuple[np.ndarray, np.ndarray]:
    """Stage two: the cell around every nucleus, and the nucleus within the cell.

    Args:
        colours: of the image.
        seeds: bool, H × W, not empty: nuclei of stage one.
        foreground: bool, H × W.
        red_area: pixels of a red cell, where known: it tells nuclei from lobes of one.
        method: of clustering.
        parameters: of this stage.

    Returns:
        White cells and their nuclei, int32, H × W, ids from 1.
    """
    radius = np.sqrt(np.median(label_components(seeds)[1][1:]) / np.pi)
    foreground = fill_holes(foreground, parameters.max_hole * np.pi * radius**2)
    groups = group_nuclei(seeds, foreground, radius, red_area)
    cytoplasm = _cytoplasm(colours, foreground & ~seeds, groups, method, parameters)
    gains = [_gain(group, cytoplasm, seeds, foreground, parameters) for group in groups]
    centres, reaches = np.array([group.centre for group in groups]), np.array([group.reach for group in groups])
    outlines = star_convex_regions(gains, centres, reaches)
    owner = _assign_pixels(groups, outlines, close_mask(foreground, parameters.max_gap * radius))
    _join_halves(owner, seeds, parameters)
    return _finish(colours, owner, seeds, radius, method, parameters)


def find_nucleus(
    light: np.ndarray,
    lab: np.ndarray,
    cell: np.ndarray,
    method: ClusteringMethod,
    parameters: WhiteCellParameters = DEFAULTS,
) -> np.ndarray:
    """The nucleus in a cell: the cluster that transmits less green light and is more violet.

    Args:
        light: float32, h × w, 0 to 1: transmitted green light around the cell.
        lab: float32, h × w × 3: CIELAB with the background as white.
        cell: bool, h × w.
        method: of clustering.
        parameters: of this stage.

    Returns:
        bool, h × w.
    """
    area = cell.sum()
    radius = np.sqrt(area / np.pi)
    tone = np.sqrt(light) + lab @ np.array(parameters.tone, np.float32)
    sigma = parameters.chromatin_radius * radius
    inside = cell.astype(np.float32)
    weight = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)
    tone = cv2.GaussianBlur(tone * inside, (0, 0), sigma) / weight
    values = tone[cell][:, None]
    start = np.percentile(values, [80, 20])[:, None]
    dark = np.zeros(cell.shape, bool)
    sample = values[:: max(len(values) // parameters.sample, 1)]
    dark[cell] = method(sample, np.ones(len(sample)), start)(values)[:, 1] > parameters.min_nucleus
    nucleus = open_mask(fill_holes(dark, 0.04 * area), 0.06 * radius) & cell
    return remove_small(nucleus, 0.02 * area)


def _cytoplasm(
    colours: Colours,
    beside: np.ndarray,
    groups: Sequence[NucleusGroup],
    method: ClusteringMethod,
    parameters: WhiteCellParameters,
) -> np.ndarray:
    """How likely foreground outside nuclei is cytoplasm by its colour: float32, H × W, 0 to 1.

    The colours are clustered; each cluster is cytoplasm as far as it is more frequent close to nuclei than far from
    them, where red cells are.
    """
    distance = np.full(beside.shape, np.inf, np.float32)
    for group in groups:
        distance[group.window] = np.minimum(distance[group.window], group.distance)
    close, far = beside & (distance < parameters.cytoplasm_distance), beside & (distance > parameters.red_cell_distance)
    if not close.any() or far.mean() < 0.02:
        return np.ones(beside.shape, np.float32)
    colour, size = colours.palette_index, len(colours.palette)
    share_close, share_far = (np.bincount(colour[where], minlength=size) / where.sum() for where in (close, far))
    weights = share_close + share_far
    points = colours.palette * parameters.lab_weights
    middle = np.average(points, axis=0, weights=weights)
    axis = np.average(points, axis=0, weights=share_close) - np.average(points, axis=0, weights=share_far)
    along = (points - middle) @ axis / max(float(axis @ axis), 1e-9)
    order = np.argsort(along)
    tints = parameters.tints
    steps = np.searchsorted(np.cumsum(weights[order]), weights.sum() * (np.arange(tints) + 0.5) / tints)
    memberships = method(points, weights, middle + along[order][steps][:, None] * axis)(points)
    close_tints, far_tints = share_close @ memberships, share_far @ memberships
    likelihood = memberships @ (close_tints / np.maximum(close_tints + far_tints, 1e-9))
    low, high = share_far @ likelihood, share_close @ likelihood
    return np.clip((likelihood - low) / max(high - low, parameters.min_difference), 0, 1).astype(np.float32)[colour]


def _gain(
    group: NucleusGroup,
    cytoplasm: np.ndarray,
    seeds: np.ndarray,
    foreground: np.ndarray,
    parameters: WhiteCellParameters,
) -> np.ndarray:
    """What each pixel around the lobes of a nucleus adds to its cell: float32, of the group's window.

    Background and other nuclei count against the cell, foreground counts for it the less it resembles red cells.
    """
    window, cost = group.window, -parameters.background_cost
    if group.body is None:
        gain = np.where(foreground[window], cytoplasm[window] - parameters.min_cytoplasm, cost).astype(np.float32)
    else:
        gain = np.where(group.body, 1, cost).astype(np.float32)
    gain[seeds[window]] = cost
    gain[group.lobes] = 1
    return gain


def _assign_pixels(
    groups: Sequence[NucleusGroup], outlines: Sequence[np.ndarray], foreground: np.ndarray
) -> np.ndarray:
    """The cell of each pixel, int32, H × W; where two outlines overlap, it is that of the nearer nucleus."""
    owner = np.zeros(foreground.shape, np.int32)
    nearest = np.full(foreground.shape, np.inf, np.float32)
    for number, (group, outline) in enumerate(zip(groups, outlines, strict=True), start=1):
        distance = group.distance
        mine = (outline & foreground[group.window]) | group.lobes
        mine &= distance < nearest[group.window]
        owner[group.window][mine] = number
        nearest[group.window][mine] = distance[mine]
    return owner


def _join_halves(owner: np.ndarray, seeds: np.ndarray, parameters: WhiteCellParameters) -> None:
    """Join cells that were cut in halves, in place: two halves that form a compact whole with much cytoplasm."""
    windows = dict(enumerate(ndimage.find_objects(owner), start=1))
    beside = [(owner[:, 1:], owner[:, :-1]), (owner[1:], owner[:-1])]
    pairs = np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in beside])
    for one, other in np.unique(np.sort(pairs[pairs.all(axis=1)], axis=1), axis=0):
        (rows, columns), (other_rows, other_columns) = windows[one], windows[other]
        window = (
            slice(min(rows.start, other_rows.start), max(rows.stop, other_rows.stop)),
            slice(min(columns.start, other_columns.start), max(columns.stop, other_columns.stop)),
        )
        both = (owner[window] == one) | (owner[window] == other)
        if seeds[window][both].mean() < parameters.joined_nucleus and solidity(both) > parameters.joined_solidity:
            owner[window][both] = other
            windows[other] = window


def _finish(
    colours: Colours,
    owner: np.ndarray,
    seeds: np.ndarray,
    radius: float,
    method: ClusteringMethod,
    parameters: WhiteCellParameters,
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth every cell, drop parts without a lobe, and find the nucleus; labels as of `find_white_cells`."""
    cells, nuclei = np.zeros(owner.shape, np.int32), np.zeros(owner.shape, np.int32)
    for number, found in enumerate(ndimage.find_objects(owner), start=1):
        if found is None:
            continue
        rows, columns = found
        window = (
            slice(max(rows.start - 2, 0), rows.stop + 2),
            slice(max(columns.start - 2, 0), columns.stop + 2),
        )
        cell = owner[window] == number
        lobes = cell & seeds[window]
        cell = components_touching(fill_holes(open_mask(cell, 0.12 * radius)) | lobes, lobes) & (cells[window] == 0)
        if cell.any():
            cells[window][cell] = number
            nuclei[window][
                find_nucleus(colours.green_transmittance[window], colours.lab[window], cell, method, parameters)
            ] = number
    return cells, nuclei

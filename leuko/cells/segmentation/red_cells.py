"""Red cells: the foreground without white cells, its pale centres filled, and clumps divided into single cells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from leuko.cells.segmentation.hough_circles import CircleEdges
from leuko.cells.segmentation.masks import (
    Component,
    components,
    distance_to_outside,
    fill_holes,
    label_components,
    mean_area_by_area,
    open_mask,
    solidity,
)


@dataclass(frozen=True)
class RedCellSizeParameters:
    """How the typical size of a red cell is estimated; areas, radii and ratios without unit.

    Attributes:
        min_solidity: of an object that may be a single cell.
        min_single_cells: single cells of about one size, for their median to be the size of a red cell.
        max_spread: ratio of the areas of red cells that are alike.
        max_disagreement: ratio of the areas by single cells and by clumps up to which the single cells alone are used.
        clump_weight: single cells that the estimate by clumps is worth when both are combined.
        min_radius, max_radius: of a red cell, in radii of a typical nucleus.
        debris_radius: of the radius by clumps; single objects that are smaller are debris.
        platelet_ratio: largest ratio of red-cell to nucleus radius; above it, the "nuclei" are platelets.
        scarce_stain: stained area over red area, below which clumps are measured without a nucleus.
        thickness_ratio: radius of a disc of a red cell's area over the largest circle within the cell: pale centres and
            dents make cells thinner than discs.
        min_thickness: of the thickest places in clumps; thinner ones are no cell's centre.
        min_places: thick places in clumps, for their thickness to give the scale.
    """

    min_solidity: float = 0.93
    min_single_cells: int = 3
    max_spread: float = 1.5
    max_disagreement: float = 1.8
    clump_weight: int = 3
    min_radius: float = 0.5
    max_radius: float = 1.4
    debris_radius: float = 0.2
    platelet_ratio: float = 3.4
    scarce_stain: float = 0.035
    thickness_ratio: float = 1.1
    min_thickness: float = 0.4
    min_places: int = 8


@dataclass(frozen=True)
class RedCellParameters:
    """How red cells are separated.

    Attributes:
        size: how their size is estimated.
        min_area: of a red cell's area; less is debris.
        max_pallor: of a red cell's area; larger holes are gaps between cells.
        max_single_area: of a red cell's area, up to which a compact object is one large cell.
        single_solidity: of such an object, less
        solidity_loss: over its radius in pixels, since digital edges are staircases.
        rim_ratio: radius of a mask over the radius at which light changes most.
        edge_weight: weight of the edges in the size of a cell, 0 to 1; the rest is the weight of areas.
        border_radii: beyond the image's border: as far out lie centres of cells of which enough is visible to count.
        k_means_rounds: enough for the few centres of one clump.
        sample_per_cell: pixels a cell by which a large object is divided.
    """

    size: RedCellSizeParameters = RedCellSizeParameters()
    min_area: float = 0.1
    max_pallor: float = 0.5
    max_single_area: float = 1.4
    single_solidity: float = 0.98
    solidity_loss: float = 0.33
    rim_ratio: float = 1.12
    edge_weight: float = 0.75
    border_radii: float = 0.7
    k_means_rounds: int = 5
    sample_per_cell: int = 60


DEFAULTS = RedCellParameters()


@dataclass(frozen=True)
class RedCells:
    """The red cells of a field.

    Attributes:
        labels: int32, H × W, ids from 1.
        diameter: of a red cell in pixels; None where too few are sharp and separate to measure it.
        plausible_edges: whether they have the edges of red cells.
    """

    labels: np.ndarray
    diameter: float | None
    plausible_edges: bool


def find_red_cells(
    light: np.ndarray,
    foreground: np.ndarray,
    white_cells: np.ndarray,
    nucleus_radius: float | None,
    parameters: RedCellParameters = DEFAULTS,
) -> RedCells:
    """Find the red cells of a field.

    Args:
        light: float32, H × W: transmitted light.
        foreground: bool, H × W.
        white_cells: bool, H × W: white cells and platelets.
        nucleus_radius: of a typical nucleus of the white cells, in pixels, or None without nuclei; it bounds the size
            that a red cell may have.
        parameters: how red cells are separated.
    """
    mask = open_mask(foreground & ~white_cells, 1)
    area, reliable = _typical_area(mask, white_cells, nucleus_radius, parameters.size)
    if not area:
        return RedCells(np.zeros(mask.shape, np.int32), None, False)
    return separate(light, mask, white_cells, 2 * np.sqrt(area / np.pi), reliable, parameters)


def separate(
    light: np.ndarray,
    mask: np.ndarray,
    white_cells: np.ndarray,
    diameter: float,
    reliable: bool = True,
    parameters: RedCellParameters = DEFAULTS,
) -> RedCells:
    """Separate the red cells of a mask by their edges and areas.

    Args:
        light: float32, H × W: transmitted light.
        mask: bool, H × W: red cells.
        white_cells: bool, H × W: white cells and platelets.
        diameter: expected, of a red cell, px.
        reliable: whether it is known well enough to give a scale.
        parameters: how red cells are separated.
    """
    radius = diameter / 2
    area = np.pi * radius**2
    labels = np.zeros(mask.shape, np.int32)
    mask = open_mask(fill_holes(mask, parameters.max_pallor * area) & ~white_cells, 0.2 * radius)
    if not mask.any():
        return RedCells(labels, 2 * radius if reliable else None, False)
    edges = CircleEdges.detect(light, mask, white_cells, radius)
    edge_radius = edges.typical_radius()
    if edge_radius:
        radius *= (parameters.rim_ratio * edge_radius / radius) ** parameters.edge_weight
        area = np.pi * radius**2
    centres = np.zeros(mask.shape, bool)
    centres[tuple(edges.centres(radius).T)] = True
    depth = distance_to_outside(mask)
    cell_share = _cell_share(mask.shape, area, parameters.border_radii * radius)
    min_solidity = parameters.single_solidity - parameters.solidity_loss / radius
    for component in components(mask, parameters.min_area * area):
        window = component.window
        single = component.area < parameters.max_single_area * area and solidity(component.mask) > min_solidity
        if single:
            pieces = np.ones(component.area, int)
        else:
            pieces = _divide(component, centres[window], depth[window], cell_share[window], parameters)
        labels[window][component.mask] = labels.max() + pieces
    plausible = edge_radius is not None and edges.is_plausible(edge_radius)
    return RedCells(labels, 2 * radius if reliable else None, plausible)


def red_cell_area(
    foreground: np.ndarray, nuclei: np.ndarray, parameters: RedCellParameters = DEFAULTS
) -> tuple[float | None, bool]:
    """Pixels of a red cell in the foreground without nuclei, None if there is none; and whether the seeming nuclei are
    platelets."""
    radius = np.sqrt(mean_area_by_area(nuclei) / np.pi)
    area = _typical_area(open_mask(foreground & ~nuclei, 1), nuclei, radius, parameters.size)[0]
    return area or None, area > np.pi * (parameters.size.platelet_ratio * radius) ** 2


def _typical_area(
    mask: np.ndarray, stained: np.ndarray, nucleus_radius: float | None, parameters: RedCellSizeParameters
) -> tuple[float, bool]:
    """The area of a red cell, combined from single cells and clumps; and whether enough of them agree on it.

    Args:
        mask: bool, H × W: red cells, with their pale centres open.
        stained: bool, H × W: what is left out of it.
        nucleus_radius: as for `find_red_cells`.
        parameters: how the size is estimated.
    """
    filled = fill_holes(mask)
    singles = np.array(
        [c.area for c in components(filled, 12) if not c.touches_border and solidity(c.mask) > parameters.min_solidity]
    )
    area = _area_by_single_cells(singles, parameters)
    scarce = stained.sum() < parameters.scarce_stain * mask.sum()  # platelets alone: clumps are measured too
    rough = _area_by_clumps(filled, None, parameters)[0] if scarce else 0.0
    if area < parameters.debris_radius**2 * rough:
        area = 0.0
    if nucleus_radius and (area or rough) > np.pi * (parameters.platelet_ratio * nucleus_radius) ** 2:
        nucleus_radius = None
    if nucleus_radius and area < np.pi * (parameters.min_radius * nucleus_radius) ** 2:
        area = 0.0
    if nucleus_radius is not None:
        filled = fill_holes(mask, np.pi * (parameters.max_radius * nucleus_radius) ** 2)
    by_clumps, enough_clumps = _area_by_clumps(filled, nucleus_radius, parameters)
    agree = 1 / parameters.max_disagreement < area / max(by_clumps, 1e-9) < parameters.max_disagreement
    if area and not agree:
        return area, True
    if not by_clumps:
        return 0.0, False
    if area:
        alike = _within(singles, area, parameters.max_spread)
    else:
        alike = _within(singles, by_clumps, parameters.max_disagreement)
    weight = parameters.clump_weight
    combined = np.exp((np.log(alike).sum() + weight * np.log(by_clumps)) / (len(alike) + weight))
    return float(combined), bool(area) or enough_clumps


def _area_by_single_cells(areas: np.ndarray, parameters: RedCellSizeParameters) -> float:
    """The area of a red cell by compact separate objects; 0 where too few agree on it.

    It is near the area that halves the total area (debris is frequent but small).
    """
    if not len(areas):
        return 0.0
    areas = np.sort(areas)
    middle = areas[np.searchsorted(np.cumsum(areas), areas.sum() / 2)]
    alike = _within(areas, middle, parameters.max_spread)
    return float(np.median(alike)) if len(alike) >= parameters.min_single_cells else 0.0


def _area_by_clumps(
    mask: np.ndarray, nucleus_radius: float | None, parameters: RedCellSizeParameters
) -> tuple[float, bool]:
    """The area of a red cell by the thickness of clumps, 0 where there are none; and whether they are enough."""
    depth = distance_to_outside(mask)
    peaks = (depth == cv2.dilate(depth, np.ones((5, 5), np.uint8))) & (depth >= 2) & (depth < min(mask.shape) / 2)
    _, first = np.unique(label_components(peaks)[0][peaks], return_index=True)  # an even ridge is one place
    thickness = depth[peaks][first]
    if nucleus_radius is not None:
        low, high = parameters.min_radius * nucleus_radius, parameters.max_radius * nucleus_radius
        thickness = thickness[(thickness >= low) & (thickness <= high)]
    if not len(thickness):
        return 0.0, False
    thick = thickness[thickness >= parameters.min_thickness * np.quantile(thickness, 0.95)]
    radius = parameters.thickness_ratio * np.median(thick)
    return float(np.pi * radius**2), len(thickness) >= parameters.min_places


def _within(areas: np.ndarray, middle: float, factor: float) -> np.ndarray:
    """The areas that differ from a middle one by less than a factor."""
    return areas[(areas > middle / factor) & (areas < middle * factor)]


def _cell_share(shape: tuple[int, ...], area: float, beyond: float) -> np.ndarray:
    """How much of a cell each pixel is, H × W; border pixels also stand for the `beyond` pixels outside."""
    share = np.full(shape, 1 / area)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        share[edge] += beyond / area
    return share


def _divide(
    clump: Component,
    centres: np.ndarray,
    depth: np.ndarray,
    cell_share: np.ndarray,
    parameters: RedCellParameters,
) -> np.ndarray:
    """Divide a clump into cells by their centres, and what is too large for one cell by its area.

    Args:
        clump: of N pixels.
        centres: bool, of the window's size.
        depth: float32, of the window's size: distance to the edge of the mask.
        cell_share: of the window's size: how much of a cell each pixel is.
        parameters: how red cells are separated.

    Returns:
        int, N, one per pixel of the clump in the order of its mask: ids from 1.
    """
    centres = centres & clump.mask
    if not centres.any():
        centres[np.unravel_index(np.where(clump.mask, depth, 0).argmax(), depth.shape)] = True
    pieces = _nearest_centre(centres)[clump.mask]
    cells = np.rint(np.bincount(pieces, cell_share[clump.mask])).astype(int)  # in each piece, by its area
    if cells.max() < 2:
        return pieces
    pixels, weight = np.argwhere(clump.mask), depth[clump.mask]
    for piece in np.flatnonzero(cells > 1):
        inside = pieces == piece
        centres[tuple(pixels[inside & centres[clump.mask]].T)] = False
        centres[tuple(_spread_centres(pixels[inside], weight[inside], cells[piece], parameters).T)] = True
    return _nearest_centre(centres)[clump.mask]


def _nearest_centre(centres: np.ndarray) -> np.ndarray:
    """For every pixel the number of the centre nearest to it, from 1."""
    outside = (~centres).view(np.uint8)
    return cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]


def _spread_centres(pixels: np.ndarray, weight: np.ndarray, number: int, parameters: RedCellParameters) -> np.ndarray:
    """A number of centres among pixels, far from one another and from the edge: weighted k-means."""
    step = slice(None, None, max(len(pixels) // (parameters.sample_per_cell * number), 1))
    sample, weight = pixels[step].astype(float), weight[step]
    centres = sample[[weight.argmax()]]
    for _ in range(number - 1):
        centres = np.concatenate([centres, sample[[(cdist(sample, centres).min(axis=1) * weight).argmax()]]])
    for _ in range(parameters.k_means_rounds):
        counts = np.eye(number)[cdist(sample, centres).argmin(axis=1)] * weight[:, None]
        centres = counts.T @ sample / np.maximum(counts.sum(axis=0), 1e-9)[:, None]
    return centres.round().astype(int)

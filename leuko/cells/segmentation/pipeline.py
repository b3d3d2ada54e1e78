"""From a smear image to its cells: by a network (`leuko.cells.segmentation.learned`), or by colours, then shape.

By colours: stage one clusters those of the whole image into background, red cells and stained material. Stage two
clusters those around and inside every white cell into surroundings, cytoplasm and nucleus; shapes separate what
touches. No size in pixels is fixed: the image is resized so that nuclei have a known size, and red cells, about 7.5 µm
wide, give the scale in micrometres. After the two-stage fuzzy segmentation of the paper "Deep Leuko", built anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.cells.segmentation.clustering import METHODS as CLUSTERING
from leuko.cells.segmentation.clustering import ClusteringMethod
from leuko.cells.segmentation.colour_space import Colours
from leuko.cells.segmentation.learned.field import segment_field
from leuko.cells.segmentation.learned.network import SegmentationNetwork
from leuko.cells.segmentation.masks import components, mean_area_by_area, typical_area
from leuko.cells.segmentation.nuclei import find_nuclei, find_stained, foregrounds
from leuko.cells.segmentation.plausibility import are_red_cells, describe_scale_conflict, why_unreliable
from leuko.cells.segmentation.red_cells import find_red_cells, red_cell_area
from leuko.cells.segmentation.result import ScaleSource, Segmentation
from leuko.cells.segmentation.white_cells import find_nucleus, find_white_cells
from leuko.images import field_of_view, masked_cell_detection
from leuko.images.field_of_view import FieldOfView
from leuko.images.label_maps import ids_of, renumber


@dataclass(frozen=True)
class WorkingScaleParameters:
    """The scale at which an image is segmented.

    Attributes:
        first_side_px: longer side at which the size of the nuclei is first measured; enough for a rough size.
        min_radius_px, max_radius_px: of a typical nucleus; the image is resized if it lies outside. Smaller nuclei lose
            their shape, larger ones only cost time.
        tolerance: relative difference to the first scale that is not worth a second segmentation.
        max_side_px: longer side, which bounds the time.
        max_enlargement: more adds no detail.
    """

    first_side_px: int = 384
    min_radius_px: float = 11.0
    max_radius_px: float = 32.0
    tolerance: float = 0.1
    max_side_px: int = 1400
    max_enlargement: float = 2.0


@dataclass(frozen=True)
class SizeParameters:
    """What is too small for a white cell: by red cells where their size is known, else by the typical white cell.

    Attributes:
        min_diameter: of a red cell's diameter; smaller stained objects are platelets.
        min_nucleus: of a red cell's area; objects with a smaller nucleus are platelets, on a red cell too.
        min_fragment: of a red cell's area; a smaller part of a white cell at the border is not counted as a cell.
        min_diameter_by_white: of the typical white cell's diameter, where red cells give no size.
        min_fragment_by_white: of the typical white cell's area, where red cells give no size.
    """

    min_diameter: float = 0.75
    min_nucleus: float = 0.3
    min_fragment: float = 0.75
    min_diameter_by_white: float = 0.4
    min_fragment_by_white: float = 0.25


METHODS = ("learned", *CLUSTERING)
DEFAULT_METHOD = "learned"  # of the command line, the page, the API and `leuko.segment`
WORKING_SCALE = WorkingScaleParameters()
SIZES = SizeParameters()


@dataclass(frozen=True)
class _Objects:
    """The objects of a field at the working scale.

    Attributes:
        nuclei: bool, h × w.
        white_cells, red_cells, platelets: labels, int32, h × w.
        red_diameter: px, None where it cannot be measured.
        red_cells_plausible: as of `Segmentation`.
    """

    nuclei: np.ndarray
    white_cells: np.ndarray
    red_cells: np.ndarray
    platelets: np.ndarray
    red_diameter: float | None
    red_cells_plausible: bool | None


def segment(
    image: np.ndarray,
    method: str = DEFAULT_METHOD,
    um_per_px: float | None = None,
    network: SegmentationNetwork | None = None,
) -> Segmentation:
    """Segment the cells of a smear, of a whole field or of a single cell.

    Args:
        image: uint8, H × W × 3, RGB.
        method: one of `METHODS`: `learned`, or how the paper's two-stage segmentation clusters colours.
        um_per_px: the size of a pixel that the file states, if any; used where red cells give no scale.
        network: of the method `learned`; by default the one that belongs to this version.

    Raises:
        KeyError: there is no such method.
    """
    learned = method == "learned"
    clustering = CLUSTERING["fuzzy" if learned else method]
    view = field_of_view.find(image)
    cell = masked_cell_detection.find(image) if view is None else None
    if cell is not None:
        return replace(_segment_masked_cell(image, cell, clustering, um_per_px), method=method)
    smear = image if view is None else view.crop(image)
    if learned:
        segmentation = segment_field(smear, network or SegmentationNetwork.embedded(), um_per_px)
    else:
        segmentation = _segment_by_colours(smear, clustering, um_per_px)
    return replace(segmentation if view is None else _embed(segmentation, view), method=method)


def _segment_by_colours(image: np.ndarray, method: ClusteringMethod, um_per_px: float | None) -> Segmentation:
    """The segmentation of an image all of which shows a smear."""
    height, width = image.shape[:2]
    first_scale = min(1.0, max(WORKING_SCALE.first_side_px / max(height, width), 1 / min(height, width)))
    colours, stained = _find_stained(image, first_scale, method)
    scale = _working_scale(stained, first_scale, max(height, width))
    if scale != first_scale:
        colours, stained = _find_stained(image, scale, method)
    objects = _find_objects(colours, stained, method)
    white_cells, red_cells, platelets = (
        renumber(_resize_labels(labels, (width, height)))
        for labels in (objects.white_cells, objects.red_cells, objects.platelets)
    )
    nuclei = _resize_labels(objects.nuclei.astype(np.uint8), (width, height))
    plausible = objects.red_cells_plausible
    measured = RED_CELL_DIAMETER_UM * scale / objects.red_diameter if objects.red_diameter and plausible else None
    source: ScaleSource | None = "red cells" if measured else "file" if um_per_px else None
    unreliable_reason = why_unreliable(white_cells, plausible)
    return Segmentation(
        np.where(nuclei > 0, white_cells, 0).astype(np.int32),
        white_cells,
        red_cells,
        platelets,
        measured or um_per_px,
        scale_source=source,
        scale_conflict=describe_scale_conflict(measured, um_per_px),
        red_cells_plausible=plausible,
        reliable=not unreliable_reason,
        unreliable_reason=unreliable_reason,
    )


def _embed(segmentation: Segmentation, view: FieldOfView) -> Segmentation:
    """The segmentation of an eyepiece's disc on the whole image, without objects outside the disc."""
    inside = view.inside()
    kept = ids_of(np.where(inside, segmentation.white_cells, 0)) - 1
    white_cells, red_cells, platelets = (
        view.embed(renumber(np.where(inside, labels, 0)))
        for labels in (segmentation.white_cells, segmentation.red_cells, segmentation.platelets)
    )
    smudges, confidence = segmentation.smudges, segmentation.confidence
    in_nucleus = view.embed(np.where(inside & (segmentation.nuclei > 0), 1, 0).astype(np.int32))
    return replace(
        segmentation,
        nuclei=in_nucleus * white_cells,
        white_cells=white_cells,
        red_cells=red_cells,
        platelets=platelets,
        surround=view.surround(),
        smudges=None if smudges is None else view.embed(renumber(np.where(inside, smudges, 0))),
        confidence=None if confidence is None else confidence[kept],
    )


def _segment_masked_cell(
    image: np.ndarray, cell: np.ndarray, method: ClusteringMethod, um_per_px: float | None
) -> Segmentation:
    """The nucleus of a single cell, bool, H × W, that was cut out of its surroundings."""
    (window,) = ndimage.find_objects(cell.astype(np.uint8))
    mask = cell[window]
    scale = min(1.0, WORKING_SCALE.max_radius_px / np.sqrt(mask.sum() / np.pi))
    small = _resize(np.where(mask[..., None], image[window], np.uint8(255)), scale)
    small_height, small_width = small.shape[:2]
    colours = Colours.from_image(small)
    inside = _resize_labels(mask.astype(np.uint8), (small_width, small_height)) > 0
    nucleus = find_nucleus(colours.green_transmittance, colours.lab, inside, method).astype(np.uint8)
    height, width = mask.shape
    nuclei = np.zeros(cell.shape, np.int32)
    nuclei[window] = mask & (_resize_labels(nucleus, (width, height)) > 0)
    return Segmentation(
        nuclei,
        white_cells=cell.astype(np.int32),
        red_cells=np.zeros(cell.shape, np.int32),
        platelets=np.zeros(cell.shape, np.int32),
        um_per_px=um_per_px,
        scale_source="file" if um_per_px else None,
        masked_cell=True,
        surround=~cell,
    )


def _find_stained(image: np.ndarray, scale: float, method: ClusteringMethod) -> tuple[Colours, np.ndarray]:
    """The colours of an image resized by a factor, and its stained material, bool, h × w."""
    colours = Colours.from_image(_resize(image, scale))
    return colours, find_stained(colours, method)


def _working_scale(stained: np.ndarray, first_scale: float, longer_side: int) -> float:
    """The factor by which to resize an image, so that its nuclei have the radius that the shape rules are made for.

    Args:
        stained: bool: stained material at the first scale.
        first_scale: factor at which it was found.
        longer_side: of the image, px.
    """
    seeds = find_nuclei(stained)
    if not seeds.any():
        return first_scale
    radius = np.sqrt(mean_area_by_area(seeds) / np.pi)
    low, high = (first_scale * px / radius for px in (WORKING_SCALE.min_radius_px, WORKING_SCALE.max_radius_px))
    scale = min(np.clip(1.0, low, high), WORKING_SCALE.max_enlargement, WORKING_SCALE.max_side_px / longer_side)
    return first_scale if abs(scale - first_scale) < WORKING_SCALE.tolerance * first_scale else scale


def _find_objects(colours: Colours, stained: np.ndarray, method: ClusteringMethod) -> _Objects:
    """White cells, red cells and platelets of a field at the working scale."""
    seeds = find_nuclei(stained)
    empty = np.zeros(seeds.shape, np.int32)
    white_foreground, red_foreground = foregrounds(colours, seeds, method)
    white, nuclei = empty, empty
    if seeds.any():
        area, are_platelets = red_cell_area(red_foreground, seeds)
        if not are_platelets:
            white, nuclei = find_white_cells(colours, seeds, white_foreground, area, method)
    debris = stained & (white == 0)
    nucleus_radius = np.sqrt(typical_area(np.bincount(nuclei.ravel())[1:]) / np.pi) if nuclei.any() else None
    red = find_red_cells(colours.green_transmittance, red_foreground, (white > 0) | debris, nucleus_radius)
    undersized, border_fragments = _too_small(white, nuclei, red.diameter)
    platelets = empty.copy()
    for number, component in enumerate(components(debris | undersized, 6), start=1):
        platelets[component.window][component.mask] = number
    white = np.where(undersized | border_fragments, 0, white)
    in_nucleus = (nuclei > 0) & (white > 0)
    plausible = None
    if red.labels.any():
        plausible = red.plausible_edges and are_red_cells(colours.lab, red.labels, in_nucleus)
    return _Objects(in_nucleus, white, red.labels, platelets, red.diameter, plausible)


def _too_small(white: np.ndarray, nuclei: np.ndarray, red_diameter: float | None) -> tuple[np.ndarray, np.ndarray]:
    """What is too small for a white cell: platelets, and fragments of cells beyond the border; bool masks."""
    if not white.any():
        return white > 0, white > 0
    area = np.bincount(white.ravel())[1:]
    if red_diameter:
        red_area = np.pi / 4 * red_diameter**2
        min_diameter, min_fragment = SIZES.min_diameter * red_diameter, SIZES.min_fragment * red_area
        nucleus_area = np.bincount(nuclei.ravel(), minlength=len(area) + 1)[1:]
        without_nucleus = nucleus_area < SIZES.min_nucleus * red_area
    else:
        typical = np.median(area)
        min_diameter = SIZES.min_diameter_by_white * 2 * np.sqrt(typical / np.pi)
        min_fragment = SIZES.min_fragment_by_white * typical
        without_nucleus = np.zeros(len(area), bool)
    edge = np.unique(np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]]))
    ids = np.arange(1, len(area) + 1)
    fragment = (area < min_fragment) & np.isin(ids, edge)
    undersized = ((2 * np.sqrt(area / np.pi) < min_diameter) | without_nucleus) & ~fragment
    return np.isin(white, ids[undersized]), np.isin(white, ids[fragment])


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return image if factor == 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)


def _resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels resized to a width and height."""
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)

"""Segmentation of a field by the network: classes of pixels, cells by votes, the scale by red cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.cells.segmentation.learned.cell_votes import SMUDGES, WHITE_CELLS, Votes, gather
from leuko.cells.segmentation.learned.classes import BACKGROUND, CYTOPLASM, NUCLEUS, PLATELET, RED_CELL, SMUDGE
from leuko.cells.segmentation.learned.clump_division import divide_clumps
from leuko.cells.segmentation.learned.implausible_cells import correct_platelets, correct_white_cells
from leuko.cells.segmentation.learned.network import STRIDE, SegmentationNetwork
from leuko.cells.segmentation.learned.nuclei import refine_nuclei
from leuko.cells.segmentation.learned.red_cell_separation import separate_red_cells
from leuko.cells.segmentation.learned.scale_search import Looks, find_scale
from leuko.cells.segmentation.masks import components, fill_holes, label_components
from leuko.cells.segmentation.plausibility import describe_scale_conflict, why_unreliable
from leuko.cells.segmentation.result import ScaleSource, Segmentation
from leuko.images.label_maps import ids_of, renumber


@dataclass(frozen=True)
class FieldParameters:
    """What counts as a cell; areas in red cells' areas.

    Attributes:
        min_nucleus: of a white cell.
        min_white: area of a white cell,
        min_white_at_border: and of one that the border cuts; a smaller part of a cell is not counted.
        min_platelet: area.
        min_agreement: of the two looks, from which cells are counted (`Looks.agreement`).
        sure_background: share of a class from which a pixel tells the colour of the background.
    """

    min_nucleus: float = 0.15
    min_white: float = 0.55
    min_white_at_border: float = 0.75
    min_platelet: float = 0.02
    min_agreement: float = 0.66
    sure_background: float = 0.9


PARAMETERS = FieldParameters()
UNSURE = "Two looks at different resolutions find different cells, so no cells are counted."


def segment_field(image: np.ndarray, network: SegmentationNetwork, um_per_px: float | None) -> Segmentation:
    """The segmentation of an image all of which shows a smear.

    Args:
        image: uint8, H × W × 3, RGB.
        network: that finds the cells.
        um_per_px: the size of a pixel that the file states, if any; used where red cells give no scale.
    """
    looks = find_scale(image, network)
    segmentation = cells_of(looks, image, um_per_px)
    reason = why_unreliable(segmentation.white_cells, segmentation.red_cells_plausible)
    if not reason and looks.agreement() < PARAMETERS.min_agreement:
        reason = UNSURE
    if not reason:
        return segmentation
    return replace(
        segmentation,
        um_per_px=um_per_px,
        scale_source="file" if um_per_px else None,
        scale_conflict=None,
        red_cells_plausible=False if segmentation.red_cells.any() else None,
        reliable=False,
        unreliable_reason=reason,
    )


def cells_of(looks: Looks, image: np.ndarray, um_per_px: float | None) -> Segmentation:
    """The segmentation of an image by the look at it at the working scale.

    Args:
        looks: at the image.
        image: uint8, H × W × 3, RGB.
        um_per_px: as of `segment_field`.
    """
    diameter = (looks.look.red_diameter or 0.0) / STRIDE or 16.0
    red_area = np.pi / 4 * diameter**2
    shares, offsets = correct_platelets(looks.shares(), red_area), looks.look.offsets
    small = cv2.resize(looks.resized, shares.shape[:0:-1], interpolation=cv2.INTER_AREA)
    background = _background(small, shares[BACKGROUND])
    kind = shares.argmax(axis=0)
    white = gather(_is_white(kind), offsets, diameter, WHITE_CELLS)
    corrected = correct_white_cells(shares, white.labels, small, background, red_area)
    if corrected is not shares:
        shares, kind = corrected, corrected.argmax(axis=0)
        white = gather(_is_white(kind), offsets, diameter, WHITE_CELLS)
    red = separate_red_cells(looks.resized, shares, STRIDE * diameter, background)
    smudges = gather(kind == SMUDGE, offsets, diameter, SMUDGES)
    white_labels, too_small, confidence = _white_cells(white, kind == NUCLEUS, shares, red_area)
    height, width = image.shape[:2]
    in_hole = (white_labels > 0) & ~_is_white(kind)
    whole_white = np.where(in_hole, 1, shares[CYTOPLASM] + shares[NUCLEUS])
    labels = _enlarge(white_labels, whole_white, (width, height))
    in_nucleus = refine_nuclei(image, labels, _smooth(shares[NUCLEUS] - shares[CYTOPLASM], (width, height)), background)
    labels, origins = divide_clumps(labels, in_nucleus, red_area * (STRIDE / looks.factor) ** 2)
    platelets = np.zeros(kind.shape, np.int32)
    in_platelet = (kind == PLATELET) | too_small
    for number, component in enumerate(components(in_platelet, PARAMETERS.min_platelet * red_area), start=1):
        platelets[component.window][component.mask] = number
    red_cells, platelets, smudge_cells = (
        renumber(_enlarge(found, share, (width, height), labels > 0))
        for found, share in (
            (red.labels, shares[RED_CELL]),
            (platelets, np.maximum(shares[PLATELET], in_platelet)),
            (smudges.labels, shares[SMUDGE]),
        )
    )
    kept = origins[ids_of(labels)] - 1
    labels = renumber(labels)
    nuclei = np.where(in_nucleus, labels, 0)
    scale = RED_CELL_DIAMETER_UM * looks.factor / red.diameter if red.diameter else None
    source: ScaleSource | None = "red cells" if scale else "file" if um_per_px else None
    return Segmentation(
        nuclei,
        labels,
        red_cells,
        platelets,
        scale or um_per_px,
        scale_source=source,
        scale_conflict=describe_scale_conflict(scale, um_per_px),
        red_cells_plausible=red.plausible_edges if red.labels.any() else None,
        smudges=smudge_cells,
        confidence=confidence[kept].astype(np.float32),
    )


def _white_cells(
    votes: Votes, nucleus: np.ndarray, shares: np.ndarray, red_area: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """White cells among what has been parted: labels without gaps; what is too small, bool; and the confidence in each.

    Too small objects that the border does not cut are platelets. What has no nucleus is no white cell.
    """
    labels = _whole(votes.labels)
    count = len(votes.unity) + 1
    sizes = np.bincount(labels.ravel(), minlength=count)
    nuclei = np.bincount(labels[nucleus], minlength=count)
    certainty = np.bincount(labels.ravel(), (shares[CYTOPLASM] + shares[NUCLEUS]).ravel(), minlength=count)
    edge = np.zeros(count, bool)
    edge[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    large = sizes >= np.where(edge, PARAMETERS.min_white_at_border, PARAMETERS.min_white) * red_area
    kept = large & (nuclei >= PARAMETERS.min_nucleus * red_area)
    kept[0], large[0] = False, True
    new = np.cumsum(kept) * kept
    confidence = votes.unity * (certainty / np.maximum(sizes, 1))[1:]
    return new[labels].astype(np.int32), (~large & ~edge)[labels], confidence[kept[1:]]


def _whole(labels: np.ndarray) -> np.ndarray:
    """Cells without holes and without parts that lie apart."""
    whole = np.zeros_like(labels)
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        parts, areas = label_components(labels[window] == number)
        areas[0] = 0
        cell = fill_holes(parts == areas.argmax())
        whole[window][cell] = number
    return whole


def _is_white(kind: np.ndarray) -> np.ndarray:
    """Which classes of pixels, int, h × w, are those of white cells, bool."""
    return (kind == CYTOPLASM) | (kind == NUCLEUS)


def _background(image: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The median colour of what the network takes for background, float, 3; white where there is none."""
    empty = image[share > PARAMETERS.sure_background]
    return np.maximum(np.median(empty, axis=0), 1.0) if len(empty) else np.full(3, 255.0)


def _smooth(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of the network at a width and height of the image."""
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _enlarge(
    labels: np.ndarray, share: np.ndarray, size: tuple[int, int], taken: np.ndarray | None = None
) -> np.ndarray:
    """Labels of the maps at a width and height of the image, with the smooth outline of a share of 0.5.

    `taken`, bool, H × W, belongs to others.
    """
    enlarged = cv2.resize(_grow(labels), size, interpolation=cv2.INTER_NEAREST)
    enlarged[_smooth(share, size) <= 0.5] = 0
    if taken is not None:
        enlarged[taken] = 0
    return enlarged


def _grow(labels: np.ndarray) -> np.ndarray:
    """Labels that reach one pixel farther into what has none."""
    return np.where(
        labels > 0, labels, cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    )

"""Which nuclei belong to one white cell: clumps are split, bodies collect their lobes, close lobes are merged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.masks import (
    close_mask,
    components,
    label_components,
    open_mask,
    solidity,
    split_at_necks,
)

Window = tuple[slice, slice]


@dataclass(frozen=True)
class GroupingParameters:
    """How stained pieces are grouped into the nuclei of cells.

    Attributes:
        reach: in radii of the nucleus: how far from it cytoplasm may lie.
        body_solidity: from which a piece of foreground is one cell, whatever its colours.
        body_share: of a stained piece that must lie in a body to belong to it.
        nucleus_area: of a red cell's area; a larger stained piece is a nucleus of its own and no lobe.
        nucleus_share: of the typical stained piece's area, the same where the red cells' area is not known.
        clump_area: of a red cell's area; no typical nucleus is larger, though all in the image may be clumps.
        lobe_gap: of the typical radius; lobes that lie closer belong to one nucleus.
    """

    reach: float = 2.4
    body_solidity: float = 0.93
    body_share: float = 0.8
    nucleus_area: float = 1.2
    nucleus_share: float = 0.6
    clump_area: float = 1.6
    lobe_gap: float = 0.3


DEFAULTS = GroupingParameters()


@dataclass(frozen=True)
class NucleusGroup:
    """The lobes of one cell's nucleus, in a window of the image as wide as the cell may reach.

    Attributes:
        window: of the image.
        lobes: bool, of the window's size.
        centre: row and column in the window.
        radius: px, of a disc of the nucleus' area, or half its extent if that is more.
        reach: px: how far from the centre the cell may reach.
        body: bool, of the window's size: the compact piece of foreground that holds the lobes and is the cell; None if
            there is none.
    """

    window: Window
    lobes: np.ndarray
    centre: tuple[float, float]
    radius: float
    reach: float
    body: np.ndarray | None

    @cached_property
    def distance(self) -> np.ndarray:
        """Distance of the window's pixels from the lobes in radii."""
        return cv2.distanceTransform((~self.lobes).astype(np.uint8), cv2.DIST_L2, 5) / self.radius


@dataclass(frozen=True)
class _Pieces:
    """Stained pieces: labels, int32, H × W, from 1, and areas, int, K + 1, from label 0 on (which counts 0)."""

    labels: np.ndarray
    areas: np.ndarray


def group_nuclei(
    seeds: np.ndarray,
    foreground: np.ndarray,
    typical_radius: float,
    red_area: float | None,
    parameters: GroupingParameters = DEFAULTS,
) -> list[NucleusGroup]:
    """Group stained pieces cell by cell.

    Pieces are split where they are narrow. All pieces in one compact body of foreground belong to one cell. Of the
    others, a large piece is a nucleus of its own, and a small one is a lobe that belongs to other lobes close by.

    Args:
        seeds: bool, H × W, not empty: nuclei of stage one.
        foreground: bool, H × W.
        typical_radius: px, of a seed.
        red_area: pixels of a red cell, where known.
        parameters: how pieces are grouped.
    """
    max_radius = np.sqrt(parameters.clump_area * red_area / np.pi) if red_area else np.inf
    pieces = _split_clumps(seeds, 0.5 * min(typical_radius, max_radius))
    bodies = _compact_bodies(foreground, typical_radius, parameters)
    body_of_piece = _assign_bodies(pieces, bodies, parameters)
    min_nucleus = (
        parameters.nucleus_area * red_area if red_area else parameters.nucleus_share * np.pi * typical_radius**2
    )
    own_nucleus = (pieces.areas >= min_nucleus) & (body_of_piece == 0)
    own_nucleus[0] = False
    gap = parameters.lobe_gap * typical_radius
    groups, body_of_group = _merge_lobes(seeds, pieces, own_nucleus, body_of_piece, gap)
    return [
        _group(groups, number, window, bodies, body_of_group.get(number, 0), parameters)
        for number, window in enumerate(ndimage.find_objects(groups), start=1)
        if window is not None  # closing may fill a corner that holds no nucleus
    ]


def _split_clumps(seeds: np.ndarray, min_radius: float) -> _Pieces:
    """Split stained components where they are narrow."""
    labels, areas = np.zeros(seeds.shape, np.int32), [0]
    for component in components(seeds):
        split = split_at_necks(component.mask, min_radius)
        for piece in range(1, split.max() + 1):
            labels[component.window][split == piece] = len(areas)
            areas.append(int((split == piece).sum()))
    return _Pieces(labels, np.array(areas))


def _compact_bodies(foreground: np.ndarray, typical_radius: float, parameters: GroupingParameters) -> np.ndarray:
    """Compact pieces of foreground that are larger than a nucleus, as labels, int32, H × W."""
    bodies = np.zeros(foreground.shape, np.int32)
    opened = open_mask(foreground, 0.3 * typical_radius)
    for number, component in enumerate(components(opened, np.pi * typical_radius**2), start=1):
        if solidity(component.mask) > parameters.body_solidity:
            bodies[component.window][component.mask] = number
    return bodies


def _assign_bodies(pieces: _Pieces, bodies: np.ndarray, parameters: GroupingParameters) -> np.ndarray:
    """The body that holds each piece, from piece 0 on; 0 where none holds most of it."""
    count = bodies.max() + 1
    shared = np.bincount(pieces.labels.ravel() * count + bodies.ravel(), minlength=len(pieces.areas) * count)
    shared = shared.reshape(len(pieces.areas), -1)
    shared[:, 0] = 0
    body = np.where(shared.max(axis=1) > parameters.body_share * pieces.areas, shared.argmax(axis=1), 0)
    body[0] = 0
    return body


def _merge_lobes(
    seeds: np.ndarray, pieces: _Pieces, own_nucleus: np.ndarray, body_of_piece: np.ndarray, gap: float
) -> tuple[np.ndarray, dict[int, int]]:
    """The group of each stained pixel, int32, H × W, and the bodies of the groups that have one.

    Groups are numbered: first those of bodies, then large pieces alone, then lobes that lie closer than `gap`.
    """
    used_bodies, index = np.unique(body_of_piece, return_inverse=True)  # 0 is the first
    group_of_piece = np.where(own_nucleus, len(used_bodies) - 1 + np.cumsum(own_nucleus), index)
    lobes = seeds & (group_of_piece == 0)[pieces.labels]
    merged = label_components(close_mask(lobes, gap) & ~own_nucleus[pieces.labels])[0]
    of_piece = group_of_piece[pieces.labels]
    groups = np.where(lobes & (merged > 0), merged + group_of_piece.max(), of_piece).astype(np.int32)
    return groups, dict(enumerate(used_bodies.tolist()))


def _group(
    groups: np.ndarray, number: int, window: Window, bodies: np.ndarray, body: int, parameters: GroupingParameters
) -> NucleusGroup:
    """The lobes of one group, within a window of the map of groups, and the body they lie in (0: none)."""
    ys, xs = np.nonzero(groups[window] == number)
    radius = max(np.sqrt(len(ys) / np.pi), 0.8 * max(np.ptp(ys), np.ptp(xs)) / 2)
    reach = parameters.reach * radius
    y, x = (side.start + (along.min() + along.max()) / 2 for side, along in zip(window, (ys, xs), strict=True))
    rows, columns = (slice(max(int(c - reach) - 2, 0), int(c + reach) + 3) for c in (y, x))
    window = rows, columns
    return NucleusGroup(
        window=window,
        lobes=groups[window] == number,
        centre=(y - rows.start, x - columns.start),
        radius=radius,
        reach=reach,
        body=bodies[window] == body if body else None,
    )

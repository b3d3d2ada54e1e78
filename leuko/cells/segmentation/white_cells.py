"""Stage two: the cell around every nucleus, cytoplasm by what it is not, and touching cells parted by their shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation.clustering import Method
from leuko.cells.segmentation.colour_space import Colours
from leuko.cells.segmentation.masks import around, closed, fill, keep, labelled, opened, parts, solidity, split
from leuko.cells.segmentation.star_convex import star_shaped

REACH = 2.4  # radii of the nucleus: how far from it cytoplasm is looked for
FAR = 1.5  # radii: beyond this, what is no glass is red cells
CYTOPLASM = 0.35  # least membership of cytoplasm against red cells
COMPACT = 0.93  # solidity from which a region is one cell, whatever its colours
HUES = (0.5, 1.0, 1.0)  # how L*, a* and b* count between cytoplasm and red cells
TINTS = 6  # groups of colours among cytoplasm and red cells
DIFFERENT = 0.1  # by how much colours near nuclei must differ from those away for there to be cytoplasm
CLOSE = 0.35  # radii from a nucleus within which most is cytoplasm
NUCLEUS = 0.19  # least membership of nucleus inside a cell
TONE = (-0.0053, 0.0016, 0.0025)  # of L*, a* and b* beside the root of green light: the line that parts nuclei best
GRAIN = 0.035  # radii of the cell, sigma: chromatin is coarser than noise, and its lights belong to the nucleus
OWN = 1.2  # of a red cell's area: what is stained and larger is a nucleus of its own and no lobe
CLUMP = 1.6  # of a red cell's area: no usual nucleus is larger, though all that are seen may be clumps
OWN_AMONG = 0.6  # of the typical stained piece's area, the same where the red cells' is not known
WHOLE = 0.91  # solidity of a cell that was cut in halves
SHARED = 0.7  # greatest share of nuclei in a cell that was cut in halves
HOLE = 1.0  # of a nucleus' area: larger holes are gaps between cells
GAP = 0.3  # of a nucleus' radius: gaps in matter that are no wider belong to a cell
GLASS = 0.6  # what glass and foreign nuclei speak against belonging to a cell
SAMPLE = 1500  # pixels that groups are found from; more change nothing
# Shares and memberships were chosen on the even-numbered files of JTSC and BCCD.


def white_cells(
    colours: Colours, seeds: np.ndarray, matter: np.ndarray, red_area: float | None, method: Method
) -> tuple[np.ndarray, np.ndarray]:
    """Stage two: the cell around every nucleus, and the nucleus within the cell.

    Args:
        colours: of the image.
        seeds: bool, H × W, from `nuclei`, not empty.
        matter: bool, H × W: what is no glass.
        red_area: pixels of a red cell, where known: it tells nuclei from lobes of one.
        method: of clustering.

    Returns:
        White cells and their nuclei, int32, H × W, ids from 1.
    """
    typical = np.sqrt(np.median(labelled(seeds)[1][1:]) / np.pi)
    matter = fill(matter, HOLE * np.pi * typical**2)
    groups = list(_together(seeds, matter, typical, red_area))
    plasm = _plasm(colours, matter & ~seeds, groups, method)
    gains = [_gain(group, plasm, seeds, matter) for group in groups]
    centres, reaches = np.array([group.centre for group in groups]), np.array([group.reach for group in groups])
    outlines = star_shaped(gains, centres, reaches)
    filled = closed(matter, GAP * typical)
    owner, nearest = np.zeros(seeds.shape, np.int32), np.full(seeds.shape, np.inf, np.float32)
    for number, (group, mask) in enumerate(zip(groups, outlines, strict=True), start=1):
        here, far = (mask & filled[group.window]) | group.lobes, group.away
        here &= far < nearest[group.window]  # what two cells claim belongs to the nearer nucleus
        owner[group.window][here] = number
        nearest[group.window][here] = far[here]
    _join(owner, seeds)
    cells, inside = np.zeros(seeds.shape, np.int32), np.zeros(seeds.shape, np.int32)
    for number, window in enumerate(ndimage.find_objects(owner), start=1):
        if window is None:
            continue
        window = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in window)
        piece = owner[window] == number
        lobes = piece & seeds[window]
        piece = around(fill(opened(piece, 0.12 * typical)) | lobes, lobes) & (cells[window] == 0)
        if piece.any():
            cells[window][piece] = number
            inside[window][nucleus_of(colours, window, piece, method)] = number
    return cells, inside


def _join(owner: np.ndarray, seeds: np.ndarray) -> None:
    """Undo cuts through a cell, in place: halves that make a compact whole with much cytoplasm are one."""
    windows = dict(enumerate(ndimage.find_objects(owner), start=1))
    beside = [(owner[:, 1:], owner[:, :-1]), (owner[1:], owner[:-1])]
    pairs = np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in beside])
    for one, other in np.unique(np.sort(pairs[pairs.all(axis=1)], axis=1), axis=0):
        sides = zip(windows[one], windows[other], strict=True)
        window = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in sides)
        both = (owner[window] == one) | (owner[window] == other)
        if seeds[window][both].mean() < SHARED and solidity(both) > WHOLE:
            owner[window][both] = other
            windows[other] = window


@dataclass(frozen=True)
class _Group:
    """The lobes of one cell's nucleus, in a window of the image as wide as the cell may reach.

    Attributes:
        window: of the image.
        lobes: bool, of the window's size.
        centre: row and column in the window.
        radius: px, of a disc as large as the nucleus, or half its extent if that is more.
        piece: bool, of the window's size: the compact piece of matter in which it lies and which then is the cell;
            None if there is none.
    """

    window: tuple[slice, slice]
    lobes: np.ndarray
    centre: tuple[float, float]
    radius: float
    piece: np.ndarray | None

    @property
    def reach(self) -> float:
        return REACH * self.radius

    @classmethod
    def of(cls, number: int, belongs: np.ndarray, window: tuple[slice, slice], body: int, bodies: np.ndarray) -> _Group:
        """The lobes with a number in a map, int32, within a window of it, and the body they lie in (0: none)."""
        ys, xs = np.nonzero(belongs[window] == number)
        radius = max(np.sqrt(len(ys) / np.pi), 0.8 * max(np.ptp(ys), np.ptp(xs)) / 2)
        sides = zip(window, (ys, xs), strict=True)
        centre = [side.start + (along.min() + along.max()) / 2 for side, along in sides]
        window = tuple(slice(max(int(c - REACH * radius) - 2, 0), int(c + REACH * radius) + 3) for c in centre)
        centre = centre[0] - window[0].start, centre[1] - window[1].start
        return cls(window, belongs[window] == number, centre, radius, bodies[window] == body if body else None)

    @cached_property
    def away(self) -> np.ndarray:
        """Distance of the window's pixels from the lobes in radii."""
        return cv2.distanceTransform((~self.lobes).astype(np.uint8), cv2.DIST_L2, 5) / self.radius


def _together(seeds: np.ndarray, matter: np.ndarray, typical: float, red_area: float | None) -> Iterator[_Group]:
    """The nuclei cell by cell.

    Seeds are parted where they are narrow. What is large is a nucleus of its own; what is small is a lobe and goes with
    other lobes that lie close. All that lies in one compact piece of matter is one cell.
    """
    pieces, areas = np.zeros(seeds.shape, np.int32), [0]
    single = min(typical, np.sqrt(CLUMP * red_area / np.pi)) if red_area else typical
    for part in parts(seeds):
        found = split(part.mask, 0.5 * single)
        for piece in range(1, found.max() + 1):
            pieces[part.window][found == piece] = len(areas)
            areas.append(int((found == piece).sum()))
    bodies = np.zeros(seeds.shape, np.int32)
    for number, body in enumerate(parts(opened(matter, 0.3 * typical), np.pi * typical**2), start=1):
        if solidity(body.mask) > COMPACT:
            bodies[body.window][body.mask] = number
    shared = np.bincount(
        pieces.ravel() * (bodies.max() + 1) + bodies.ravel(), minlength=len(areas) * (bodies.max() + 1)
    )
    shared = shared.reshape(len(areas), -1)
    shared[:, 0] = 0
    home = np.where(shared.max(axis=1) > 0.8 * np.array(areas), shared.argmax(axis=1), 0)
    home[0] = 0
    large = np.array(areas) >= (OWN * red_area if red_area else OWN_AMONG * np.pi * typical**2)
    large &= home == 0
    large[0] = False
    homes, of_home = np.unique(home, return_inverse=True)  # 0 is the first
    number = np.where(large, len(homes) - 1 + np.cumsum(large), of_home)  # of each piece's group
    lobes = seeds & (number == 0)[pieces]
    heaps = labelled(closed(lobes, 0.3 * typical) & ~large[pieces])[0]
    belongs = np.where(lobes & (heaps > 0), heaps + number.max(), number[pieces]).astype(np.int32)
    for group, window in enumerate(ndimage.find_objects(belongs), start=1):
        if window is not None:  # closing may fill a corner that holds no nucleus
            body = homes[group] if group < len(homes) else 0
            yield _Group.of(group, belongs, window, body, bodies)


def _plasm(colours: Colours, beside: np.ndarray, groups: list[_Group], method: Method) -> np.ndarray:
    """How much the colours of what is neither glass nor nucleus speak for cytoplasm: float32, H × W, 0 to 1.

    The colours are sorted into groups; each speaks for cytoplasm as far as it is commoner close to nuclei than away
    from them, where red cells are.
    """
    far = np.full(beside.shape, np.inf, np.float32)
    for group in groups:
        far[group.window] = np.minimum(far[group.window], group.away)
    close, away = beside & (far < CLOSE), beside & (far > FAR)
    if not close.any() or away.mean() < 0.02:
        return np.ones(beside.shape, np.float32)
    colour, size = colours.index, len(colours.palette)
    here, there = (np.bincount(colour[where], minlength=size) / where.sum() for where in (close, away))
    weights = here + there
    points = colours.palette * HUES
    middle = np.average(points, axis=0, weights=weights)
    axis = np.average(points, axis=0, weights=here) - np.average(points, axis=0, weights=there)
    along = (points - middle) @ axis / max(axis @ axis, 1e-9)
    order = np.argsort(along)
    steps = np.searchsorted(np.cumsum(weights[order]), weights.sum() * (np.arange(TINTS) + 0.5) / TINTS)
    memberships = method(points, weights, middle + along[order][steps][:, None] * axis)(points)
    near, distant = here @ memberships, there @ memberships
    speaks = memberships @ (near / np.maximum(near + distant, 1e-9))
    low, high = there @ speaks, here @ speaks
    return np.clip((speaks - low) / max(high - low, DIFFERENT), 0, 1).astype(np.float32)[colour]


def _gain(group: _Group, plasm: np.ndarray, seeds: np.ndarray, matter: np.ndarray) -> np.ndarray:
    """What speaks for each pixel around the lobes of a nucleus being of its cell: float32, of the group's window.

    Glass and other nuclei speak against it, matter for it, the more the less it is like the red cells.
    """
    window = group.window
    if group.piece is None:
        gain = np.where(matter[window], plasm[window] - CYTOPLASM, -GLASS).astype(np.float32)
    else:
        gain = np.where(group.piece, 1, -GLASS).astype(np.float32)
    gain[seeds[window]] = -GLASS
    gain[group.lobes] = 1
    return gain


def nucleus_of(colours: Colours, window: tuple[slice, slice], cell: np.ndarray, method: Method) -> np.ndarray:
    """The nucleus in a cell: the group that lets less green light through and is more violet; bool, of the window's
    size, as is `cell`."""
    light, lab = colours.green[window], colours.lab[window]
    area = cell.sum()
    radius = np.sqrt(area / np.pi)
    tone = np.sqrt(light) + lab @ np.float32(TONE)
    soft = GRAIN * radius
    inside = cell.astype(np.float32)
    tone = cv2.GaussianBlur(tone * inside, (0, 0), soft) / np.maximum(cv2.GaussianBlur(inside, (0, 0), soft), 1e-3)
    values = tone[cell][:, None]
    start = np.percentile(values, [80, 20])[:, None]
    dark = np.zeros(cell.shape, bool)
    sample = values[:: max(len(values) // SAMPLE, 1)]
    dark[cell] = method(sample, np.ones(len(sample)), start)(values)[:, 1] > NUCLEUS
    nucleus = opened(fill(dark, 0.04 * area), 0.06 * radius) & cell
    return keep(nucleus, 0.02 * area)

"""From a smear image to its cells: fuzzy two-stage colour segmentation, then shape.

Stage one sorts the colours of the whole image into glass, red cells and stained material; stage two sorts those around
and inside every white cell into surroundings, cytoplasm and nucleus; shapes part what touches. No size in pixels is
fixed: the image is brought to the scale at which nuclei have a known size, and red cells, about 7.5 µm wide, give the
scale in micrometres. After the two-stage fuzzy segmentation of the paper "Deep Leuko", built anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation import nuclei
from leuko.cells.segmentation.clustering import Method, fuzzy_c_means, k_means, otsu
from leuko.cells.segmentation.colour_space import Colours
from leuko.cells.segmentation.masks import parts, usual, usual_area
from leuko.cells.segmentation.plausibility import are_red_cells, scale_conflict, why_unreliable
from leuko.cells.segmentation.red_cells import red_area, red_cells
from leuko.cells.segmentation.white_cells import nucleus_of, white_cells
from leuko.images import field_of_view, masked_cell
from leuko.images.field_of_view import FieldOfView

METHODS: dict[str, Method] = {"fuzzy": fuzzy_c_means, "k-means": k_means, "otsu": otsu}
RED_CELL_UM = 7.5  # Bain, Blood Cells: A Practical Guide
GLANCE = 384  # px, longer side at which the scale is looked for
NUCLEUS_PX = (11.0, 32.0)  # radius of a typical nucleus at the working scale; the image is resized if it lies outside
NEARLY = 0.1  # by which the scale may be off: one that is so close to the first look's is not worth a second
LARGEST = 1400  # px, longer side at the working scale
MAGNIFY = 2.0  # at most; more adds no detail
SMALL_WHITE = 0.75  # of a red cell's diameter: stained things that are smaller are platelets
SMALL_NUCLEUS = 0.3  # of a red cell's area: smaller stained things, on a red cell too, are platelets
SLIVER = 0.75  # red cells' area: less of a white cell that the border cuts is not one to be judged
SLIVER_AMONG_WHITE = 0.25  # of the typical white cell's area, the same where the red cells' is not known
SMALL_AMONG_WHITE = 0.4  # of the typical white cell's diameter, the same where the red cells' is not known


@dataclass(frozen=True)
class Segmentation:
    """What was found in an image, as maps of its size; 0 is none, ids run from 1 without gaps.

    Attributes:
        nuclei: int32, H × W: the id of the white cell that a nucleus belongs to.
        white_cells: int32, H × W: whole white cells, nucleus and cytoplasm.
        red_cells: int32, H × W.
        platelets: int32, H × W.
        um_per_px: the scale, by the size of red cells or as the file states it; None where neither is known.
        scale_source: where the scale comes from: `red cells`, or `file` where too few red cells lie alone to tell.
        scale_conflict: a sentence where red cells and the file differ by over 20 %.
        red_cells_plausible: whether what was taken for red cells looks like them; False in what is out of focus or no
            smear; None where there is nothing to judge it by.
        reliable: False where what was found is obviously not cells, so that counts, sizes and crops mean nothing.
        unreliable_reason: the reason, a sentence; empty where the cells are reliable.
        masked_cell: whether the image shows a single cell cut out of its surroundings, as in C-NMC: no field, no red
            cells and no scale are to be expected.
        surround: bool, H × W: what lies outside the field of view, as around an eyepiece's disc; None where all is in.
    """

    nuclei: np.ndarray
    white_cells: np.ndarray
    red_cells: np.ndarray
    platelets: np.ndarray
    um_per_px: float | None
    scale_source: Literal["red cells", "file"] | None = None
    scale_conflict: str | None = None
    red_cells_plausible: bool | None = None
    reliable: bool = True
    unreliable_reason: str = ""
    masked_cell: bool = False
    surround: np.ndarray | None = None

    @property
    def area(self) -> int:
        """Pixels within the field of view."""
        return self.nuclei.size - (0 if self.surround is None else int(np.count_nonzero(self.surround)))

    def mask(self) -> np.ndarray:
        """One picture of all: uint8, H × W, nucleus 255, cytoplasm 128, red cells 64, else 0."""
        mask = np.where(self.red_cells > 0, 64, 0).astype(np.uint8)
        mask[self.white_cells > 0] = 128
        mask[self.nuclei > 0] = 255
        return mask

    def boxes(self, kind: str) -> list[dict[str, Any]]:
        """The red cells (`red_cell`) or platelets (`platelet`) as `id`, `kind`, `bbox` and `touches_border`."""
        labels = {"red_cell": self.red_cells, "platelet": self.platelets}[kind]
        height, width = labels.shape
        found = []
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box = [columns.start, rows.start, columns.stop, rows.stop]
            cut = box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
            found.append({"id": label, "kind": kind, "bbox": box, "touches_border": cut})
        return found


def segment(image: np.ndarray, method: str = "fuzzy", um_per_px: float | None = None) -> Segmentation:
    """Find the cells of a smear, a whole field or a single cell.

    Args:
        image: uint8, H × W × 3, RGB.
        method: how colours are sorted, one of `METHODS`; all else is the same.
        um_per_px: the size of a pixel that the file states, if any; used where red cells give no scale.
    """
    sort = METHODS[method]
    view = field_of_view.find(image)
    if view is not None:
        return _embedded(_field(view.crop(image), sort, um_per_px), view)
    cell = masked_cell.find(image)
    return _field(image, sort, um_per_px) if cell is None else _single(image, cell, sort, um_per_px)


def _field(image: np.ndarray, sort: Method, um_per_px: float | None) -> Segmentation:
    """What `segment` gives for an image all of which shows a smear."""
    height, width = image.shape[:2]
    glance = min(1.0, max(GLANCE / max(height, width), 1 / min(height, width)))  # of a strip a pixel is left
    colours, stained = _seen(image, glance, sort)
    factor = _working_scale(stained, glance, max(height, width))
    if factor != glance:
        colours, stained = _seen(image, factor, sort)
    (inside, white, red, platelets), diameter, plausible = _find(colours, stained, sort)
    white, red, platelets = (
        _numbered(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST))
        for labels in (white, red, platelets)
    )
    inside = cv2.resize(inside.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    unreliable = why_unreliable(white, plausible)
    measured = RED_CELL_UM * factor / diameter if diameter and plausible else None
    return Segmentation(
        np.where(inside > 0, white, 0).astype(np.int32),
        white,
        red,
        platelets,
        measured or um_per_px,
        scale_source="red cells" if measured else "file" if um_per_px else None,
        scale_conflict=scale_conflict(measured, um_per_px),
        red_cells_plausible=plausible,
        reliable=not unreliable,
        unreliable_reason=unreliable,
    )


def _embedded(found: Segmentation, view: FieldOfView) -> Segmentation:
    """What was found in an eyepiece's disc, on the whole frame; without what lies beyond the disc."""
    inside = view.inside()
    maps = {
        name: view.embed(_numbered(np.where(inside, getattr(found, name), 0)))
        for name in ("white_cells", "red_cells", "platelets")
    }
    whole = view.embed(np.where(inside & (found.nuclei > 0), 1, 0).astype(np.int32))
    return replace(found, **maps, nuclei=whole * maps["white_cells"], surround=view.surround())


def _single(image: np.ndarray, cell: np.ndarray, sort: Method, um_per_px: float | None) -> Segmentation:
    """A cell, bool, H × W, that was cut out of its surroundings, and its nucleus."""
    (window,) = ndimage.find_objects(cell.astype(np.uint8))
    mask = cell[window]
    factor = min(1.0, NUCLEUS_PX[1] / np.sqrt(mask.sum() / np.pi))
    small = _resized(np.where(mask[..., None], image[window], np.uint8(255)), factor)
    inside = cv2.resize(mask.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    found = nucleus_of(Colours.of(small), np.s_[:, :], inside, sort).astype(np.uint8)
    none, nuclei = np.zeros(cell.shape, np.int32), np.zeros(cell.shape, np.int32)
    nuclei[window] = mask & (cv2.resize(found, mask.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)
    source = "file" if um_per_px else None
    return Segmentation(
        nuclei, cell.astype(np.int32), none, none.copy(), um_per_px, source, masked_cell=True, surround=~cell
    )


def _seen(image: np.ndarray, factor: float, sort: Method) -> tuple[Colours, np.ndarray]:
    """The colours of an image resized by a factor, and what is stained in it; bool, H × W."""
    colours = Colours.of(_resized(image, factor))
    return colours, nuclei.stained(colours, sort)


def _working_scale(stained: np.ndarray, glance: float, longer: int) -> float:
    """By how much to resize an image, so that its nuclei have the radius for which the shape rules are made.

    Args:
        stained: bool, what is stained in the image as it was first looked at.
        glance: by how much it had been resized for that.
        longer: side of the image, px.
    """
    seeds = nuclei.nuclei(stained)
    if not seeds.any():
        return glance
    radius = np.sqrt(usual_area(seeds) / np.pi)
    factor = min(np.clip(1.0, *(glance * bound / radius for bound in NUCLEUS_PX)), MAGNIFY, LARGEST / longer)
    return glance if abs(factor - glance) < NEARLY * glance else factor


def _find(
    colours: Colours, stained: np.ndarray, sort: Method
) -> tuple[tuple[np.ndarray, ...], float | None, bool | None]:
    """Nuclei (bool), white cells, red cells and platelets (labels); the diameter of a red cell, None where too few lie
    alone to tell; and whether what was taken for red cells looks like them, None where there is none."""
    seeds = nuclei.nuclei(stained)
    none = np.zeros(seeds.shape, np.int32)
    around, matter = nuclei.foregrounds(colours, seeds, sort)
    white, inside = none, none
    if seeds.any():
        area, tiny = red_area(matter, seeds)
        if not tiny:
            white, inside = white_cells(colours, seeds, around, area, sort)
    crumbs = stained & (white == 0)
    nucleus = np.sqrt(usual(np.bincount(inside.ravel())[1:]) / np.pi) if white.any() else None
    red, diameter, edged = red_cells(colours.green, matter, (white > 0) | crumbs, nucleus)
    dwarfs, slivers = _no_white_cells(white, inside, diameter)
    platelets = none.copy()
    for number, part in enumerate(parts(crumbs | dwarfs, 6), start=1):
        platelets[part.window][part.mask] = number
    white = np.where(dwarfs | slivers, 0, white)
    inside = (inside > 0) & (white > 0)
    plausible = edged and are_red_cells(colours.lab, red, inside) if red.any() else None
    return (inside, white, red, platelets), diameter, plausible


def _no_white_cells(white: np.ndarray, inside: np.ndarray, red_diameter: float | None) -> tuple[np.ndarray, np.ndarray]:
    """What is too small for a white cell: platelets, and slivers of cells beyond the border; bool masks."""
    if not white.any():
        return white > 0, white > 0
    area = np.bincount(white.ravel())[1:]
    typical = np.median(area)
    if red_diameter:
        red = np.pi / 4 * red_diameter**2
        nucleus = np.bincount(inside.ravel(), minlength=len(area) + 1)[1:]
        least, seen, bare = SMALL_WHITE * red_diameter, SLIVER * red, nucleus < SMALL_NUCLEUS * red
    else:
        least, seen, bare = SMALL_AMONG_WHITE * 2 * np.sqrt(typical / np.pi), SLIVER_AMONG_WHITE * typical, False
    edge = np.unique(np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]]))
    ids = np.arange(1, len(area) + 1)
    sliver = (area < seen) & np.isin(ids, edge)
    dwarf = ((2 * np.sqrt(area / np.pi) < least) | bare) & ~sliver
    return np.isin(white, ids[dwarf]), np.isin(white, ids[sliver])


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return image if factor == 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


def _numbered(labels: np.ndarray) -> np.ndarray:
    """The same labels, counted from 1 without gaps."""
    present = np.flatnonzero(np.bincount(labels.ravel()))
    new = np.zeros(labels.max() + 1, np.int32)
    new[present[present > 0]] = np.arange(1, (present > 0).sum() + 1)
    return new[labels]

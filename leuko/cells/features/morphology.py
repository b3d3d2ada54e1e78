"""Morphology of white cells: shape, nucleus, colour and texture, as `leuko.cells.features.catalogue` defines them.

The features are those of the literature on leukaemic cells (Mohapatra et al. 2014, doi:10.1007/s00521-013-1438-3), and
more.
A table is a dictionary of columns, one value per cell: `table["lobes"][0]`, `pandas.DataFrame(table)`, `np.argsort`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.features import shape_descriptors, texture
from leuko.cells.features.catalogue import AREA, FEATURES, LENGTH, NAMES, SHAPES, TEXTURE_UM
from leuko.cells.features.lobes import count_lobes

if TYPE_CHECKING:
    from leuko.cells.segmentation import Segmentation

Window = tuple[slice, slice]
_BOX = ("x0", "y0", "x1", "y1")
_COUNTS = ("lobes",)


@dataclass(frozen=True)
class _Cell:
    """A white cell: its window in the image, its masks (uint8, 0 or 1), and what was measured of them in pixels.

    Attributes:
        label: its id in the segmentation.
        window: rows and columns of the image.
        cell, nucleus: the masks, as large as the window.
        shapes: the features of `SHAPES` that can be measured.
        outlines: of the nucleus.
    """

    label: int
    window: Window
    cell: np.ndarray
    nucleus: np.ndarray
    shapes: dict[str, float]
    outlines: list[np.ndarray]


class Measurements:
    """The measurements of the white cells of one image: each is made once, when it is first needed.

    Attributes:
        segmentation: of the image.
    """

    def __init__(self, segmentation: Segmentation) -> None:
        self.segmentation = segmentation

    @cached_property
    def _cells(self) -> list[_Cell]:
        cells = []
        for label, window in enumerate(ndimage.find_objects(self.segmentation.white_cells), start=1):
            if window is None:
                continue
            cell = (self.segmentation.white_cells[window] == label).astype(np.uint8)
            nucleus = (self.segmentation.nuclei[window] == label).astype(np.uint8) & cell
            cells.append(_Cell(label, window, cell, nucleus, *_shapes(cell, nucleus)))
        return cells

    @cached_property
    def shapes(self) -> dict[str, np.ndarray]:
        """The columns of `describe` that need no colour and no contour signature, in a fraction of its time."""
        return self._table(SHAPES, [cell.shapes for cell in self._cells])

    def describe(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """All features of every white cell.

        Args:
            image: uint8, H × W × 3, RGB.

        Returns:
            Columns of length N, one row per white cell in the order of ids: `id` (int, from 1), `x0`, `y0`, `x1`, `y1`
            (int, pixels, the box that holds the cell, x1 and y1 just outside), `touches_border` (bool) and one column
            per feature in `leuko.cells.features.catalogue.FEATURES` (float, `lobes` int; NaN where it cannot be
            measured).

        Raises:
            ValueError: image and segmentation differ in size.
        """
        if image.shape[:2] != self.segmentation.white_cells.shape:
            raise ValueError(f"the image is {image.shape[:2]}, its segmentation {self.segmentation.white_cells.shape}")
        um = self.segmentation.um_per_px
        return self._table(NAMES, [_all_features(image, cell, um) for cell in self._cells])

    def _table(self, names: Sequence[str], features: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
        """The columns of these names, in micrometres where the scale is known, from each cell's features in pixels."""
        height, width = self.segmentation.white_cells.shape
        um = self.segmentation.um_per_px or 1
        unit = {LENGTH: um, AREA: um**2}
        factors = {feature.name: unit.get(feature.unit, 1) for feature in FEATURES}
        rows = []
        for cell, in_pixels in zip(self._cells, features, strict=True):
            y, x = cell.window
            box = dict(zip(_BOX, (x.start, y.start, x.stop, y.stop), strict=True))
            touches_border = x.start == 0 or y.start == 0 or x.stop == width or y.stop == height
            measured = {name: in_pixels.get(name, np.nan) * factors[name] for name in names}
            rows.append({"id": cell.label, **box, "touches_border": touches_border, **measured})
        kinds: dict[str, type] = {"id": int, **dict.fromkeys(_BOX, int), "touches_border": bool}
        kinds |= dict.fromkeys(names, float) | dict.fromkeys(_COUNTS, int)
        return {name: np.array([row[name] for row in rows], dtype=kind) for name, kind in kinds.items()}


def describe(image: np.ndarray, segmentation: Segmentation) -> dict[str, np.ndarray]:
    """Measure every white cell; see `Measurements.describe`."""
    return Measurements(segmentation).describe(image)


def as_matrix(table: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], np.ndarray]:
    """The features for a classifier: their names and a float64 matrix, N × D, NaN where one is missing."""
    return NAMES, np.column_stack([table[name].astype(float) for name in NAMES])


def as_json(table: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """One dictionary per cell for JSON: `id`, `bbox` [x0, y0, x1, y1], `touches_border` and the features.

    Values have six significant digits; what cannot be measured is None.
    """

    def plain(value: np.generic) -> float | int | None:
        number = value.item()
        if isinstance(number, int):
            return number
        return float(f"{number:.6g}") if np.isfinite(number) else None

    return [
        {
            "id": int(table["id"][i]),
            "bbox": [int(table[side][i]) for side in _BOX],
            "touches_border": bool(table["touches_border"][i]),
            **{name: plain(table[name][i]) for name in NAMES},
        }
        for i in range(len(table["id"]))
    ]


def _all_features(image: np.ndarray, cell: _Cell, um_per_px: float | None) -> dict[str, float]:
    """All features of one cell that can be measured, in pixels."""
    features = dict(cell.shapes)
    if cell.outlines:
        features |= _contour(cell.nucleus, cell.outlines, features["nucleus_diameter"], features["nucleus_feret"])
    return features | _colour_and_texture(image[cell.window], cell.cell, cell.nucleus, um_per_px)


def _shapes(cell: np.ndarray, nucleus: np.ndarray) -> tuple[dict[str, float], list[np.ndarray]]:
    """The measurable features of `SHAPES`, in pixels, and the outlines of the nucleus."""
    figures = _shape("cell", cell, shape_descriptors.trace(cell))
    outlines = shape_descriptors.trace(nucleus)
    figures |= _shape("nucleus", nucleus, outlines) if outlines else {"nucleus_area": 0.0}
    cytoplasm = figures["cell_area"] - figures["nucleus_area"]
    figures["nc_ratio"] = figures["nucleus_area"] / cytoplasm if cytoplasm else np.nan
    figures["nucleus_share"] = figures["nucleus_area"] / figures["cell_area"]
    figures["lobes"] = count_lobes(nucleus)
    return figures, outlines


def _shape(part: str, mask: np.ndarray, outlines: list[np.ndarray]) -> dict[str, float]:
    """The shape features of a part (cell or nucleus), in pixels."""
    moments = cv2.moments(mask, binaryImage=True)
    size = moments["m00"]
    # A pixel is a square and not a point: each adds 1/12 of its own.
    xx, yy, xy = moments["mu20"] / size + 1 / 12, moments["mu02"] / size + 1 / 12, moments["mu11"] / size
    spread = np.hypot(xx - yy, 2 * xy)
    long, short = (xx + yy + spread) / 2, max((xx + yy - spread) / 2, 1 / 12)
    corners = shape_descriptors.hull(np.concatenate(outlines))
    perimeter = sum(shape_descriptors.length(outline) for outline in outlines)
    widest, narrowest = shape_descriptors.feret(corners)
    figures = {
        "area": size,
        "perimeter": perimeter,
        "diameter": np.sqrt(4 * size / np.pi),
        "major_axis": 4 * np.sqrt(long),
        "minor_axis": 4 * np.sqrt(short),
        "feret": widest,
        "min_feret": narrowest,
        "form_factor": 4 * np.pi * size / perimeter**2,
        "roundness": 4 * size / (np.pi * widest**2),
        "solidity": min(size / shape_descriptors.area(corners), 1.0),
        "eccentricity": np.sqrt(1 - short / long),
        "convexity": shape_descriptors.length(corners) / perimeter,
        "elongation": widest / narrowest,
    }
    return {f"{part}_{name}": value for name, value in figures.items()}


def _contour(nucleus: np.ndarray, outlines: list[np.ndarray], diameter: float, feret: float) -> dict[str, float]:
    """Indentation, dimension and signature of a nucleus of given equivalent and calliper diameters in pixels."""
    signature = shape_descriptors.signature(outlines[0])
    deviation = signature - 1
    variance = (deviation**2).mean()
    figures = {
        "indentation": max(shape_descriptors.deepest_dent(outline) for outline in outlines) / diameter,
        "contour_dimension": shape_descriptors.border_dimension(shape_descriptors.borders(nucleus), feret),
        "signature_variance": variance,
        "signature_skewness": (deviation**3).mean() / variance**1.5,
        "signature_kurtosis": (deviation**4).mean() / variance**2,
    }
    return figures | {
        f"fourier_{k}": value for k, value in enumerate(shape_descriptors.descriptors(signature), start=1)
    }


def _colour_and_texture(
    image: np.ndarray, cell: np.ndarray, nucleus: np.ndarray, um_per_px: float | None
) -> dict[str, float]:
    """Colour and texture of nucleus and cytoplasm."""
    zoom = min(um_per_px / TEXTURE_UM, 1) if um_per_px else 1
    if zoom < 1:
        shape = [max(1, round(side * zoom)) for side in cell.shape[::-1]]
        image, cell, nucleus = (
            cv2.resize(each, shape, interpolation=cv2.INTER_AREA) for each in (image, cell * 255, nucleus * 255)
        )
        cell, nucleus = (cell > 127).astype(np.uint8), (nucleus > 127).astype(np.uint8)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    levels = (lab[..., 0] * (texture.LEVELS / 100)).astype(np.intp).clip(0, texture.LEVELS - 1)
    patterns = texture.binary_patterns(lab[..., 0]) if min(cell.shape) > 2 else None
    figures: dict[str, float] = {}
    means: dict[str, np.ndarray] = {}
    for part, mask in (("nucleus", nucleus), ("cytoplasm", cell & ~nucleus)):
        pixels = lab[mask > 0]
        if not len(pixels):
            continue
        means[part] = pixels.mean(axis=0, dtype=float)
        for channel, mean, sd in zip("lab", means[part], pixels.std(axis=0, dtype=float), strict=True):
            figures |= {f"{part}_mean_{channel}": mean, f"{part}_sd_{channel}": sd}
        glcm = texture.haralick(texture.cooccurrence(levels, mask > 0))
        figures |= {f"{part}_glcm_{name}": value for name, value in glcm.items()}
        if patterns is not None:
            lbp = texture.pattern_statistics(patterns, mask)
            figures |= {f"{part}_lbp_{name}": value for name, value in lbp.items()}
    if len(means) == 2:
        contrast = means["cytoplasm"] - means["nucleus"]
        figures |= {"contrast_l": contrast[0], "contrast_colour": float(np.sqrt((contrast**2).sum()))}
    return figures

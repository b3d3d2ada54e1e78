"""What the red cells and platelets of a field tell: platelets per 100 red cells, and how much red cells vary in size.

The scale of a field comes from its red cells, so their mean size cannot be measured; their spread can.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import cv2
import numpy as np
from scipy.special import gammaincinv

from leuko.cells.counting import PARAMETERS as COUNTING
from leuko.cells.counting import Counts
from leuko.cells.segmentation import Segmentation
from leuko.stats.proportions import TAIL, wilson_interval


@dataclass(frozen=True)
class IndexParameters:
    """When an index is given.

    Attributes:
        min_red_cells: for platelets per 100 red cells; with fewer the interval says nothing.
        min_red_cells_for_estimate: for platelets per microlitre: half a field's worth.
        min_diameters: whole red cells that touch no other cell, for their spread.
        field_red_cells: red cells of the field of an oil immersion lens, where red cells just touch; and
        platelets_per_ul: what one platelet in such a field stands for (Rodak's Hematology; Bain, *Blood Cells*).
    """

    min_red_cells: int = 20
    min_red_cells_for_estimate: int = 100
    min_diameters: int = 20
    field_red_cells: int = 200
    platelets_per_ul: int = 20_000


PARAMETERS = IndexParameters()


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, in the figure's own unit."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high)

    def as_json(self) -> dict[str, Any]:
        """`value` and `interval`."""
        return {"value": self.value, "interval": [self.low, self.high]}


@dataclass(frozen=True)
class RedCellIndices:
    """The indices of a field.

    Attributes:
        platelets: counted platelets.
        red_cells: counted red cells.
        diameters: float, N: diameters of whole red cells that touch no other, in any one unit; a circle's of equal
            area.
    """

    platelets: int
    red_cells: int
    diameters: np.ndarray

    @property
    def platelets_per_100_red_cells(self) -> Estimate | None:
        """The ratio of the two counts, both of which vary: the odds of Wilson's interval; None with few red cells."""
        if self.red_cells < PARAMETERS.min_red_cells:
            return None
        low, high = wilson_interval(self.platelets, self.platelets + self.red_cells)
        return Estimate(self.platelets / self.red_cells, low / (1 - low), high / (1 - high)).times(100)

    @property
    def platelets_per_ul(self) -> Estimate | None:
        """The usual estimate, which holds for a normal number of red cells; None with few red cells.

        The interval is that of counting; it does not hold the error of the rule.
        """
        ratio = self.platelets_per_100_red_cells
        if ratio is None or self.red_cells < PARAMETERS.min_red_cells_for_estimate:
            return None
        return ratio.times(PARAMETERS.field_red_cells / 100 * PARAMETERS.platelets_per_ul)

    @property
    def diameter_spread(self) -> Estimate | None:
        """Coefficient of variation of the diameters, from 0; its interval supposes that they vary normally.

        An analyser's RDW is the same of volumes, which spread two to three times as much. None with few cells.
        """
        number = len(self.diameters)
        if number < PARAMETERS.min_diameters:
            return None
        value = float(self.diameters.std(ddof=1) / self.diameters.mean())
        freedom = number - 1
        low, high = (value * sqrt(freedom / (2 * gammaincinv(freedom / 2, tail))) for tail in (1 - TAIL, TAIL))
        return Estimate(value, low, high)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The indices in words, each with what it does not tell."""
        lines = []
        if ratio := self.platelets_per_100_red_cells:
            lines.append(
                f"Platelets per 100 red cells: {ratio.value:.1f} (95 % interval {ratio.low:.1f} to {ratio.high:.1f})."
            )
        if estimate := self.platelets_per_ul:
            value, low, high = (f"{round(figure, -3):,.0f}" for figure in (estimate.value, estimate.low, estimate.high))
            lines.append(
                f"By the usual estimate that is about {value} platelets per µL (95 % interval of the count {low} to "
                f"{high}): {PARAMETERS.platelets_per_ul:,} for each platelet in a field's worth of "
                f"{PARAMETERS.field_red_cells} red cells. It is wrong in anaemia and where platelets clump."
            )
        if spread := self.diameter_spread:
            value, low, high = (f"{100 * figure:.1f}" for figure in (spread.value, spread.low, spread.high))
            lines.append(
                f"The diameters of {len(self.diameters)} separate red cells vary by {value} % (coefficient of "
                f"variation; 95 % interval {low} to {high} %). An analyser's RDW is of volumes and two to three times "
                "as large."
            )
        return tuple(lines)

    def as_json(self) -> dict[str, Any]:
        """For JSON; None where an index is not given."""
        figures = {
            name: getattr(self, name) for name in ("platelets_per_100_red_cells", "platelets_per_ul", "diameter_spread")
        }
        return {name: figure and figure.as_json() for name, figure in figures.items()} | {
            "diameters": len(self.diameters)
        }


def measure(segmentation: Segmentation, counts: Counts) -> RedCellIndices:
    """The indices of a field.

    Args:
        segmentation: of the field.
        counts: of the same.
    """
    return RedCellIndices(
        counts.platelets.counted, counts.red_cells.counted, separate_diameters(segmentation.red_cells)
    )


def separate_diameters(red_cells: np.ndarray) -> np.ndarray:
    """The diameters in pixels of red cells that touch neither the border nor another red cell.

    Where cells overlap, the area of one is a guess. Fragments and clumps are left out, by the rules of
    `leuko.cells.counting`.

    Args:
        red_cells: int32, H × W: ids, 0 is none.

    Returns:
        float, N.
    """
    areas = np.bincount(red_cells.ravel())
    border = np.concatenate([red_cells[0], red_cells[-1], red_cells[:, 0], red_cells[:, -1]])
    neighbour = cv2.dilate(red_cells.astype(np.float32), np.ones((3, 3), np.uint8))  # the largest id next to a pixel
    reversed_ids = np.where(red_cells > 0, len(areas) - red_cells, 0).astype(np.float32)
    other_neighbour = cv2.dilate(reversed_ids, np.ones((3, 3), np.uint8))  # and the smallest
    touching = (red_cells > 0) & ((neighbour != red_cells) | (other_neighbour != reversed_ids))
    areas[np.union1d(border, red_cells[touching])] = 0
    areas = areas[1:][areas[1:] > 0]
    if not len(areas):
        return np.empty(0)
    typical = np.median(areas)
    whole = (areas >= COUNTING.min_red * typical) & (areas <= COUNTING.red_clump * typical)
    return np.sqrt(4 / np.pi * areas[whole])

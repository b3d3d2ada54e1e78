"""The white cells of one image, measured and in order of suspicion."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from leuko.cells.blast_share import BLAST_THRESHOLD
from leuko.cells.close_up_detection import is_close_up
from leuko.cells.counting import Counts, count
from leuko.cells.differential import Differential
from leuko.cells.features.catalogue import FEATURES
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import CellKinds, classify
from leuko.cells.kinds.names import KINDS, UNKNOWN
from leuko.cells.red_cell_indices import RedCellIndices
from leuko.cells.red_cell_indices import measure as measure_red_cells
from leuko.cells.segmentation import Segmentation
from leuko.decision import cell_score
from leuko.system.csv_safety import escape_formula

_UNITS = {feature.name: feature.unit for feature in FEATURES}


@dataclass(frozen=True)
class Field:
    """The white cells of an image.

    Attributes:
        segmentation: of the image.
        table: all measurements, see `leuko.cells.features.morphology.Measurements.describe`.
        kinds: of the cells, a row each as in the table.
        counts: of all cells; with the share of blasts if the image is a field whose red cells give the scale.
        differential: of such a field; None of other images.
        close_up: whether the image is a close-up of single cells, of which nothing is counted.
        red_cell_indices: None where nothing is counted, or where no plausible red cells were found.
    """

    segmentation: Segmentation
    table: dict[str, np.ndarray]
    kinds: CellKinds
    counts: Counts
    differential: Differential | None
    close_up: bool
    red_cell_indices: RedCellIndices | None

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        segmentation: Segmentation,
        measurements: Measurements | None = None,
        kinds: CellKinds | None = None,
        count_smudges: bool = False,
    ) -> Field:
        """Measure the cells of an image.

        Args:
            image: uint8, H × W × 3, RGB.
            segmentation: its segmentation.
            measurements: of the same segmentation, if some were made already; none is made twice.
            kinds: of the cells, if they are known already.
            count_smudges: whether smudge cells are white cells in the differential count.
        """
        table = (measurements or Measurements(segmentation)).describe(image)
        kinds = kinds or classify(image, segmentation)
        close_up = is_close_up(segmentation)
        is_field = not close_up and not cell_score.lacks_plausible_red_cells(segmentation)
        has_share = is_field and segmentation.um_per_px is not None
        counts = count(segmentation, kinds.blast_probabilities.tolist() if has_share else None)
        indices = measure_red_cells(segmentation, counts) if is_field else None
        differential = None
        if has_share:
            counted = cell_score.counted_rows(table, counts.white_cells)
            types = [kind for kind, counts_here in zip(kinds.types, counted, strict=True) if counts_here]
            smudges = None if counts.smudge_cells is None else counts.smudge_cells.counted
            differential = Differential.of(types, smudges, count_smudges)
        return cls(segmentation, table, kinds, counts, differential, close_up, indices)

    @property
    def order(self) -> np.ndarray:
        """Rows of the table, the likeliest blasts first; cells without a nucleus last."""
        suspicion = np.where(self.table["lobes"] > 0, self.kinds.blast_probabilities, -1.0)
        return np.argsort(-suspicion, kind="stable")

    def confidence(self, row: int) -> float | None:
        """How sure it is that a row of the table is one white cell, 0 to 1; None where the method gives none."""
        confidence = self.segmentation.confidence
        return None if confidence is None else float(confidence[int(self.table["id"][row]) - 1])

    def doubtful(self, row: int) -> bool:
        """Whether the confidence in a cell is low, see `Segmentation.doubtful`."""
        return bool(self.segmentation.doubtful[int(self.table["id"][row]) - 1])

    @property
    def excluded(self) -> Mapping[int, str]:
        """Why cells are not counted, by their ids."""
        by_reason = self.counts.white_cells.excluded
        return {label: reason for reason, ids in by_reason.items() for label in ids}

    def blast_like(self, row: int) -> bool | None:
        """Whether a cell is more likely a blast than not; None where scale or nucleus are unknown."""
        if self.segmentation.um_per_px is None or not self.table["lobes"][row]:
            return None
        return bool(self.kinds.blast_probabilities[row] >= BLAST_THRESHOLD)

    def type(self, row: int) -> str:
        """The kind of a cell, of `leuko.cells.kinds.names`; unknown where it has no nucleus, too."""
        return self.kinds.types[row] if self.table["lobes"][row] else UNKNOWN

    def type_probabilities(self, row: int) -> dict[str, float]:
        """How likely each kind is, sum 1, with four digits."""
        return {kind: round(float(p), 4) for kind, p in zip(KINDS, self.kinds.probabilities[row], strict=True)}

    def unit(self, feature: str) -> str:
        """The unit of a feature: in pixels where there is no scale."""
        return _UNITS[feature] if self.segmentation.um_per_px else _UNITS[feature].replace("µm", "px")

    def as_csv(self, name: str) -> str:
        """The whole table as CSV, a row for each cell.

        Args:
            name: of the image; formulas of spreadsheets in it are escaped.
        """
        columns = [c for c in self.table if c != "id"]
        units = {c: self.unit(c) for c in columns if _UNITS.get(c)}
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\r\n")
        rows.writerow(
            [
                "image",
                "cell",
                "type",
                "looks_like_blast",
                *(f"p_{kind}" for kind in KINDS),
                "not_counted",
                "confidence",
                *(f"{c} [{units[c]}]" if c in units else c for c in columns),
            ]
        )
        for i, number in enumerate(self.table["id"]):
            blast_like, confidence = self.blast_like(i), self.confidence(i)
            rows.writerow(
                [
                    escape_formula(name),
                    number,
                    self.type(i),
                    "" if blast_like is None else blast_like,
                    *(f"{p:.4f}" for p in self.kinds.probabilities[i]),
                    self.excluded.get(int(number), ""),
                    "" if confidence is None else f"{confidence:.3f}",
                    *(_figure(self.table[c][i]) for c in columns),
                ]
            )
        return text.getvalue()


def _figure(value: np.generic) -> object:
    number = value.item()
    if isinstance(number, float):
        return f"{number:.6g}" if np.isfinite(number) else ""
    return number

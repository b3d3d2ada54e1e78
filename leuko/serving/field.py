"""What the cells of one image are, measured and ordered for a reader."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np

from leuko.cells import evidence, morphology
from leuko.cells.counting import Counts, count
from leuko.cells.features import FEATURES
from leuko.cells.segmentation import Segmentation

_UNITS = {feature.name: feature.unit for feature in FEATURES}
_MIDDLE = 0.08  # of a side: how far from the image's centre the one cell of a close-up may lie
_NEAR = 1.4  # of `evidence.FIELD`: what a close-up of one cell may show at most
_LARGE = 0.05  # of the image: what the one cell of a close-up takes up at least, where the scale is not known


@dataclass(frozen=True)
class Field:
    """The white cells of an image.

    Attributes:
        found: where they lie.
        table: what was measured of them, `leuko.cells.morphology.describe`.
        likeness: float, N, how much each looks like a blast (`leuko.cells.evidence.likeness`); None without a scale.
        counts: how many cells there are, and the share of blasts where there is a scale.
    """

    found: Segmentation
    table: dict[str, np.ndarray]
    likeness: np.ndarray | None
    counts: Counts

    @classmethod
    def of(cls, image: np.ndarray, found: Segmentation) -> Field:
        """Measure the cells found in an image, uint8, H × W × 3, RGB."""
        table = morphology.describe(image, found)
        likeness = evidence.likeness(table) if found.um_per_px else None
        if likeness is not None:
            likeness = np.where(table["lobes"] > 0, np.nan_to_num(likeness), 0.0)
        blasts = None if likeness is None else (likeness >= 1).astype(float)
        return cls(found, table, likeness, count(found, blasts))

    @property
    def order(self) -> np.ndarray:
        """Rows of the table, the most suspicious first; without a scale, those with the fullest nuclei."""
        key = self.table["nucleus_share"] if self.likeness is None else self.likeness
        return np.argsort(-np.nan_to_num(key), kind="stable")

    @property
    def close_up(self) -> bool:
        """Whether the image shows a cell and not a field, so that there is nothing to count."""
        return is_close_up(self.found)

    def blast_like(self, row: int) -> bool | None:
        """Whether a cell looks like a blast; None where that cannot be told."""
        if self.likeness is None or not self.table["lobes"][row]:
            return None
        return bool(self.likeness[row] >= 1)

    def unit(self, feature: str) -> str:
        """Of a feature: in pixels where there is no scale."""
        return _UNITS[feature] if self.found.um_per_px else _UNITS[feature].replace("µm", "px")

    def as_csv(self, name: str) -> str:
        """The whole table, a line for each cell.

        Args:
            name: of the image; what a spreadsheet would take for a formula is quoted.
        """
        columns = [c for c in self.table if c != "id"]
        units = {c: self.unit(c) for c in columns if _UNITS.get(c)}
        written = io.StringIO()
        rows = csv.writer(written, lineterminator="\r\n")
        rows.writerow(
            ["image", "cell", "looks_like_blast", *(f"{c} [{units[c]}]" if c in units else c for c in columns)]
        )
        for i, number in enumerate(self.table["id"]):
            like = self.blast_like(i)
            rows.writerow(
                [plain(name), number, "" if like is None else like, *(_figure(self.table[c][i]) for c in columns)]
            )
        return written.getvalue()


def is_close_up(found: Segmentation) -> bool:
    """Whether an image shows a cell and not a field.

    It does if it shows less than `evidence.FIELD` red cells' areas, or little more and one white cell alone, in its
    middle. Without a scale it does if one white cell alone fills much of it.
    """
    height, width = found.white_cells.shape
    ys, xs = np.nonzero(found.white_cells)
    alone = found.white_cells.max(initial=0) == 1
    if not found.um_per_px:
        return bool(alone and len(ys) > _LARGE * height * width)
    fields = height * width * found.um_per_px**2 / evidence.RED_CELL_AREA / evidence.FIELD
    middle = alone and max(abs(ys.mean() / height - 0.5), abs(xs.mean() / width - 0.5)) < _MIDDLE
    return bool(fields < 1 or (middle and fields < _NEAR))


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    text = "".join(c for c in text if c.isprintable())
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def _figure(value: np.generic) -> object:
    number = value.item()
    if isinstance(number, float):
        return f"{number:.6g}" if np.isfinite(number) else ""
    return number

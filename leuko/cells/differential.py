"""The differential count: how many cells of each kind, their shares, and how sure these are.

Shares are per 100 white cells. Erythroblasts (nucleated red cells) are no white cells and are reported per 100 of them;
so are smudge cells, unless the laboratory counts them with the white cells (ICSH 2015, doi:10.1111/ijlh.12327; CLSI
H20-A2). Intervals are the exact binomial ones that Rümke's tables give (Rümke 1960, Clopper & Pearson 1934): they say
how far the share in the slide may lie from the share in so few cells, and not how often a cell's kind is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leuko.cells.blast_share import with_count
from leuko.cells.kinds.names import KINDS, SMUDGE, UNKNOWN
from leuko.stats.proportions import Interval, clopper_pearson_interval
from leuko.system.csv_safety import escape_formula

ERYTHROBLAST = "erythroblast"
# Kinds of white cells in the order of a report.
ROWS = (*(kind for kind in KINDS if kind != ERYTHROBLAST), UNKNOWN)
PLURALS = {
    "neutrophil": "neutrophils", "lymphocyte": "lymphocytes", "monocyte": "monocytes", "eosinophil": "eosinophils",
    "basophil": "basophils", "immature_granulocyte": "immature granulocytes", "erythroblast": "erythroblasts",
    "blast": "blasts", SMUDGE: "smudge cells", UNKNOWN: "of unknown kind",
}  # fmt: skip


@dataclass(frozen=True)
class Differential:
    """A differential count.

    Attributes:
        numbers: how many counted cells of each kind: all of `ROWS`, erythroblasts and, where they are looked for,
            smudge cells.
        count_smudges: whether smudge cells are white cells here, as laboratories differ.
    """

    numbers: dict[str, int]
    count_smudges: bool = False

    @classmethod
    def of(cls, types: Sequence[str], smudges: int | None, count_smudges: bool = False) -> Differential:
        """The count of cells.

        Args:
            types: the kind of each counted cell with a nucleus, or `unknown`.
            smudges: number of counted smudge cells; None where they are not looked for.
            count_smudges: whether they are white cells.
        """
        numbers = {kind: types.count(kind) for kind in (*ROWS, ERYTHROBLAST)}
        if smudges is not None:
            numbers[SMUDGE] = smudges
        return cls(numbers, count_smudges)

    @property
    def white_cells(self) -> int:
        """Number of white cells, which shares refer to."""
        smudges = self.numbers.get(SMUDGE, 0) if self.count_smudges else 0
        return sum(self.numbers[kind] for kind in ROWS) + smudges

    @property
    def shares(self) -> dict[str, Interval | None]:
        """Share of each kind of white cells with its exact 95 % interval, 0 to 1; None without white cells."""
        rows = (*ROWS, SMUDGE) if self.count_smudges and SMUDGE in self.numbers else ROWS
        total = self.white_cells
        return {kind: clopper_pearson_interval(self.numbers[kind] / total, total) if total else None for kind in rows}

    @property
    def per_100(self) -> dict[str, float | None]:
        """Erythroblasts, and smudge cells that are no white cells, per 100 white cells; None without white cells."""
        apart = [ERYTHROBLAST] + ([SMUDGE] if SMUDGE in self.numbers and not self.count_smudges else [])
        total = self.white_cells
        return {kind: 100 * self.numbers[kind] / total if total else None for kind in apart}

    @property
    def sentences(self) -> tuple[str, ...]:
        """The count in words."""
        total = self.white_cells
        if not total:
            return ("No white cell was counted, so there is no differential count.",)
        found = sorted((kind for kind in self.shares if self.numbers[kind]), key=lambda kind: -self.numbers[kind])
        parts = [f"{self.numbers[kind]} {PLURALS[kind]}" for kind in found]
        lines = [f"Differential count of {with_count(total, 'white cell')}: {', '.join(parts)}."]
        for kind, rate in self.per_100.items():
            if self.numbers[kind]:
                lines.append(f"Apart from them: {self.numbers[kind]} {PLURALS[kind]}, {rate:.0f} per 100 white cells.")
        return tuple(lines)

    def as_csv(self, name: str) -> str:
        """A row for each kind: count, share with its interval, and what is reported apart per 100 white cells.

        Args:
            name: of the image; formulas of spreadsheets in it are escaped.
        """
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\r\n")
        rows.writerow(["image", "kind", "count", "share", "low", "high", "per_100_white_cells"])
        for kind, said in self.as_json().items():
            figures = [said["share"], *(said["interval"] or (None, None)), said.get("per_100_white_cells")]
            written = ("" if figure is None else f"{figure:.4g}" for figure in figures)
            rows.writerow([escape_formula(name), kind, said["count"], *written])
        return text.getvalue()

    def as_json(self) -> dict[str, dict[str, Any]]:
        """For JSON: of each type `count`, and of white cells `share` and `interval`, 0 to 1.

        Both are None without white cells, and for what is reported apart, which has `per_100_white_cells`.
        """
        shares, apart = self.shares, self.per_100
        said: dict[str, dict[str, Any]] = {}
        for kind, number in self.numbers.items():
            share = shares.get(kind)
            interval = [share["low"], share["high"]] if share else None
            said[kind] = {"count": number, "share": share["value"] if share else None, "interval": interval}
            if kind in apart:
                said[kind]["per_100_white_cells"] = apart[kind]
        return said

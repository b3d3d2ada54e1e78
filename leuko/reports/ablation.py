"""The table of an ablation, as Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuko.evaluation.interval_text import figure_text
from leuko.reports.rendering import render
from leuko.stats.bootstrap import Interval

PAGE, TABLE = "ablation.md", "ablation.csv"


def write(
    folder: Path,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[Interval]],
    splits: Mapping[str, int],
    setup: Mapping[str, object],
) -> None:
    """Write the table.

    Args:
        folder: where to write.
        columns: names of the figures.
        rows: by name of the row, a figure for each column.
        splits: by name of the row, the number of splits it was measured on.
        setup: `images`, `validation`, `epochs`, `backbone`, `image_size` and `laboratories`, for the first paragraph.
    """
    cells = [(name, *(figure_text(figure) for figure in figures)) for name, figures in rows.items()]
    (folder / PAGE).write_text(render("ablation.md.jinja", rows=[("", *columns), *cells], **setup), encoding="utf-8")
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["row", "splits", *(f"{name}{end}" for name in columns for end in ("", " low", " high"))])
        for name, figures in rows.items():
            values = [figure[end] for figure in figures for end in ("value", "low", "high")]
            table.writerow([name, splits[name], *values])

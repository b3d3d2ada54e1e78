"""Adapt the kinds of cells to one laboratory, and write the folder of the adapted kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leuko.adaptation.cell_kinds import AdaptedKinds, LabelledCells, adapt_kinds, balanced_accuracy
from leuko.adaptation.cell_sources import CellSource
from leuko.cells.kinds.model import FILE, KindModel
from leuko.cells.kinds.names import KINDS
from leuko.data.errors import DataError
from leuko.networks import model_folder
from leuko.stats.proportions import clopper_pearson_interval

MIN_CELLS = 5  # of each kind; with fewer, nothing is fitted
GOOD_CELLS = 10  # of each kind; with fewer, figures are given with a warning


def adapt_cells(
    cells: CellSource, title: str, output: Path, seed: int = 0, on_message: Callable[[str], None] = print
) -> dict[str, Any]:
    """Fit the kinds of cells to a laboratory, estimate how good they are, and write a folder.

    Args:
        cells: of the laboratory.
        title: its name, for people.
        output: folder to write; an earlier one that this wrote is replaced.
        seed: of the folds.
        on_message: receives the lines meant for the user.

    Returns:
        The report, as in `metrics.json`.

    Raises:
        DataError: there are too few cells, or only one kind.
    """
    for sentence in cells.left_out:
        on_message(sentence)
    model = KindModel.embedded()
    counts = {kind: int((cells.kinds == code).sum()) for code, kind in enumerate(KINDS)}
    shown = {kind: count for kind, count in counts.items() if count}
    few = {kind: count for kind, count in shown.items() if count < MIN_CELLS}
    usable = np.isin(cells.kinds, [KINDS.index(kind) for kind in shown if kind not in few])
    for kind, count in few.items():
        on_message(f"{count} cells of the kind {kind} are too few, and are left out: {MIN_CELLS} are needed.")
    if len(shown) - len(few) < 2:
        raise DataError(f"Cells of two kinds or more are needed, {MIN_CELLS} of each and better {GOOD_CELLS} to 100.")
    on_message(f"{title}: {', '.join(f'{n} {kind}' for kind, n in shown.items() if kind not in few)}.")
    labelled = LabelledCells.of(cells.pixels[usable], cells.kinds[usable], cells.groups[usable], model)
    adapted = adapt_kinds(labelled, model.calibration, seed)
    report = _report(adapted, labelled)
    with model_folder.new_folder(output) as draft:
        stored = KindModel(model.network, adapted.calibration, adapted.correction, f"kinds adapted to {title}")
        (draft / FILE).write_text(json.dumps(stored.as_json()) + "\n", encoding="utf-8")
        (draft / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    on_message(_table(report))
    for note in report["notes"]:
        on_message(note)
    on_message(f"Written: {output}. Use it with --kinds {output}, or LEUKO_KINDS={output} for the app.")
    return report


def _report(adapted: AdaptedKinds, cells: LabelledCells) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {}
    for code in np.unique(cells.kinds):
        mine = cells.kinds == code
        kinds[KINDS[code]] = {
            "cells": int(mine.sum()),
            "groups": len(np.unique(cells.groups[mine])),
            "before": clopper_pearson_interval(float((adapted.before[mine] == code).mean()), int(mine.sum())),
            "after": clopper_pearson_interval(float((adapted.after[mine] == code).mean()), int(mine.sum())),
        }
    figures = {
        name: balanced_accuracy(cells.kinds, found)
        for name, found in (("before", adapted.before), ("after", adapted.after))
    }
    notes = []
    fewest = min(kinds, key=lambda kind: kinds[kind]["groups"])
    if kinds[fewest]["groups"] < 2:
        notes.append(f"All cells of the kind {fewest} are of one patient, so nothing could be tested on others.")
    elif min(each["cells"] for each in kinds.values()) < GOOD_CELLS:
        notes.append(f"The figures are not reliable: label {GOOD_CELLS} cells of each kind or more.")
    if figures["after"] <= figures["before"]:
        notes.append("The adapted kinds are not better than the shipped ones; label more cells, or stay with those.")
    return {"balanced_accuracy": figures, "kinds": kinds, "notes": notes}


def _table(report: dict[str, Any]) -> str:
    """Before and after, a line a kind."""
    lines = ["", f"{'kind':<22}{'cells':>6}{'patients':>10}{'before':>8}{'after':>8}"]
    for kind, each in report["kinds"].items():
        shares = "".join(f"{each[when]['value']:>8.2f}" for when in ("before", "after"))
        lines.append(f"{kind:<22}{each['cells']:>6}{each['groups']:>10}{shares}")
    both = report["balanced_accuracy"]
    lines.append(f"{'balanced accuracy':<38}{both['before']:>8.2f}{both['after']:>8.2f}")
    lines.append("By cross-validation: every cell was judged by a fit without its patient or image.")
    return "\n".join(lines)

"""What a person changes in a case: kinds of cells, cells that are missing, and what is no cell.

Changes are kept as a log that only grows: undoing is a change, too. The case as it was computed stays beside the case
as it was reviewed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import hypot, isfinite
from typing import Literal, cast, get_args

from leuko.cases.field_record import FieldRecord, FoundCell
from leuko.cases.pooled_cells import SAME_CELL, Overlap, PooledCell
from leuko.cells.kinds.names import BLAST, KINDS, SMUDGE, UNKNOWN

Action = Literal["label", "add", "remove", "undo", "redo"]
ACTIONS = get_args(Action)
REVIEW_KINDS = (*KINDS, SMUDGE, UNKNOWN)
TYPICAL_DIAMETER = 12.0  # µm of a white cell; of a cell that a person adds, no outline is known
FIRST_ADDED = 100_000  # number of the first cell that a person adds to a field


class ReviewError(ValueError):
    """A change that does not fit the case; the message says why."""


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        when: ISO 8601, with the time zone.
        who: name of the person.
        action: `label` gives a cell another kind, `add` and `remove` a cell; `undo` takes the last change back, `redo`
            makes the last one that was taken back again.
        image: name of the field; empty of `undo` and `redo`.
        cell: its id in the field; None of `add`, `undo` and `redo`.
        before, after: kinds of `REVIEW_KINDS`; empty where there is none.
        x, y: px, of a cell that is added.
        note: of the person.
    """

    when: str
    who: str
    action: Action
    image: str = ""
    cell: int | None = None
    before: str = ""
    after: str = ""
    x: float | None = None
    y: float | None = None
    note: str = ""


def change_of_row(row: Mapping[str, str | None], place: str, who: str, when: str) -> Change:
    """A change from a row of a table: `action`, `image`, `cell`, `after`, `x`, `y`, `note`; others are not read.

    Args:
        row: by the names of the columns.
        place: where the row stands, in words.
        who, when: see `Change`.

    Raises:
        ReviewError: the row names no action, or a number is none.
    """
    texts = {name: (row.get(name) or "").strip() for name in ("action", "image", "cell", "after", "x", "y", "note")}
    if texts["action"] not in ACTIONS:
        raise ReviewError(f"{place}: the column `action` must be one of {', '.join(ACTIONS)}.")
    try:
        cell = int(texts["cell"]) if texts["cell"] else None
        x, y = (float(texts[name]) if texts[name] else None for name in ("x", "y"))
        if not all(value is None or isfinite(value) for value in (x, y)):
            raise ValueError("a place lies nowhere")
    except ValueError as error:
        raise ReviewError(f"{place}: cell, x and y must be numbers.") from error
    return Change(
        when, who, cast(Action, texts["action"]), texts["image"], cell, "", texts["after"], x, y, texts["note"]
    )


def in_force(changes: Sequence[Change]) -> list[Change]:
    """The changes that hold after all undoing and redoing.

    Raises:
        ReviewError: there is nothing to undo, or to redo.
    """
    held: list[Change] = []
    taken_back: list[Change] = []
    for change in changes:
        source, target = {"undo": (held, taken_back), "redo": (taken_back, held)}.get(change.action, ([change], held))
        if not source:
            raise ReviewError(f"There is no change to {change.action}.")
        target.append(source.pop())
        if change.action not in ("undo", "redo"):
            taken_back.clear()
    return held


def apply(
    cells: Sequence[PooledCell], fields: Sequence[FieldRecord], overlaps: Sequence[Overlap], changes: Sequence[Change]
) -> list[PooledCell]:
    """The counted cells of a case after changes. A cell is named by any field that shows it.

    Args:
        cells: as they were computed.
        fields, overlaps: of the case.
        changes: the whole log.

    Raises:
        ReviewError: a change names no field, cell or kind of this case.
    """
    numbers = {field.name: number for number, field in enumerate(fields)}
    found = dict(enumerate(cells))
    keys = count(len(found))
    named = {sighting: key for key, each in found.items() for sighting in each.sightings}
    for change in in_force(changes):
        if change.image not in numbers:
            raise ReviewError(f"The case has no field {change.image!r}.")
        if change.action != "remove" and change.after not in REVIEW_KINDS:
            raise ReviewError(f"{change.after!r} is no kind; a cell is one of {', '.join(REVIEW_KINDS)}.")
        number = numbers[change.image]
        if change.action == "add":
            taken = [label for field, label in named if field == number and label >= FIRST_ADDED]
            added = _added(change, fields[number], max(taken, default=FIRST_ADDED - 1) + 1)
            for each in found.values():
                if _same_place(number, added, each, overlaps):
                    there = f"{each.cell.id} of {fields[each.field].name}"
                    raise ReviewError(f"There is a counted cell already at this place of {change.image}: {there}.")
            key = next(keys)
            found[key], named[number, added.id] = PooledCell(number, added, ()), key
            continue
        place = number, change.cell if change.cell is not None else -1
        if place not in named or named[place] not in found:
            raise ReviewError(f"The field {change.image} has no counted cell {change.cell}.")
        if change.action == "remove":
            del found[named[place]]
        else:
            cell = found[named[place]]
            found[named[place]] = replace(cell, cell=_labelled(cell.cell, change.after))
    return list(found.values())


def _same_place(field: int, cell: FoundCell, other: PooledCell, overlaps: Sequence[Overlap]) -> bool:
    """Whether a cell of a field lies where another cell lies, maybe as an overlapping field shows it."""
    shifts = [(0.0, 0.0)] if other.field == field else []
    for overlap in overlaps:
        if (overlap.first, overlap.second) == (field, other.field):
            shifts.append((overlap.shift.x, overlap.shift.y))
        elif (overlap.second, overlap.first) == (field, other.field):
            shifts.append((-overlap.shift.x, -overlap.shift.y))
    reach = SAME_CELL * max(cell.diameter, other.cell.diameter)
    return any(hypot(other.cell.x + x - cell.x, other.cell.y + y - cell.y) < reach for x, y in shifts)


def _labelled(cell: FoundCell, kind: str) -> FoundCell:
    """A cell of which a person says the kind: that it is a blast, or none, is certain then.

    A cell whose kind the person does not know is in no share of blasts.
    """
    blast = None if kind in (SMUDGE, UNKNOWN) else float(kind == BLAST)
    return replace(cell, type=kind, blast_probability=blast)


def _added(change: Change, field: FieldRecord, number: int) -> FoundCell:
    if field.why_no_cells:
        raise ReviewError(f"No cells are counted in {change.image}, so none can be added. {field.why_no_cells}")
    if change.x is None or change.y is None or not (0 <= change.x < field.size[0] and 0 <= change.y < field.size[1]):
        raise ReviewError(f"A cell that is added needs a place inside the field {change.image}.")
    diameter = TYPICAL_DIAMETER / field.um_per_px if field.um_per_px else 0.0
    margin = min(change.x, change.y, field.size[0] - change.x, field.size[1] - change.y)
    cell = FoundCell(number, change.x, change.y, diameter, margin, "", 0.5, "")
    return _labelled(cell, change.after)

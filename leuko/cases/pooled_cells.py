"""The cells of all fields of a case, each once: a cell in an overlap is seen by several fields and counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from leuko.cases.field_record import FieldRecord, FoundCell
from leuko.cases.registration import Shift, Structure, find_shift, matches
from leuko.cells.kinds.names import SMUDGE

SAME_CELL = 0.5  # how far positions of a cell in two fields may lie apart, in diameters: a border may cut one of them


@dataclass(frozen=True)
class Overlap:
    """Two fields of which the second shows a part of the first; `first` < `second`, in the order of the case."""

    first: int
    second: int
    shift: Shift


@dataclass(frozen=True)
class PooledCell:
    """A counted cell of the slide.

    Attributes:
        field: number of the field that shows it best: farthest from the border.
        cell: as that field shows it.
        also_in: the other fields that show it: their number, and its id there.
    """

    field: int
    cell: FoundCell
    also_in: tuple[tuple[int, int], ...]

    @property
    def sightings(self) -> tuple[tuple[int, int], ...]:
        """All fields that show it, and its id in each."""
        return (self.field, self.cell.id), *self.also_in


def find_overlaps(fields: Sequence[FieldRecord], structures: Sequence[Structure]) -> list[Overlap]:
    """All pairs of fields that overlap, or are the same; with the structure of each field."""
    found = []
    for first, second in combinations(range(len(fields)), 2):
        if fields[first].digest == fields[second].digest:
            found.append(Overlap(first, second, Shift(0.0, 0.0, 1.0)))
        elif shift := find_shift(structures[first], structures[second]):
            found.append(Overlap(first, second, shift))
    return found


def pool(fields: Sequence[FieldRecord], overlaps: Sequence[Overlap]) -> list[PooledCell]:
    """The counted cells of all fields, each once, in the order of fields and ids."""
    starts = np.cumsum([0] + [len(field.cells) for field in fields])
    same_as = list(range(int(starts[-1])))  # a tree over all cells: the cell that each is the same as

    def root(number: int) -> int:
        while same_as[number] != number:
            same_as[number] = same_as[same_as[number]]
            number = same_as[number]
        return number

    for overlap in overlaps:
        for smudge in (False, True):
            rows = [_rows(fields[number], smudge) for number in (overlap.first, overlap.second)]
            places = [
                _places(fields[number], row) for number, row in zip((overlap.first, overlap.second), rows, strict=True)
            ]
            if not all(map(len, rows)):
                continue
            moved = places[1][:, :2] + (overlap.shift.x, overlap.shift.y)
            for a, b in matches(places[0][:, :2], moved):
                diameter = max(places[0][a, 2], places[1][b, 2])  # of the whole cell, where a border cuts the other
                if np.hypot(*(places[0][a, :2] - moved[b])) >= SAME_CELL * diameter:
                    continue
                one, other = root(starts[overlap.first] + rows[0][a]), root(starts[overlap.second] + rows[1][b])
                same_as[max(one, other)] = min(one, other)
    groups: dict[int, list[tuple[int, FoundCell]]] = {}
    for number, field in enumerate(fields):
        for row, cell in enumerate(field.cells):
            groups.setdefault(root(int(starts[number]) + row), []).append((number, cell))
    pooled = []
    for seen in groups.values():
        counted = [sighting for sighting in seen if not sighting[1].not_counted]
        if counted:
            best = max(counted, key=lambda sighting: (sighting[1].margin, -sighting[0]))
            others = tuple(sorted((number, cell.id) for number, cell in seen if (number, cell) != best))
            pooled.append(PooledCell(best[0], best[1], others))
    return sorted(pooled, key=lambda each: (each.field, each.cell.type == SMUDGE, each.cell.id))


def _rows(field: FieldRecord, smudge: bool) -> list[int]:
    return [row for row, cell in enumerate(field.cells) if (cell.type == SMUDGE) is smudge]


def _places(field: FieldRecord, rows: Sequence[int]) -> np.ndarray:
    """x, y and diameter, float, N × 3, px."""
    cells = [field.cells[row] for row in rows]
    return np.array([(cell.x, cell.y, cell.diameter) for cell in cells]).reshape(-1, 3)

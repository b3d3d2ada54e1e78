"""Grouped 80:10:10 splits.

Where patients are not named, files of one patient stand next to one another, so that a random split tests a network
on patients it has seen. Blocks of consecutive files are therefore the groups, and files next to a block of another
part are left out of training (guard gap).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.data.load import DataError

SHARE = 0.1  # of the blocks of each class, for validation and for test
BLOCK = (60, 160)  # files: the range over which colours are alike along the file order of the Aria images


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, and of what was left out between them.

    Attributes:
        train, validation, test, guard: int, sorted, disjoint, together all rows.
        group: int, rows: the block of every row.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    guard: np.ndarray
    group: np.ndarray


def split_blocks(labels: np.ndarray, seed: int) -> Split:
    """Split rows into training, validation and test by blocks of consecutive rows of a class.

    Blocks hold a tenth of their class, at least 60 and at most 160 rows (fewer where a class has under 300). About a
    tenth of each class's blocks, at least one, is validation, as many test. The sixth part of a block's length
    is kept free between parts, at the cost of the training rows (of the validation rows, next to test rows).

    Args:
        labels: int, N, in file order.
        seed: of the choice of blocks.

    Raises:
        DataError: a class has fewer than 10 rows.
    """
    rng = np.random.default_rng(seed)
    part = np.zeros(len(labels), dtype=int)  # 0 train, 1 validation, 2 test, 3 guard
    group = np.zeros(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 10:
            raise DataError(f"Class number {label} has only {len(rows)} images; at least 10 are needed to split them.")
        length = int(np.clip(len(rows) / 10, min(BLOCK[0], len(rows) / 5), BLOCK[1]))
        count = round(len(rows) / length)
        block = np.arange(len(rows)) * count // len(rows)
        held_out = max(1, round(SHARE * count))
        order = rng.permutation(count)
        role = np.zeros(count, dtype=int)
        role[order[:held_out]] = 2
        role[order[held_out : 2 * held_out]] = 1
        group[rows] = group.max() + 1 + block
        part[rows] = _guarded(role[block], length // 6)
    train, validation, test, guard = (np.flatnonzero(part == p) for p in range(4))
    return Split(train, validation, test, guard, group)


def _guarded(part: np.ndarray, gap: int) -> np.ndarray:
    guarded = part.copy()
    for border in np.flatnonzero(np.diff(part)) + 1:
        weaker = min(part[border - 1], part[border])
        near = slice(max(border - gap, 0), border + gap)
        guarded[near][part[near] == weaker] = 3
    return guarded

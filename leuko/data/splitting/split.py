"""Splits by group: 80:10:10, and repeated cross-validation, with the same assignment and the same checks.

A group (see `leuko.data.splitting.groups`) lies in one part only. Between neighbouring blocks of files in different
parts, the files next to the border are left out (guard gap). They are taken from the training part or, between
validation and test, from the validation part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from leuko.data.errors import DataError
from leuko.data.splitting.group_assignment import assign, class_table, shares_off
from leuko.data.splitting.groups import Groups, Series

SHARES = (0.8, 0.1, 0.1)  # training, validation, test
_PARTS = ("train", "validation", "test")
_OUT = -1


class LeakError(DataError):
    """A split with data leakage: a group or a picture is in two parts, or a guard gap is too small."""


@dataclass(frozen=True)
class Split:
    """A split: the row numbers of each part, and of the rows that were left out.

    Attributes:
        train, validation, test: int, ascending, disjoint; validation is empty in a fold.
        left_out: int, ascending: guard gaps and spare copies. The three parts and `left_out` contain all rows.
        groups: the groups that are kept together.
        how: one sentence about the kind of split.
        seed: seed of all random choices.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    left_out: np.ndarray
    groups: Groups
    how: str
    seed: int

    @property
    def group(self) -> np.ndarray:
        """The group of every row; int, N."""
        return self.groups.group

    @property
    def part(self) -> np.ndarray:
        """The part of every row: 0 train, 1 validation, 2 test, -1 none; int, N."""
        part = np.full(len(self.group), _OUT)
        for number, name in enumerate(_PARTS):
            part[getattr(self, name)] = number
        return part

    def save(self, path: Path, files: Sequence[str]) -> None:
        """Write the split as JSON by file names, so that it can be used again with any order of the rows.

        Args:
            path: file to write.
            files: N, the names of the rows, each once.
        """
        names = [*_PARTS, "guard"]  # index -1 is the guard gap
        part = ["copy" if spare else names[p] for p, spare in zip(self.part, self.groups.spare, strict=True)]
        series = [
            {"label": s.label, "source": s.source, "rows": s.rows.tolist()}
            | {"period": s.period, "reach": s.reach, "count": s.count, "gap": s.gap}
            | {"autocorrelation": s.autocorrelation.round(4).tolist()}
            for s in self.groups.series
        ]
        rows = {file: [p, int(g)] for file, p, g in zip(files, part, self.group, strict=True)}
        saved = {"how": self.how, "groups": self.groups.how, "seed": self.seed, "files": rows, "series": series}
        path.write_text(json.dumps(saved, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, files: Sequence[str]) -> Split:
        """Read a split that `save` wrote.

        Args:
            path: file to read.
            files: N, the names of the rows that the split is used for, in any order.

        Raises:
            DataError: the file does not exist, is not a split, or was made for other files.
            LeakError: the file was edited and now has data leakage.
        """
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            saved_files, place = saved["files"], {file: row for row, file in enumerate(files)}
            gone, new = sorted(saved_files.keys() - place.keys()), sorted(place.keys() - saved_files.keys())
            if gone or new:
                raise DataError(
                    f"{path.name} was made for other files: {len(gone)} of its {len(saved_files)} are missing, "
                    f"{len(new)} are new (such as {(gone + new)[0]})."
                )
            part, group = (np.array(column) for column in zip(*(saved_files[file] for file in files), strict=True))
            order = np.array([place[file] for file in saved_files])  # the row of each file, in the saved order
            series = []
            for s in saved["series"]:
                rows, autocorrelation = order[s.pop("rows")], np.array(s.pop("autocorrelation"))
                series.append(Series(rows=rows, autocorrelation=autocorrelation, **s))
            groups = Groups(group, part == "copy", tuple(series), saved["groups"])
            train, validation, test = (np.flatnonzero(part == name) for name in _PARTS)
            left_out = np.flatnonzero(~np.isin(part, _PARTS))
            split = cls(train, validation, test, left_out, groups, saved["how"], saved["seed"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is not there or does not hold a split; make a new one.") from error
        verify(split)
        return split


def split_rows(labels: Sequence[int] | Sequence[str] | np.ndarray, groups: Groups, seed: int) -> Split:
    """Split rows 80:10:10 by group, stratified by class as far as the groups allow.

    Args:
        labels: N, the classes, as numbers or names (error messages are clearer with names).
        groups: the groups of these rows.
        seed: seed of the choice of groups.

    Raises:
        DataError: a class has too few groups to be in every part.
    """
    part = _assign(labels, groups, SHARES, lambda part: [part], np.random.default_rng(seed))
    return _checked(part, groups, "80:10:10", seed)


def folds(
    labels: Sequence[int] | Sequence[str] | np.ndarray,
    groups: Groups,
    *,
    count: int = 5,
    repeats: int = 1,
    seed: int = 0,
) -> Iterator[Split]:
    """Repeated cross-validation by group: in each repeat, every group is in the test part once.

    Args:
        labels, groups: as for `split_rows`.
        count: number of folds, at least 2.
        repeats: number of repeats.
        seed: seed of the choice of groups.

    Yields:
        Splits with training and test rows; the validation part is empty.

    Raises:
        DataError: a class has fewer groups than there are folds.
    """

    def in_turn(fold: np.ndarray) -> list[np.ndarray]:
        return [np.where(fold == number, 2, 0) for number in range(count)]

    for repeat in range(repeats):
        fold = _assign(labels, groups, (1 / count,) * count, in_turn, np.random.default_rng([seed, repeat]))
        for number, part in enumerate(in_turn(fold), start=1):
            yield _checked(part, groups, f"Fold {number} of {count} (repeat {repeat + 1} of {repeats})", seed)


def verify(split: Split, pictures: np.ndarray | None = None) -> None:
    """Raise LeakError if a split has data leakage between its parts.

    Args:
        split: any split.
        pictures: int, N, same number = same picture, or None.

    Raises:
        LeakError: a row is in two parts or twice in one part, a group or a picture is in two parts, or rows of two
            parts are closer in the file order than the guard gap.
    """
    used = np.concatenate([split.train, split.validation, split.test])
    rows, times = np.unique(np.concatenate([used, split.left_out]), return_counts=True)
    if (times > 1).any() or not np.array_equal(rows, np.arange(len(split.group))):
        raise LeakError("The split uses a row twice or not at all; make a new one.")
    part = split.part
    for what, kind in (("group", split.group), ("picture", split.group if pictures is None else pictures)):
        pairs = np.unique(np.stack([kind[used], part[used]]), axis=1)
        crossing = len(pairs[0]) - len(np.unique(pairs[0]))
        if crossing:
            raise LeakError(f"{crossing} {what}{'s are' if crossing > 1 else ' is'} in two parts of the split at once.")
    for series in split.groups.series:
        place = np.flatnonzero(part[series.rows] != _OUT)
        borders = np.diff(part[series.rows][place]) != 0
        if (np.diff(place)[borders] <= series.gap).any():
            raise LeakError(f"Files of {series.label} in two parts stand nearer than the guard gap of {series.gap}.")


def class_shares_off(split: Split, labels: Sequence[int] | Sequence[str] | np.ndarray) -> float:
    """Largest difference between the share of a class in a part and in all rows; percentage points."""
    label = np.unique(labels, return_inverse=True)[1]
    table = class_table(split.part, label)
    return shares_off(table[table.any(axis=1)], label)


def _assign(
    labels: Sequence[int] | Sequence[str] | np.ndarray,
    groups: Groups,
    shares: Sequence[float],
    splits: Callable[[np.ndarray], list[np.ndarray]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Assign each row to one of the shares; `splits` converts this to splits (rows as 0, 1, 2), which are optimised."""
    names, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((groups.group.max(initial=-1) + 1, len(names)))
    np.add.at(counts, (groups.group[~groups.spare], label[~groups.spare]), 1)
    for name, number in zip(names, (counts > 0).sum(axis=0), strict=True):
        if number < len(shares):
            raise DataError(
                f"Too few groups of class {name}: {number}; at least {len(shares)} are needed, so that each part of "
                "the split has one."
            )

    def off(part: np.ndarray) -> float:
        found = [(split, class_table(_guarded(split, groups), label)) for split in splits(part[groups.group])]
        tables = [table[np.unique(split)] for split, table in found]
        return max(shares_off(table, label) if table.all() else np.inf for table in tables)

    part = assign(counts, np.asarray(shares), off, rng)
    if part is None:
        raise DataError("The groups cannot be divided so that each part has all classes; more groups are needed.")
    return part[groups.group]


def _guarded(part: np.ndarray, groups: Groups) -> np.ndarray:
    """Leave out spare copies, and rows within the guard gap of a row in a later part (train < validation < test)."""
    guarded = np.where(groups.spare, _OUT, part)
    for series in groups.series:
        parts_along = guarded[series.rows]
        strongest = maximum_filter1d(parts_along, 2 * series.gap + 1, mode="nearest")
        guarded[series.rows] = np.where(strongest > parts_along, _OUT, parts_along)
    return guarded


def _checked(part: np.ndarray, groups: Groups, kind: str, seed: int) -> Split:
    guarded = _guarded(part, groups)
    train, validation, test, left_out = (np.flatnonzero(guarded == number) for number in (0, 1, 2, _OUT))
    how = f"{kind} by group, seed {seed}: {groups.how}"
    gap = len(left_out) - groups.spare.sum()
    if gap:
        how += f"; {gap} files left out as guard gaps where parts meet"
    split = Split(train, validation, test, left_out, groups, how, seed)
    verify(split)
    return split

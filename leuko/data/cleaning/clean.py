"""Find damaged images, duplicates, overlaps and possible label errors, and decide which rows remain.

Files are not changed. `Cleaning` lists every issue and the action that was taken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from leuko.data.cleaning.duplicates import Duplicates, Fingerprints
from leuko.data.cleaning.label_issues import HUES, colours, label_errors, outliers
from leuko.data.errors import DataError
from leuko.data.image_table import ImageTable
from leuko.images import masked_cell_detection
from leuko.images.decode import SUFFIXES, ImageError, decode, format_of
from leuko.images.field_of_view import crop_to_field_of_view
from leuko.images.quality import assessment

Action = Literal["dropped", "kept", "grouped", "flagged"]
ACTIONS: dict[str, Action] = {
    "unreadable": "dropped",
    "wrong-suffix": "flagged",
    **dict.fromkeys(assessment.KINDS, "dropped"),
    "exact-duplicate": "dropped",
    "near-duplicate": "grouped",
    "overlap": "grouped",
    "two-labels": "dropped",
    "outlier": "flagged",
    "label-error": "flagged",
}


@dataclass(frozen=True)
class Issue:
    """One finding.

    Attributes:
        row: number of the row.
        file: file name of the row.
        kind: one of `ACTIONS`.
        message: one sentence that describes the finding.
        action: `dropped`; `kept` (not dropped because of `keep`); `grouped` (a split must keep the rows together);
            or `flagged` (not dropped, but should be checked by a person).
        score: for outliers and label errors, see `leuko.data.cleaning.label_issues`.
        partner: the similar file, for duplicates and overlaps.
    """

    row: int
    file: str
    kind: str
    message: str
    action: Action
    score: float | None = None
    partner: str | None = None


@dataclass(frozen=True)
class Cleaning:
    """All findings on a data set.

    Attributes:
        issues: the findings, sorted by row.
        duplicates: over all rows; unreadable and unfit rows have no duplicates.
        kept: int, the rows that remain, ascending.
    """

    issues: tuple[Issue, ...]
    duplicates: Duplicates
    kept: np.ndarray

    def save(self, path: Path) -> None:
        """Write `cleaning.json`: the numbers of findings, and every finding."""
        report = {
            "rows": len(self.duplicates.picture),
            "kept": len(self.kept),
            "findings": dict(Counter(issue.kind for issue in self.issues)),
            "issues": [asdict(issue) for issue in self.issues],
        }
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def summary(self) -> str:
        """A summary in two lines for a terminal."""
        rows = len(self.duplicates.picture)
        found = Counter((issue.action, issue.kind) for issue in self.issues)
        done = [
            f"{action}: " + ", ".join(f"{number} {kind}" for (a, kind), number in found.items() if a == action)
            for action in ("dropped", "kept", "grouped", "flagged")
            if any(a == action for a, _ in found)
        ]
        return f"{len(self.kept)} of {rows} images remain.\n" + ("; ".join(done) or "Nothing was found wrong") + "."


def inspect(
    rows: ImageTable,
    features: Callable[[ImageTable], np.ndarray] | None = None,
    *,
    keep: Collection[str] = (),
    progress: Callable[[Iterable, str, int], Iterable] = lambda items, _what, _count: items,
) -> Cleaning:
    """Check a data set for all kinds of issues in `ACTIONS`.

    Dropped are unreadable images, images of insufficient quality, further copies of an image, and pictures with two
    different labels. Near-duplicates and overlapping fields are grouped. Outliers and possible label errors are only
    flagged.

    Args:
        rows: the data set.
        features: computes deep features, float, N × D, of the remaining rows. If None, outliers and label errors are
            not searched for.
        keep: kinds of `ACTIONS` or file names that must not be dropped.
        progress: wraps an iterable to show progress; its other arguments are a description and the number of items.

    Raises:
        leuko.data.errors.DataError: `keep` holds a name that is neither a kind nor a file, or names unreadable files.
    """
    inspector = _Inspector(rows, _checked(keep, rows.files))
    prints, hues = Fingerprints(len(rows)), np.zeros((len(rows), HUES), np.float16)
    for row in progress(range(len(rows)), "Reading images", len(rows)):
        image = inspector.read(row)
        if image is not None:
            shown = _visible_part(image)
            prints.add(row, shown)
            hues[row] = colours(shown)
    duplicates = prints.find(lambda row: _visible_part(rows.open_image(row)))
    inspector.report_duplicates(duplicates)
    remaining = inspector.remaining()
    if features is not None and len(remaining):
        inspector.report_feature_issues(
            features(rows.select(remaining)), hues[remaining], remaining, duplicates.field[remaining]
        )
    return Cleaning(tuple(sorted(inspector.issues, key=lambda i: i.row)), duplicates, inspector.remaining())


def _visible_part(image: np.ndarray) -> np.ndarray:
    """Crop an image (uint8, H × W × 3) to the part inside a black surround (round eyepiece field or masked cell)."""
    return masked_cell_detection.crop_to_cell(crop_to_field_of_view(image))


def _checked(keep: Collection[str], files: Sequence[str]) -> set[str]:
    if "unreadable" in keep:
        raise DataError("Unreadable files cannot be kept: there is nothing in them to train on.")
    if unknown := sorted(set(keep) - set(ACTIONS) - set(files)):
        kinds = ", ".join(kind for kind in ACTIONS if kind != "unreadable")
        raise DataError(f"Cannot keep {', '.join(unknown)}: give names of files in the data, or kinds: {kinds}.")
    return set(keep)


@dataclass
class _Inspector:
    """Collects findings and decides the action for each."""

    images: ImageTable
    keep: set[str]

    def __post_init__(self) -> None:
        self.issues: list[Issue] = []

    def remaining(self) -> np.ndarray:
        """The rows that were not dropped."""
        dropped = {issue.row for issue in self.issues if issue.action == "dropped"}
        return np.array([row for row in range(len(self.images.files)) if row not in dropped], dtype=int)

    def report(
        self, row: int, kind: str, message: str, *, score: float | None = None, partner: str | None = None
    ) -> bool:
        """Record a finding; returns whether the row is dropped."""
        file, action = self.images.files[row], ACTIONS[kind]
        if action == "dropped" and kind != "unreadable" and self.keep & {file, kind}:
            action = "kept"
        self.issues.append(Issue(row, file, kind, message, action, score, partner))
        return action == "dropped"

    def read(self, row: int) -> np.ndarray | None:
        """Decode a row and assess its quality; None if the row is dropped."""
        try:
            data = self.images.read_bytes(row)
            image = decode(data)
        except ImageError as error:
            unkept = (
                " It cannot be kept, as nothing can be read from it." if self.images.files[row] in self.keep else ""
            )
            self.report(row, "unreadable", f"{error}{unkept}")
            return None
        wanted, found = SUFFIXES.get(Path(self.images.files[row]).suffix.lower()), format_of(data)
        if wanted and wanted != found:
            self.report(row, "wrong-suffix", f"The name says {wanted}, but the file is a {found}; rename it.")
        dropped = [self.report(row, kind, message) for kind, message in assessment.assess(image).issues_by_kind.items()]
        return None if any(dropped) else image

    def report_duplicates(self, duplicates: Duplicates) -> None:
        """Report copies, near-duplicates and overlaps; a picture with two labels is reported only as such."""
        two_labels: set[int] = set()
        for rows in duplicates.near:
            if len(set(self.images.labels[list(rows)])) > 1:
                two_labels.update(rows)
                for row in rows:
                    other = next(o for o in rows if self.images.labels[o] != self.images.labels[row])
                    self.report(
                        row,
                        "two-labels",
                        f"Labelled {self._label(row)}, but {self.images.files[other]} shows the same picture and is "
                        f"labelled {self._label(other)}.",
                        partner=self.images.files[other],
                    )
        copies = {row: rows[0] for rows in duplicates.exact for row in rows[1:]}
        for row, first in copies.items():
            if row not in two_labels:
                message = f"The same pixels as {self.images.files[first]}, of which one copy is enough."
                self.report(row, "exact-duplicate", message, partner=self.images.files[first])
        near = {
            row: rows[0] for rows in duplicates.near for row in rows[1:] if row not in two_labels and row not in copies
        }
        for row, first in near.items():
            message = f"Shows the same picture as {self.images.files[first]}; a split must keep them together."
            self.report(row, "near-duplicate", message, partner=self.images.files[first])
        self._report_overlaps(duplicates, two_labels | set(copies) | set(near))

    def _report_overlaps(self, duplicates: Duplicates, reported: set[int]) -> None:
        """Report once each row that overlaps with an earlier row, unless it is already reported as a copy."""
        reported = set(reported)
        for pair in duplicates.overlaps:
            if pair.b in reported:
                continue
            reported.add(pair.b)
            first, label, other = self.images.files[pair.a], self._label(pair.a), self._label(pair.b)
            message = f"Overlaps with {first}, which shows {pair.of_b:.0%} of it; a split must keep them together."
            if label != other:
                message += f" Their labels differ: {label} and {other}."
            self.report(pair.b, "overlap", message, partner=first)

    def report_feature_issues(
        self, features: np.ndarray, hues: np.ndarray, rows: np.ndarray, pictures: np.ndarray
    ) -> None:
        found = outliers(features, pictures)
        for row, score in zip(rows[found.rows], found.score, strict=True):
            message = f"Unlike all other images: {score:.1f} robust standard deviations farther from its neighbours."
            self.report(int(row), "outlier", message, score=round(float(score), 3))
        found = label_errors(features, hues, self.images.labels[rows], pictures)
        for row, score in zip(rows[found.rows], found.score, strict=True):
            message = f"The label {self._label(row)} is probably wrong: it has a probability of {score:.3f}."
            self.report(int(row), "label-error", message, score=round(float(score), 4))

    def _label(self, row: int) -> str:
        return self.images.class_names[self.images.labels[row]]

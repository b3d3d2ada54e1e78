"""Galleries of the data report: the images it shows, as small data URIs inside the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leuko.data.cleaning.clean import Issue
from leuko.data.image_table import ImageTable
from leuko.images.decode import ImageError
from leuko.reports.eda.dataset_profile import DatasetProfile
from leuko.reports.html_report import GALLERY_SIZE, Gallery, Tile, thumbnail

SAMPLES = 12  # random images shown of each class
NEAREST = 10  # most similar images whose labels are shown beside a possible label error
COPIES = 4  # images shown of one set of duplicates


def duplicates(profile: DatasetProfile, sets: Sequence[tuple[int, ...]]) -> Gallery:
    """One card for each set of rows that are copies or overlap; labels are shown where they differ."""
    cards = []
    for rows in sets[:GALLERY_SIZE]:
        labels_differ = len(np.unique(profile.labels[list(rows)])) > 1
        notes = [f"labelled {profile.classes[profile.labels[row]]}" if labels_differ else "" for row in rows[:COPIES]]
        if len(rows) > COPIES:
            notes[-1] += f" (and {len(rows) - COPIES:,} more)"
        cards.append(tuple(_tile(profile, row, note) for row, note in zip(rows, notes, strict=False)))
    return Gallery(tuple(cards), more=_more(len(sets), "sets"))


def outliers(profile: DatasetProfile) -> Gallery:
    """The outliers, the most distant first."""
    issues = _issues(profile, "outlier")
    issues.sort(key=lambda issue: -(issue.score or 0))
    cards = tuple((_tile(profile, i.row, f"{i.score:.1f} deviations away"),) for i in issues[:GALLERY_SIZE])
    return Gallery(cards, more=_more(len(issues), "images"))


def possible_label_errors(profile: DatasetProfile) -> Gallery:
    """Possible label errors, the least probable label first, with the classes of the most similar images."""
    issues = _issues(profile, "label-error")
    issues.sort(key=lambda issue: issue.score or 0)
    others = np.setdiff1d(profile.cleaning.kept, [issue.row for issue in issues])
    cards = []
    for issue in issues[:GALLERY_SIZE]:
        near = others[np.argsort(((profile.features[others] - profile.features[issue.row]) ** 2).sum(axis=1))[:NEAREST]]
        votes = np.bincount(profile.labels[near], minlength=len(profile.classes))
        most_common = ", ".join(f"{votes[c]} {profile.classes[c]}" for c in np.argsort(-votes)[:2] if votes[c])
        label = profile.classes[profile.labels[issue.row]]
        note = f"labelled {label}; of the {len(near)} images most like it: {most_common}"
        cards.append((_tile(profile, issue.row, note),))
    return Gallery(tuple(cards), more=_more(len(issues), "images"))


def _issues(profile: DatasetProfile, kind: str) -> list[Issue]:
    return [issue for issue in profile.cleaning.issues if issue.kind == kind]


def samples(profile: DatasetProfile) -> list[Gallery]:
    """Random images of each class, the same ones every time."""
    rng = np.random.default_rng(0)
    galleries = []
    for number, name in enumerate(profile.classes):
        rows = profile.readable[profile.labels[profile.readable] == number]
        chosen = np.sort(rng.choice(rows, min(SAMPLES, len(rows)), replace=False))
        galleries.append(Gallery(tuple((_tile(profile, row),) for row in chosen), title=name))
    return [gallery for gallery in galleries if gallery.cards]


def _tile(profile: DatasetProfile, row: int, note: str = "") -> Tile:
    return Tile(_thumbnail(profile.rows, int(row)), profile.files[row], note)


def _thumbnail(rows: ImageTable, row: int) -> str | None:
    try:
        return thumbnail(rows.open_image(row))
    except ImageError:
        return None


def _more(total: int, noun: str) -> str:
    return (
        f"Shown are the first {GALLERY_SIZE} of {total:,} {noun}; cleaning.json lists all."
        if total > GALLERY_SIZE
        else ""
    )

"""Galleries: the few images a report shows are opened again, made small, and put into the page itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from leuko.data.cleaning.clean import Issue
from leuko.data.image_table import ImageTable
from leuko.images.decode import ImageError
from leuko.reports.eda.dataset_profile import DatasetProfile

SHOWN = 24  # sets or images a gallery shows at most
SAMPLES = 12  # random images of each class
NEAREST = 10  # images asked what a doubtful label should be
_COPIES = 4  # images shown of one set of duplicates
_THUMBNAIL = 128  # pixels


@dataclass(frozen=True)
class Tile:
    """A small image: a data URI (None: it cannot be read), the file it comes from, and what is said of it."""

    uri: str | None
    file: str
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards of one or several tiles; `title` may be empty, `more` says what is not shown."""

    cards: tuple[tuple[Tile, ...], ...]
    title: str = ""
    more: str = ""


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of an image of MIME type `image/KIND` as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def duplicates(survey: DatasetProfile, sets: Sequence[tuple[int, ...]]) -> Gallery:
    """A card for each set of rows that show one picture or overlap, side by side; labels are told where they differ."""
    cards = []
    for rows in sets[:SHOWN]:
        told = len(np.unique(survey.labels[list(rows)])) > 1
        notes = [f"labelled {survey.classes[survey.labels[row]]}" if told else "" for row in rows[:_COPIES]]
        if len(rows) > _COPIES:
            notes[-1] += f" (and {len(rows) - _COPIES:,} more)"
        cards.append(tuple(_tile(survey, row, note) for row, note in zip(rows, notes, strict=False)))
    return Gallery(tuple(cards), more=_more(len(sets), "sets"))


def outliers(survey: DatasetProfile) -> Gallery:
    """The outliers, the farthest first."""
    issues = _issues(survey, "outlier")
    issues.sort(key=lambda issue: -(issue.score or 0))
    cards = tuple((_tile(survey, i.row, f"{i.score:.1f} deviations away"),) for i in issues[:SHOWN])
    return Gallery(cards, more=_more(len(issues), "images"))


def labels_in_doubt(survey: DatasetProfile) -> Gallery:
    """The labels in doubt, the least probable first, with the class that most of the likest images have."""
    issues = _issues(survey, "label-error")
    issues.sort(key=lambda issue: issue.score or 0)
    others = np.setdiff1d(survey.cleaning.kept, [issue.row for issue in issues])
    cards = []
    for issue in issues[:SHOWN]:
        near = others[np.argsort(((survey.features[others] - survey.features[issue.row]) ** 2).sum(axis=1))[:NEAREST]]
        votes = np.bincount(survey.labels[near], minlength=len(survey.classes))
        likest = ", ".join(f"{votes[c]} {survey.classes[c]}" for c in np.argsort(-votes)[:2] if votes[c])
        note = f"labelled {survey.classes[survey.labels[issue.row]]}; of the {len(near)} images most like it: {likest}"
        cards.append((_tile(survey, issue.row, note),))
    return Gallery(tuple(cards), more=_more(len(issues), "images"))


def _issues(survey: DatasetProfile, kind: str) -> list[Issue]:
    return [issue for issue in survey.cleaning.issues if issue.kind == kind]


def samples(survey: DatasetProfile) -> list[Gallery]:
    """Random images of each class, always the same ones."""
    rng = np.random.default_rng(0)
    shown = []
    for number, name in enumerate(survey.classes):
        rows = survey.readable[survey.labels[survey.readable] == number]
        chosen = np.sort(rng.choice(rows, min(SAMPLES, len(rows)), replace=False))
        shown.append(Gallery(tuple((_tile(survey, row),) for row in chosen), title=name))
    return [gallery for gallery in shown if gallery.cards]


def _tile(survey: DatasetProfile, row: int, note: str = "") -> Tile:
    return Tile(_thumbnail(survey.rows, int(row)), survey.files[row], note)


def _thumbnail(rows: ImageTable, row: int) -> str | None:
    try:
        return thumbnail(rows.open_image(row))
    except ImageError:
        return None


def thumbnail(image: np.ndarray) -> str:
    """A small version of an image, uint8, H × W × 3, RGB, as a data URI."""
    shrink = min(1, _THUMBNAIL / max(image.shape[:2]))
    size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data_uri(data.tobytes(), "jpeg")


def _more(total: int, what: str) -> str:
    return f"Shown are the first {SHOWN} of {total:,} {what}; cleaning.json names them all." if total > SHOWN else ""

"""Summarise a zip of labelled images (classes, unused files), to show it before a model is adapted to it."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import shortlist
from leuko.data.labels.label_conflicts import check_file_names
from leuko.data.labels.positive_classes import class_meanings, unify_class_names
from leuko.data.sources.archive import unpack
from leuko.data.sources.folders import read_folder

IMAGES = "Your images"  # name of the unpacked folder in messages


@dataclass(frozen=True)
class ZipClass:
    """A class of the zip.

    Attributes:
        name: class name; the most frequent spelling if there are several.
        images: number of images.
        leukaemia: whether the class means leukaemia, by its name; None if the meaning is uncertain.
    """

    name: str
    images: int
    leukaemia: bool | None


@dataclass(frozen=True)
class ZipContents:
    """The contents of a zip of labelled images.

    Attributes:
        archive: path of the zip.
        classes: the classes, sorted by name.
        notes: lines about guesses and about files that are not used.
    """

    archive: str
    classes: tuple[ZipClass, ...]
    notes: tuple[str, ...]


def read_zip(archive: str) -> ZipContents:
    """Read the classes of a zip of labelled images; the unpacked files are deleted afterwards.

    Raises:
        leuko.data.sources.archive.ArchiveError: the zip cannot be unpacked.
        leuko.data.errors.DataError: its images cannot be used, or their classes cannot be found.
    """
    with tempfile.TemporaryDirectory(prefix="leuko-lab-") as folder:
        images, notes = Path(folder) / IMAGES, []
        images.mkdir()
        if not_images := unpack(Path(archive), images):
            notes.append(f"Not used: {len(not_images)} other files of the zip ({shortlist(not_images)}).")
        try:
            rows = [row for of_part in read_folder(images, on_message=notes.append).values() for row in of_part]
            spelling, messages = unify_class_names(row.label for row in rows)
            labels = [spelling[row.label] for row in rows]
            if len(classes := sorted(set(labels))) < 2:
                raise DataError(f"{IMAGES}: there is only one class ({classes[0]}); at least two are needed.")
            check_file_names([row.file for row in rows], labels, classes)
        except DataError as error:
            raise DataError(_hide_path(folder, str(error))) from error
    known = class_meanings(classes)
    meaning = dict.fromkeys(known.leukaemia, True) | dict.fromkeys(
        known.unknown if known.cells else known.absence, False
    )
    count = Counter(labels)
    classes_in_zip = tuple(ZipClass(name, count[name], meaning.get(name)) for name in classes)
    return ZipContents(archive, classes_in_zip, tuple(_hide_path(folder, note) for note in (*notes, *messages)))


def _hide_path(folder: str, text: str) -> str:
    """Remove the server's path from a message."""
    return text.replace(f"{folder}/", "")

"""The classes in a zip of labelled images, and what of it is not used; shown before a model is adapted to it."""

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

IMAGES = "Your images"  # the folder a zip is unpacked into, as messages call it


@dataclass(frozen=True)
class ZipClass:
    """A class of the zip.

    Attributes:
        name: its name; of several spellings the commonest.
        images: how many there are.
        leukaemia: whether the class means leukaemia, by its name; None if the name leaves it open.
    """

    name: str
    images: int
    leukaemia: bool | None


@dataclass(frozen=True)
class ZipContents:
    """What a zip holds.

    Attributes:
        archive: its path.
        classes: by name.
        notes: lines about guesses and about files that are not used.
    """

    archive: str
    classes: tuple[ZipClass, ...]
    notes: tuple[str, ...]


def read_zip(archive: str) -> ZipContents:
    """Look into a zip of labelled images; nothing of it is kept.

    Raises:
        leuko.data.sources.archive.ArchiveError: the zip is not unpacked.
        leuko.data.errors.DataError: its images cannot be used, or their classes cannot be told.
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
    """A sentence without the path of the server in it."""
    return text.replace(f"{folder}/", "")

"""What a zip of labelled images holds, told before a model is adapted to it: its classes, and what is left out."""

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
        leukaemia: whether its name says for certain that it means leukaemia, or that it does not; None if neither.
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
        notes: lines about what was taken for something or is not used.
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
    with tempfile.TemporaryDirectory(prefix="leuko-lab-") as place:
        images, notes = Path(place) / IMAGES, []
        images.mkdir()
        if left_out := unpack(Path(archive), images):
            notes.append(f"Not used: {len(left_out)} other files of the zip ({shortlist(left_out)}).")
        try:
            rows = [row for of_part in read_folder(images, on_message=notes.append).values() for row in of_part]
            spelling, said = unify_class_names(row.label for row in rows)
            labels = [spelling[row.label] for row in rows]
            if len(classes := sorted(set(labels))) < 2:
                raise DataError(f"{IMAGES}: there is only one class ({classes[0]}); at least two are needed.")
            check_file_names([row.file for row in rows], labels, classes)
        except DataError as error:
            raise DataError(_without(place, str(error))) from error
    known = class_meanings(classes)
    meaning = dict.fromkeys(known.leukaemia, True) | dict.fromkeys(
        known.unknown if known.cells else known.absence, False
    )
    count = Counter(labels)
    found = tuple(ZipClass(name, count[name], meaning.get(name)) for name in classes)
    return ZipContents(archive, found, tuple(_without(place, note) for note in (*notes, *said)))


def _without(place: str, text: str) -> str:
    """A sentence without the path of the server in it."""
    return text.replace(f"{place}/", "")

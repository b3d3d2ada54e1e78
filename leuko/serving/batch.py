"""Many files judged one after the other: nothing is kept but what is said of them."""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leuko.data.sources import archive
from leuko.images.decode import Picture
from leuko.images.file_types import InputFile, kind_of
from leuko.inference import per_file
from leuko.inference.classifier import Classifier
from leuko.serving.analysis import model_name
from leuko.serving.gradio.upload_components import Upload

COLUMNS = ("file", "decision", "leukaemia probability", "label", "quality", "model", "reason")
NOT_JUDGED = "not judged"
SKIPPED = "skipped"
NOT_FIT = "not fit to be judged"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Files that belong to one request alone, in a folder that goes with it.

    Attributes:
        items: every file that was given or lies in a zip that was given, in that order.
    """

    items: tuple[InputFile, ...]


@contextmanager
def taken(uploads: Sequence[Upload]) -> Iterator[Batch]:
    """Take files over from the upload folder, where they would age while others are judged; zips are unpacked.

    The names of files in a zip begin with the zip's, unless it was given alone.

    Raises:
        ArchiveError: no files, too many, or a lone zip that is not unpacked.
    """
    if not uploads:
        raise archive.ArchiveError("No images were given; choose some, or a zip of them.")
    if len(uploads) > archive.MAX_FILES:
        raise archive.ArchiveError(f"{len(uploads)} files were given; at most {archive.MAX_FILES} are taken.")
    with tempfile.TemporaryDirectory(prefix="leuko-batch-") as place:
        folder = Path(place)
        if len(uploads) == 1 and _is_zip(uploads[0].path):
            yield Batch(tuple(archive.items(uploads[0].path, folder, archive.Room())))
            return
        items: list[InputFile] = []
        owned = [_own(upload, folder / f"{i}{upload.path.suffix}") for i, upload in enumerate(uploads)]
        zips = {upload.path for upload in owned if _is_zip(upload.path)}
        room = archive.Room(archive.MAX_FILES - len(owned) + len(zips))
        for upload in owned:
            items += _unpacked(upload, room) if upload.path in zips else [_item(upload)]
        yield Batch(tuple(items))


def judge(classifier: Classifier, item: InputFile) -> list[dict[str, Any]]:
    """The finding for each picture of a file, or `{"image", "error"}`, or `{"image", "skipped"}`.

    Whatever is wrong with it is its own affair. The file is deleted.
    """

    def find(page: str, picture: Picture) -> dict[str, Any]:
        return classifier.classify(picture.pixels, picture.um_per_px).as_json(item.name + page)

    return per_file.answers(item, find, _fault)


def row(answer: dict[str, Any]) -> tuple[str, ...]:
    """What the table says of a file, a text for each of `COLUMNS`.

    Probability and label stand only where they are part of the answer: an empty cell invites no threshold.
    """
    if "skipped" in answer:
        return answer["image"], SKIPPED, *[""] * (len(COLUMNS) - 3), answer["skipped"]
    if "error" in answer:
        return answer["image"], NOT_JUDGED, "", "", "", "", answer["error"]
    model, quality = model_name(answer["model"]), answer["quality"]
    if not quality["usable"]:  # what the network says of it means nothing
        return answer["image"], NOT_FIT, "", "", "not usable", model, " ".join(quality["issues"])
    decided = answer["decision"] != "uncertain"
    return (
        answer["image"],
        answer["decision"],
        f"{answer['leukaemia_probability']:.4f}" if decided else "",
        answer["pattern"] or "",
        f"usable, with warnings: {' '.join(quality['warnings'])}" if quality["warnings"] else "usable",
        model,
        " ".join((answer["headline"], *answer["reasons"])),
    )


def as_csv(rows: Sequence[tuple[str, ...]]) -> bytes:
    """The table as CSV in UTF-8 with a byte-order mark, without which Excel garbles names.

    A text that a spreadsheet would run as a formula gets an apostrophe in front
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in one] for one in rows)
    return written.getvalue().encode("utf-8-sig")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) or cell.startswith(_FORMULA) else cell


def _is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does; its name says nothing."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(4)) == "zip"
    except OSError:
        return False


def _unpacked(upload: Upload, room: archive.Room) -> list[InputFile]:
    """The files of one zip among other files; a zip that is refused is an error beside them."""
    folder = upload.path.with_name(f"{upload.path.name}-unpacked")
    folder.mkdir()
    try:
        inside = archive.items(upload.path, folder, room)
    except archive.ArchiveError as error:
        return [InputFile(upload.name, error=str(error))]
    return [replace(item, name=f"{upload.name}/{item.name}") for item in inside]


def _item(upload: Upload) -> InputFile:
    return InputFile(upload.name, upload.path, temporary=True)


def _fault(_: Exception) -> str:
    log.exception("A file of a batch could not be judged")
    return "This image could not be judged; the fault is ours. Try it alone."


def _own(upload: Upload, path: Path) -> Upload:
    """The file under a name of our own: a second link where the disk allows it, which costs nothing.

    The first is left for the clean-up: what another session uploads of the same content lies there only once.
    """
    try:
        os.link(upload.path, path)
    except FileNotFoundError:
        return upload  # too late: `decode` will say that it is not there
    except OSError:
        shutil.copyfile(upload.path, path)
    return Upload(path, upload.name)

"""Many files classified one after the other; only their findings are kept."""

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
from leuko.system.csv_safety import escape_formula

COLUMNS = ("file", "decision", "leukaemia probability", "label", "quality", "model", "reason")
# What stands in the column `decision` where there is none.
NOT_ANALYSED = "not analysed"
SKIPPED = "skipped"
LOW_QUALITY = "image quality too low"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """The files of one request, in a folder of its own that is deleted after it.

    Attributes:
        items: every uploaded file, and every file of an uploaded zip, in order.
    """

    items: tuple[InputFile, ...]


@contextmanager
def open_batch(uploads: Sequence[Upload]) -> Iterator[Batch]:
    """Take uploads out of the upload folder, where they could be deleted while they wait, and unpack zips.

    The names of files in a zip begin with the zip's name, unless the zip is the only upload.

    Raises:
        ArchiveError: there are no files, too many, or the only upload is a zip that cannot be unpacked.
    """
    if not uploads:
        raise archive.ArchiveError("No images were given; choose some, or a zip of them.")
    if len(uploads) > archive.MAX_FILES:
        raise archive.ArchiveError(f"{len(uploads)} files were given; at most {archive.MAX_FILES} are taken.")
    with tempfile.TemporaryDirectory(prefix="leuko-batch-") as temporary:
        folder = Path(temporary)
        if len(uploads) == 1 and _is_zip(uploads[0].path):
            yield Batch(tuple(archive.unpack_items(uploads[0].path, folder, archive.UnpackBudget())))
            return
        moved = [_link(upload, folder / f"{i}{upload.path.suffix}") for i, upload in enumerate(uploads)]
        zips = {upload.path for upload in moved if _is_zip(upload.path)}
        limit = archive.UnpackBudget(archive.MAX_FILES - len(moved) + len(zips))
        items: list[InputFile] = []
        for upload in moved:
            if upload.path in zips:
                items += _unpacked(upload, limit)
            else:
                items.append(InputFile(upload.name, upload.path, temporary=True))
        yield Batch(tuple(items))


def classify_file(classifier: Classifier, item: InputFile) -> list[dict[str, Any]]:
    """The finding for each picture of a file, or `{"image", "error"}`, or `{"image", "skipped"}`; deletes the file."""

    def finding(page: str, picture: Picture) -> dict[str, Any]:
        return classifier.classify(picture.pixels, picture.um_per_px).as_json(item.name + page)

    return per_file.results(item, finding, log_fault)


def table_row(result: dict[str, Any]) -> tuple[str, ...]:
    """The row of the table for one result of `classify_file`: a text for each of `COLUMNS`.

    Probability and label are given only where they are part of the decision: a number without a decision would invite
    readers to apply a threshold of their own.
    """
    image = result["image"]
    if "skipped" in result:
        return image, SKIPPED, "", "", "", "", result["skipped"]
    if "error" in result:
        return image, NOT_ANALYSED, "", "", "", "", result["error"]
    model, quality = model_name(result["model"]), result["quality"]
    if not quality["usable"]:
        return image, LOW_QUALITY, "", "", "not usable", model, " ".join(quality["issues"])
    return (
        image,
        result["decision"],
        f"{result['leukaemia_probability']:.4f}" if result["decision"] != "uncertain" else "",
        result["pattern"] or "",
        f"usable, with warnings: {' '.join(quality['warnings'])}" if quality["warnings"] else "usable",
        model,
        " ".join((result["headline"], *result["reasons"])),
    )


def as_csv(rows: Sequence[tuple[str, ...]]) -> bytes:
    """The table as CSV in UTF-8 with a byte-order mark, without which Excel does not read it as UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([escape_formula(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _is_zip(path: Path) -> bool:
    """Whether a file begins like a zip, whatever its name is."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(4)) == "zip"
    except OSError:
        return False


def _unpacked(upload: Upload, limit: archive.UnpackBudget) -> list[InputFile]:
    """The files of one zip among other uploads; a zip that cannot be unpacked is one item with an error."""
    folder = upload.path.with_name(f"{upload.path.name}-unpacked")
    folder.mkdir()
    try:
        entries = archive.unpack_items(upload.path, folder, limit)
    except archive.ArchiveError as error:
        return [InputFile(upload.name, error=str(error))]
    return [replace(item, name=f"{upload.name}/{item.name}") for item in entries]


def log_fault(_: Exception) -> str:
    """Log an unexpected error; the sentence that the user reads."""
    log.exception("A file of a batch could not be classified")
    return "This image could not be classified because of a program error. Try it alone in the tab One image."


def _link(upload: Upload, path: Path) -> Upload:
    """The upload at a path of this batch: a second link to the file, or a copy where the disk has no links.

    The first link stays for the regular clean-up: another session that uploads the same content shares it.
    """
    try:
        os.link(upload.path, path)
    except FileNotFoundError:
        return upload  # deleted already; reading it gives an error that says so
    except OSError:
        shutil.copyfile(upload.path, path)
    return Upload(path, upload.name)

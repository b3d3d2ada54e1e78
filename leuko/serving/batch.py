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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.models.classifier import Classifier
from leuko.serving import archive
from leuko.serving.analysis import model_name
from leuko.serving.upload import Upload

COLUMNS = ("file", "decision", "leukaemia probability", "label", "quality", "model", "reason")
NOT_JUDGED = "not judged"
NOT_FIT = "not fit to be judged"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Files that belong to one request alone, in a folder that goes with it.

    Attributes:
        uploads: the images, in the order they were given.
        left_out: names inside a zip that are not named as images.
    """

    uploads: tuple[Upload, ...]
    left_out: tuple[str, ...] = ()


@contextmanager
def taken(uploads: Sequence[Upload]) -> Iterator[Batch]:
    """Take files over from the upload folder, where they would age while others are judged; a lone zip is unpacked.

    Raises:
        ArchiveError: no files, too many, or a zip that is not unpacked.
    """
    if not uploads:
        raise archive.ArchiveError("No images were given; choose some, or a zip of them.")
    if len(uploads) > archive.MAX_FILES:
        raise archive.ArchiveError(f"{len(uploads)} files were given; at most {archive.MAX_FILES} are taken.")
    with tempfile.TemporaryDirectory(prefix="leuko-batch-") as place:
        folder = Path(place)
        if len(uploads) == 1 and _is_zip(uploads[0].path):
            yield _unpacked(uploads[0].path, folder)
        else:
            yield Batch(tuple(_own(upload, folder / str(i)) for i, upload in enumerate(uploads)))


def judge(classifier: Classifier, upload: Upload) -> dict[str, Any]:
    """The finding for one file, or `{"image", "error"}`: whatever is wrong with it is its own affair.

    The file is deleted.
    """
    try:
        return classifier.classify(decode(upload.path)).as_json(upload.name)
    except ImageError as error:
        return {"image": upload.name, "error": str(error)}
    except Exception:  # the other files have a right to their answers
        log.exception("A file of a batch could not be judged")
        return {"image": upload.name, "error": "This image could not be judged; the fault is ours. Try it alone."}
    finally:
        upload.path.unlink(missing_ok=True)


def row(answer: dict[str, Any]) -> tuple[str, ...]:
    """What the table says of a file, a text for each of `COLUMNS`.

    Probability and label stand only where they are part of the answer: an empty cell invites no threshold.
    """
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
            return file.read(4) in _ZIP
    except OSError:
        return False


def _unpacked(path: Path, folder: Path) -> Batch:
    left_out = archive.unpack(path, folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    names = [file.relative_to(folder).as_posix() for file in images]
    return Batch(tuple(map(Upload, images, names)), tuple(left_out))


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

"""Which files are to be read as images: known by their first bytes, never by their suffix alone.

A file whose suffix promises an image is always taken, so that one that holds none gets an error. Any other file is
taken if it begins like an image. The rest is skipped, and a reason is given for each.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from leuko.images.decode import SUFFIXES
from leuko.images.formats import dicom, pillow_formats

HEAD = 4096  # bytes of a file by which `kind_of` knows it
TABLES = (".csv", ".tsv", ".jsonl", ".xlsx", ".xls", ".ods", ".parquet")
PROMISING = frozenset(SUFFIXES) | {  # and such as are not read here, of which `decode` says what to do
    ".jif", ".svg", ".psd", ".xcf", ".eps", ".ico", ".tga", ".jxl", ".jxr", ".exr", ".fits", ".cr2", ".cr3", ".nef",
    ".arw", ".dng", ".orf", ".raf", ".rw2", ".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".zvi", ".lif", ".vsi", ".bif",
    ".nd2", ".oib", ".lsm", ".qptiff",
}  # fmt: skip
_NOTES = (".txt", ".md", ".rst", ".log", ".json", ".xml", ".yaml", ".yml", ".html", ".htm", ".pdf", ".docx", ".doc",
          ".pptx", ".ppt", ".odt", ".rtf", ".py", ".ipynb", ".mat", ".npy", ".npz")  # fmt: skip
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_SYSTEM_NAMES = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "system volume information",
    "@eadir",
    "lost+found",
}  # of file managers, operating systems and network storage, in lower case
_HIDDEN_PREFIXES = (".", "~$")  # "~$" is the lock file of an office program

_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a",
           b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")  # fmt: skip
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes of the header that follows the first 14
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_OTHER_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")

Kind = Literal["image", "zip", "archive"]


@dataclass(frozen=True)
class InputFile:
    """One file that was given or found: an image to be judged or, if `error` or `skipped` says why, none.

    Attributes:
        name: what the file is called in answers; always printable as UTF-8.
        path: where its bytes lie; None if they are not to be read.
        error: one sentence: it should be an image, and it cannot be read.
        skipped: a reason in a few words: it is not meant to be an image.
        place: the path by which people know the file; within a zip, that of the zip and then of the entry.
        temporary: unpacked from a zip, and deleted once it is read.
    """

    name: str
    path: Path | None = None
    error: str = ""
    skipped: str = ""
    place: PurePath = field(default_factory=PurePath)
    temporary: bool = False


def kind_of(head: bytes) -> Kind | None:
    """What a file holds by its first `HEAD` bytes: an image (perhaps a damaged one), an archive, or None of these."""
    if (
        head.startswith(_IMAGES)
        or dicom.is_dicom(head)
        or pillow_formats.is_heif(head)
        or re.match(rb"P[1-7]\s+[#\d]", head)
    ):
        return "image"
    if (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (head[4:8] == b"ftyp" and b"avif" in head[8:64]):
        return "image"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image"
    if head.startswith(_ZIPS):
        return "zip"
    return "archive" if head.startswith(_OTHER_ARCHIVES) or head[257:262] == b"ustar" else None


def promises_image(name: str) -> bool:
    """Whether the suffix of a file says that it is an image."""
    return _suffix(name) in PROMISING


def is_archive(name: str) -> bool:
    """Whether the suffix of a file says that it is an archive."""
    return _suffix(name) in _ARCHIVES


def hidden(place: PurePath) -> str:
    """Why a file or folder is none that its owner made, in a few words; empty if it may be one.

    Args:
        place: its path below the folder or in the zip that was given.
    """
    if any(part.startswith(_HIDDEN_PREFIXES) for part in place.parts):
        return "hidden"
    return "left by a file manager" if any(part.casefold() in _SYSTEM_NAMES for part in place.parts) else ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by a file manager or operating system."""
    return name.startswith(_HIDDEN_PREFIXES) or name.casefold() in _SYSTEM_NAMES


def skipped_by_name(place: PurePath) -> str:
    """Why a file is skipped whatever it holds, in a few words; empty if its name is no reason; `place` as above."""
    if why := hidden(place):
        return why
    if _suffix(place.name) in TABLES:
        return "a table"
    return "not an image" if _suffix(place.name) in _NOTES else ""


def readable(name: str) -> str:
    """A name that can be printed and encoded as UTF-8: bytes that are not UTF-8 are written as `\\xe4`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """A text for a terminal or a web page: without line ends, control characters, and what reverses the reading."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()

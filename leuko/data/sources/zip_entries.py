"""The list of files in a zip: their names, which files are unpacked, and why others are not."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from leuko.images import file_types
from leuko.images.decode import MAX_BYTES

MAX_RATIO = 200  # largest ratio of unpacked to packed size of one file; images have much smaller ratios
SMALL = 1024**2  # bytes; the ratio is not checked for smaller files
DAMAGED = "This file is damaged within the zip; zip it again."
# NotImplementedError, which zipfile raises for unknown compression methods, is a RuntimeError.
READ_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)
_UNICODE_PATH = 0x7075  # extra field of Info-ZIP: the name in UTF-8
_UNIX = 3  # code of the system that wrote an entry


class ArchiveError(ValueError):
    """An archive cannot be unpacked; the message is one sentence with the reason."""


@dataclass
class Entry:
    """One file of a zip and its result: `data`, `error` or `skipped`, as in `InputFile`."""

    info: zipfile.ZipInfo
    place: PurePosixPath
    error: str = ""
    skipped: str = ""

    @property
    def wanted(self) -> bool:
        """Whether the file is to be unpacked."""
        return not (self.error or self.skipped)


def list_entries(opened: zipfile.ZipFile, tables: bool) -> list[Entry]:
    """List all files of a zip; the first bytes of a file are read if its name does not show its type.

    Args:
        opened: the zip.
        tables: whether tables are unpacked too.

    Raises:
        ArchiveError: a path leads outside of the folder, or a file has a compression ratio over `MAX_RATIO`.
    """
    entries = [Entry(info, _place(info)) for info in opened.infolist() if not _is_folder(info)]
    for entry in entries:
        _sort(opened, entry, tables)
    return entries


def _sort(opened: zipfile.ZipFile, entry: Entry, tables: bool) -> None:
    """Set the `error` or `skipped` of an entry; the file is read only if its name does not show its type."""
    info, place = entry.info, entry.place
    if info.file_size > SMALL and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise ArchiveError(f"{place.name} would unpack to over {MAX_RATIO} times its size; that is no smear image.")
    if tables and place.suffix.lower() in file_types.TABLES and not file_types.hidden(place):
        entry.error = _problem(info)
        return
    entry.skipped = file_types.skipped_by_name(place)
    if entry.skipped:
        return
    if file_types.is_archive(place.name):
        entry.error = "This is another archive within the zip; unpack it first."
        return
    entry.error = _problem(info)
    if entry.error or file_types.promises_image(place.name):
        return
    try:
        with opened.open(info) as file:
            kind = file_types.kind_of(file.read(file_types.HEAD))
    except READ_ERRORS:
        entry.error = DAMAGED
        return
    if kind in ("zip", "archive"):
        entry.error = "This is another archive within the zip; unpack it first."
    elif kind is None:
        entry.skipped = "not an image"


def _problem(info: zipfile.ZipInfo) -> str:
    """One sentence why an entry cannot be unpacked; empty if it can be unpacked."""
    if info.flag_bits & 1:
        return "This file is encrypted in the zip; zip it again without a password."
    if stat.S_ISLNK(info.external_attr >> 16):
        return "The zip holds a link here, which is not followed; put the image itself into it."
    # zipfile limits the unpacked size of a single read only for these two methods.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "This file is packed in an unusual way; zip it again with Deflate."
    if info.file_size > MAX_BYTES:
        return f"This file is larger than {MAX_BYTES // 1024**2} MB, the limit for one file."
    return ""


def _place(info: zipfile.ZipInfo) -> PurePosixPath:
    """The relative path of an entry; raises ArchiveError if it leads outside of the folder."""
    name = _name(info).replace("\\", "/")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or re.match("[A-Za-z]:", name) or not place.parts:
        raise ArchiveError("The zip holds a file whose name leads out of its folder; zip the folder again.")
    return place


def _name(info: zipfile.ZipInfo) -> str:
    """The name of an entry, decoded with the encoding that its writer used.

    The ZIP format allows code page 437 and, marked by a flag, UTF-8 (APPNOTE.TXT 6.3.10, appendix D). Many programs
    write UTF-8 without the flag. Info-ZIP adds the UTF-8 name as an extra field. Older programs on Unix write Latin-1.
    """
    if info.flag_bits & 0x800:
        return info.filename
    raw = info.filename.encode("cp437")
    extra = info.extra
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        content = extra[4 : 4 + size]
        if kind == _UNICODE_PATH and content[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            raw = content[5:]
        extra = extra[4 + size :]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1") if info.create_system == _UNIX else info.filename


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\")) and not info.file_size

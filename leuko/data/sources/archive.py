"""Unpack a zip of images from an untrusted source, within limits and only into the given folder.

A dangerous zip (a zip bomb, or a path outside of the folder) is refused completely. A problem of a single file
(encrypted, damaged, a link, another archive) is an error of this file only.
"""

from __future__ import annotations

import errno
import io
import itertools
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from leuko.data.labels.filename_conventions import natural_sort_key
from leuko.data.sources.zip_entries import DAMAGED, READ_ERRORS, ArchiveError, Entry, list_entries
from leuko.images import file_types
from leuko.images.file_types import InputFile
from leuko.images.formats import pillow_formats
from leuko.images.formats.limits import MAX_BYTES, MAX_PAGES

MAX_ZIP_BYTES = 200 * 1024**2
MAX_FILES = 500
MAX_UNPACKED_BYTES = 1024**3
MAX_PIXELS = 1_500_000_000  # in all images together: enough for 200 fields of 2592 × 1944 and more
MAX_LIST_BYTES = 1024**2  # size of the central directory of a zip, which is read completely before the first file
_HEIF_SIZE = re.compile(rb"ispe....(.{8})", re.DOTALL)  # width and height of an image (ISO/IEC 23008-12, 6.5.3)
MAX_NAME = 500  # characters of a path within a zip that are kept


@dataclass
class UnpackBudget:
    """The files, bytes and pixels that may still be unpacked for one request, from one or several zips."""

    files: int = MAX_FILES
    bytes: int = MAX_UNPACKED_BYTES
    pixels: int = MAX_PIXELS


class _Listed(io.FileIO):
    """A zip file that limits the size of a single read to `MAX_LIST_BYTES`."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise ArchiveError(f"The zip lists too many files; at most {MAX_FILES} images are taken.")
        return super().read(size)


def unpack_items(archive: Path, folder: Path, room: UnpackBudget) -> list[InputFile]:
    """Unpack the images of a zip into an existing, empty folder, under generated file names.

    If a single folder contains all files, it is removed from the displayed names.

    Args:
        archive: the zip.
        folder: the folder to unpack into.
        room: the remaining limits; they are reduced by what is unpacked here.

    Returns:
        Every file of the zip in natural order: an image, or an error, or a reason why it is skipped.

    Raises:
        ArchiveError: it is not a zip, exceeds a limit, holds no image, or holds paths outside of the folder. Files
            that were already unpacked stay in the folder, and the caller must delete them.
    """
    found = []
    with _open(archive) as opened:
        entries = _entries(opened, room, tables=False)
        for i, (entry, data) in enumerate(_contents(opened, entries, room)):
            path = None
            if entry.wanted:
                path = folder / f"{i}{_suffix(entry.place)}"
                path.write_bytes(data)
            name = file_types.printable(str(entry.place))[:MAX_NAME]
            found.append(InputFile(name, path, entry.error, entry.skipped, entry.place, temporary=True))
    return found


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack the images and tables of a zip into an existing, empty folder: all of them, or none.

    If a single folder contains all files, it is removed, so that the class folders are at the top. If several files
    have the same name, a number is added to the later ones.

    Args:
        archive: the zip.
        folder: the folder to unpack into.

    Returns:
        The names of files that were skipped because they are neither images nor tables.

    Raises:
        ArchiveError: as for `unpack_items`, and also if any file is encrypted, damaged, a link or an archive.
    """
    skipped = []
    with _open(archive) as opened:
        room = UnpackBudget()
        for entry, data in _contents(opened, _entries(opened, room, tables=True), room):
            if entry.error:
                raise ArchiveError(f"{entry.place}: {entry.error}")
            if entry.skipped:
                skipped.append(str(entry.place))
                continue
            target = _free(folder.joinpath(*map(file_types.printable, entry.place.parts)))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return skipped


@contextmanager
def _open(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip after checking the size of its file list; every error while it is open becomes an ArchiveError."""
    try:
        if archive.stat().st_size > MAX_ZIP_BYTES:
            raise ArchiveError(f"The zip is larger than {MAX_ZIP_BYTES // 1024**2} MB; use fewer or smaller images.")
        with _Listed(archive) as limited, zipfile.ZipFile(limited):
            pass  # the list of files is short enough
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except FileNotFoundError as error:
        raise ArchiveError("The zip is no longer there; choose it again.") from error
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise ArchiveError("The disk is too full to unpack the zip; make room and try again.") from error
        raise ArchiveError("The file is not a zip that can be read, or it is damaged; zip the folder again.") from error
    except Exception as error:  # decompressors raise their own kinds of errors
        raise ArchiveError("The zip is damaged; zip the folder again.") from error


def _entries(opened: zipfile.ZipFile, room: UnpackBudget, tables: bool) -> list[Entry]:
    """List all files of a zip in natural order, without unpacking them.

    Raises:
        ArchiveError: a path leads outside of the folder, a file is a zip bomb, there are too many files to unpack, or
            there is no image.
    """
    entries = list_entries(opened, tables)
    wanted = [entry for entry in entries if entry.wanted]
    if len(wanted) > room.files:
        raise ArchiveError(f"The zip holds {len(wanted)} files; at most {room.files} are taken.")
    if all(entry.skipped or entry.place.suffix.lower() in file_types.TABLES for entry in entries):
        raise ArchiveError("The zip holds no images (JPEG, PNG, TIFF, BMP, WebP, GIF and others).")
    room.files -= len(wanted)
    top = {entry.place.parts[0] for entry in wanted}
    if len(top) == 1 and all(len(entry.place.parts) > 2 for entry in wanted):
        for entry in entries:
            if entry.place.parts[0] in top:
                entry.place = PurePosixPath(*entry.place.parts[1:])
    return sorted(entries, key=lambda entry: natural_sort_key(str(entry.place)[:MAX_NAME]))


def _contents(opened: zipfile.ZipFile, entries: list[Entry], room: UnpackBudget) -> Iterator[tuple[Entry, bytes]]:
    """Yield every entry, with its bytes if it is wanted; sets the error of damaged entries.

    Raises:
        ArchiveError: a limit is exceeded.
    """
    for entry in entries:
        data = b""
        if entry.wanted:
            most = min(room.bytes, MAX_BYTES)  # the stated size is not trusted
            try:
                with opened.open(entry.info) as file:
                    data = file.read(most + 1)
            except READ_ERRORS:
                entry.error = DAMAGED
            if len(data) > most:
                raise ArchiveError("The zip holds more than it states or than is taken; use fewer or smaller images.")
            room.bytes -= len(data)
            room.pixels -= _pixels(data)
            if room.pixels < 0:
                raise ArchiveError(
                    f"The images claim more than {MAX_PIXELS // 10**6} megapixels together; use fewer or smaller ones."
                )
        yield entry, data


def _suffix(place: PurePosixPath) -> str:
    """The suffix of a file if it is a usual one; some file types are recognised only by their suffix."""
    return place.suffix if re.fullmatch(r"\.\w{1,8}", place.suffix, re.ASCII) else ""


def _free(target: Path) -> Path:
    """The path, with a number added to its name if the file already exists."""
    paths = (target.with_name(f"{target.stem} ({i}){target.suffix}") for i in itertools.count(2))
    return next(path for path in itertools.chain([target], paths) if not path.exists())


def _pixels(data: bytes) -> int:
    """Number of pixels that an image file states for all its pages; 0 if it is not an image (it is refused later)."""
    if pillow_formats.is_heif(data):
        sizes = [struct.unpack(">II", size) for size in _HEIF_SIZE.findall(data)]
        return max((width * height for width, height in sizes), default=0)
    try:
        with Image.open(io.BytesIO(data), formats=(*pillow_formats.FORMATS, "TIFF")) as image:
            return image.width * image.height * min(getattr(image, "n_frames", 1), MAX_PAGES)
    except Image.DecompressionBombError:
        return MAX_PIXELS + 1
    except Exception:  # Pillow's decoders raise many kinds of errors
        return 0

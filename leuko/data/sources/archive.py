"""Unpack a zip of images from an untrusted source, within limits and only into the given folder.

A dangerous zip (a bomb, a name that leads elsewhere) is refused as a whole. A problem of a single file
(encrypted, damaged, a link, another archive) is an error of that file.
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
MAX_PIXELS = 1_500_000_000  # of all images together: 200 fields of 2592 × 1944 and room for more
MAX_LIST_BYTES = 1024**2  # of a zip's list of its files, all of which is read before the first
_HEIF_SIZE = re.compile(rb"ispe....(.{8})", re.DOTALL)  # width and height of an image (ISO/IEC 23008-12, 6.5.3)
MAX_NAME = 500  # characters of a path within a zip that are kept


@dataclass
class UnpackBudget:
    """What may still be unpacked for one request, from one zip or several."""

    files: int = MAX_FILES
    bytes: int = MAX_UNPACKED_BYTES
    pixels: int = MAX_PIXELS


class _Listed(io.FileIO):
    """A zip of which no more is read at once than a list of files may take."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise ArchiveError(f"The zip lists too many files; at most {MAX_FILES} images are taken.")
        return super().read(size)


def unpack_items(archive: Path, folder: Path, room: UnpackBudget) -> list[InputFile]:
    """Unpack the images of a zip into an existing, empty folder, under names of our own.

    A single folder around everything is left away from their names.

    Args:
        archive: the zip.
        folder: where to.
        room: what may be unpacked; what is unpacked here is taken off.

    Returns:
        Every file of the zip in natural order: an image, or an error, or a reason why it is skipped.

    Raises:
        ArchiveError: it is no zip, too large in any way, holds no image, or names that lead elsewhere. What was
            unpacked by then stays in the folder, for the caller to delete.
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

    A single folder around everything is left away, so that the class folders lie at the top. Of files of one name, the
    later ones get a number.

    Args:
        archive: the zip.
        folder: where to.

    Returns:
        The names of files that were skipped since they are neither images nor tables.

    Raises:
        ArchiveError: as `items`, and also if any of its files is encrypted, damaged, a link or an archive.
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
    """A zip whose list of files is short enough; whatever goes wrong while it is open becomes one sentence."""
    try:
        if archive.stat().st_size > MAX_ZIP_BYTES:
            raise ArchiveError(f"The zip is larger than {MAX_ZIP_BYTES // 1024**2} MB; use fewer or smaller images.")
        with _Listed(archive) as limited, zipfile.ZipFile(limited):
            pass  # its list is short enough
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
    except Exception as error:  # unpackers raise kinds of their own
        raise ArchiveError("The zip is damaged; zip the folder again.") from error


def _entries(opened: zipfile.ZipFile, room: UnpackBudget, tables: bool) -> list[Entry]:
    """All files of a zip in natural order; those that are wanted are not yet unpacked.

    Raises:
        ArchiveError: a name leads elsewhere, a file is a bomb, or too many are wanted, or no image.
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
    """Every entry, and its bytes if it is wanted; a damaged one has an error from here on.

    Raises:
        ArchiveError: there is no more room.
    """
    for entry in entries:
        data = b""
        if entry.wanted:
            most = min(room.bytes, MAX_BYTES)  # never trust the size it states
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
    """The suffix of a file, if it is a usual one; some files are known by nothing else."""
    return place.suffix if re.fullmatch(r"\.\w{1,8}", place.suffix, re.ASCII) else ""


def _free(target: Path) -> Path:
    """The path, with a number in its name if there is such a file already."""
    paths = (target.with_name(f"{target.stem} ({i}){target.suffix}") for i in itertools.count(2))
    return next(path for path in itertools.chain([target], paths) if not path.exists())


def _pixels(data: bytes) -> int:
    """What the pages of an image claim to have; 0 for what is no image, which is refused later, one by one."""
    if pillow_formats.is_heif(data):
        sizes = [struct.unpack(">II", size) for size in _HEIF_SIZE.findall(data)]
        return max((width * height for width, height in sizes), default=0)
    try:
        with Image.open(io.BytesIO(data), formats=(*pillow_formats.FORMATS, "TIFF")) as image:
            return image.width * image.height * min(getattr(image, "n_frames", 1), MAX_PAGES)
    except Image.DecompressionBombError:
        return MAX_PIXELS + 1
    except Exception:  # Pillow's decoders raise many kinds
        return 0

"""A zip of images from a stranger, unpacked within limits and nowhere else than it should be."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

from PIL import Image

from leuko.images.decode import FORMATS, MAX_BYTES, SUFFIXES

MAX_ZIP_BYTES = 200 * 1024**2
MAX_FILES = 500
MAX_UNPACKED_BYTES = 1024**3
MAX_PIXELS = 1_500_000_000  # of all images together: 200 fields of 2592 × 1944 and room for more
MAX_RATIO = 200  # of unpacked to packed size of one file; images do not come near it
SMALL = 1024**2  # bytes of a file below which the ratio says nothing
MAX_LIST_BYTES = 1024**2  # of a zip's list of its files, all of which is read before the first
_TABLES = (".csv",)
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_LEFTOVERS = ("__MACOSX", "Thumbs.db", "desktop.ini")  # of file managers


class ArchiveError(ValueError):
    """An archive that is not unpacked; the message is one sentence that says why."""


class _Listed(io.FileIO):
    """A zip of which no more is read at once than a list of files may take."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise ArchiveError(f"The zip lists too many files; at most {MAX_FILES} images are taken.")
        return super().read(size)


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack the images (and tables) of a zip into an existing, empty folder.

    A single folder around everything is left away, so that the class folders lie at the top.

    Args:
        archive: the zip.
        folder: where to.

    Returns:
        The names of files that were left out since they are not named as images or tables.

    Raises:
        ArchiveError: it is no zip, too large in any way, encrypted, damaged, or holds archives, links or names that
            lead elsewhere. What was unpacked by then stays in the folder, for the caller to delete.
    """
    try:
        if archive.stat().st_size > MAX_ZIP_BYTES:
            raise ArchiveError(f"The zip is larger than {MAX_ZIP_BYTES // 1024**2} MB; use fewer or smaller images.")
        with _Listed(archive) as listed, zipfile.ZipFile(listed):
            pass  # its list is short enough
        with zipfile.ZipFile(archive) as opened:
            return _unpack(opened, folder)
    except FileNotFoundError as error:
        raise ArchiveError("The zip is no longer there; choose it again.") from error
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise ArchiveError("The file is not a zip that can be read, or it is damaged; zip the folder again.") from error
    except Exception as error:  # zlib and other unpackers raise kinds of their own
        raise ArchiveError("The zip is damaged; zip the folder again.") from error


def _unpack(opened: zipfile.ZipFile, folder: Path) -> list[str]:
    entries = {_place(entry): entry for entry in opened.infolist() if not entry.is_dir()}
    for place, entry in entries.items():
        _check(place, entry)
    meant = {p: e for p, e in entries.items() if not (set(p.parts) & set(_LEFTOVERS) or p.name.startswith("."))}
    wanted = {p: e for p, e in meant.items() if p.suffix.lower() in (*SUFFIXES, *_TABLES)}
    if len(wanted) > MAX_FILES:
        raise ArchiveError(f"The zip holds {len(wanted)} files; at most {MAX_FILES} are taken.")
    if not any(p.suffix.lower() in SUFFIXES for p in wanted):
        raise ArchiveError("The zip holds no images (JPEG, PNG, TIFF, BMP, WebP or GIF, named as such).")
    around = 1 if len({p.parts[0] for p in wanted}) == 1 and all(len(p.parts) > 2 for p in wanted) else 0
    room, pixels = MAX_UNPACKED_BYTES, 0
    for place, entry in wanted.items():
        with opened.open(entry) as file:
            data = file.read(min(entry.file_size, room, MAX_BYTES) + 1)  # never trust the size it states
        if len(data) > min(entry.file_size, room, MAX_BYTES):
            raise ArchiveError("The zip holds more than it states or than is taken; use fewer or smaller images.")
        room -= len(data)
        pixels += _pixels(data)
        if pixels > MAX_PIXELS:
            raise ArchiveError(
                f"The images claim more than {MAX_PIXELS // 10**6} megapixels together; use fewer or smaller ones."
            )
        target = folder.joinpath(*place.parts[around:])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return [str(place) for place in meant if place not in wanted]


def _place(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where an entry belongs, if that is below the folder it is unpacked into."""
    name = entry.filename.replace("\\", "/")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or ":" in name or not name.isprintable() or not place.parts:
        raise ArchiveError("The zip holds a file whose name leads out of its folder; zip the folder again.")
    return place


def _check(place: PurePosixPath, entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise ArchiveError("The zip is encrypted; zip the folder again without a password.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"The zip holds a link ({place.name}); put the images themselves into it.")
    # Of these alone does zipfile unpack no more at once than it is asked for.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{place.name} is packed in an unusual way; zip the folder again with Deflate.")
    if place.suffix.lower() in _ARCHIVES:
        raise ArchiveError(f"The zip holds another archive ({place.name}); unpack that first.")
    if entry.file_size > MAX_BYTES:
        raise ArchiveError(f"{place.name} is larger than {MAX_BYTES // 1024**2} MB, the limit for one file.")
    if entry.file_size > SMALL and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise ArchiveError(f"{place.name} would unpack to over {MAX_RATIO} times its size; that is no smear image.")


def _pixels(data: bytes) -> int:
    """What an image claims to have; 0 for what is no image, which is refused later, one by one."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return MAX_PIXELS + 1
    except Exception:  # Pillow's decoders raise many kinds
        return 0

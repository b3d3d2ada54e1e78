"""Find all files below a folder and their kind: image, table, or a file that is skipped and reported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import printable, shortlist
from leuko.images.decode import SUFFIXES
from leuko.images.file_types import is_hidden

TABLES = (".csv", ".tsv", ".jsonl")
UNREAD_TABLES = (".xlsx", ".xls", ".ods", ".json", ".parquet", ".arff", ".feather")
_OTHER = (
    ".txt",
    ".md",
    ".xml",
    ".pdf",
    ".py",
    ".ipynb",
    ".zip",
    ".npy",
    ".html",
    ".yaml",
    ".yml",
    ".log",
    ".doc",
    ".docx",
)
_HEAD = 132  # bytes: up to the end of the DICOM marker


@dataclass(frozen=True)
class FileTree:
    """The files below a folder.

    Attributes:
        folder: the folder itself.
        images: files that are images by their suffix or, if the suffix is unknown, by their content; unsorted.
        tables: files that may name images and labels.
        skipped: files that are not read, by kind (including hidden files).
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    skipped: dict[str, list[Path]] = field(default_factory=dict)

    def skip(self, what: str, file: Path) -> None:
        """Record a file that is not read."""
        self.skipped.setdefault(what, []).append(file)

    def name(self, file: Path) -> str:
        """The path of a file below the folder, in printable form."""
        return printable(file.relative_to(self.folder).as_posix())

    def notes(self) -> list[str]:
        """One line for each kind of files that are not read, with their number and names."""
        return [
            f"Skipped: {len(files)} {what}{'s' if len(files) > 1 else ''} ({shortlist(sorted(map(self.name, files)))})."
            for what, files in self.skipped.items()
        ]


def walk_tree(folder: Path) -> FileTree:
    """Find all files below a folder; links to folders are followed, and each folder is read once.

    Raises:
        DataError: a folder cannot be opened, or the name of an image is not in UTF-8.
    """
    tree = FileTree(folder)
    waiting, visited = [folder], set()
    for place in waiting:  # the list grows; upper folders come first, so links do not hide their targets
        try:
            status = place.stat()
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"The folder {printable(place)} cannot be opened ({error.strerror}).") from error
        if (status.st_dev, status.st_ino) in visited:
            tree.skip("link to a folder that is read already", place)
            continue
        visited.add((status.st_dev, status.st_ino))
        for entry in entries:
            path = place / entry.name
            if is_hidden(entry.name):
                for file in _within(path):
                    tree.skip("hidden file", file)
            elif entry.is_dir():
                waiting.append(path)
            elif entry.is_symlink() and not path.exists():
                tree.skip("broken link", path)
            else:
                _sort(tree, path)
    for image in tree.images:
        try:
            str(image).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"The name of {printable(image)} is not in UTF-8; rename the file or folder.") from error
    return tree


def is_image(path: Path) -> bool:
    """Whether a file is an image by its suffix or, if the suffix is unknown, by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in (*TABLES, *UNREAD_TABLES, *_OTHER):
        return False
    try:
        with path.open("rb") as file:
            return _begins_as_image(file.read(_HEAD))
    except OSError:
        return False


def _sort(tree: FileTree, path: Path) -> None:
    suffix = path.suffix.lower()
    if is_image(path):
        tree.images.append(path)
    elif suffix in TABLES:
        tree.tables.append(path)
    elif suffix in UNREAD_TABLES:
        tree.skip("table that is not read; save it as CSV:", path)
    else:
        tree.skip("other file", path)


def _within(path: Path) -> Iterator[Path]:
    """The files in a hidden folder, or the hidden file itself."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for place, _, files in os.walk(path):
        yield from (Path(place) / file for file in files)


def _begins_as_image(head: bytes) -> bool:
    """Whether bytes begin like a JPEG, PNG, GIF, BMP, WebP, TIFF, HEIC, AVIF or DICOM file."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head[:2] == b"BM" and head[6:10] == bytes(4))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (
            head[4:8] == b"ftyp"
            and head[8:12] in (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
        )
        or head[128:132] == b"DICM"
    )

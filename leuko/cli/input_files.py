"""The files that a command reads: the given files, folders and zips as one list, in which every file appears."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from leuko.cli.picture_folder import is_written_picture
from leuko.data.labels.filename_conventions import natural_sort_key
from leuko.data.sources import archive
from leuko.images import file_types
from leuko.images.file_types import InputFile

NO_IMAGE = "There is no image in this folder."
NOT_REGULAR = "It is no regular file, but a pipe, a socket or a device."


def gather(paths: Sequence[Path], temporary: Path) -> Iterator[InputFile]:
    """Every file that is given, or lies in a given folder or zip, in natural order.

    A file that is given itself is an image or an error; one found in a folder or zip may also be skipped. Each file is
    read once, however many links lead to it. A zip is unpacked when its turn comes.

    Args:
        paths: files and folders, which need not exist.
        temporary: an existing, empty folder for unpacked files.
    """
    collector = _FileCollector()
    for path in paths:
        collector.add(path)
    name_counts = Counter(item.name for item in collector.items if not item.skipped)
    for number, item in enumerate(collector.items):
        if item.skipped or name_counts[item.name] > 1:  # the name alone would not tell which file is meant
            item = replace(item, name=file_types.readable(item.place.as_posix()))
        if item.path in collector.zips:
            folder = temporary / str(number)
            folder.mkdir()
            yield from _unpacked(item, folder, alone=len(collector.items) == 1)
        else:
            yield item


class _FileCollector:
    """Collects files.

    Attributes:
        items: all files, in order.
        zips: the paths of those that are to be unpacked.
    """

    def __init__(self) -> None:
        self.items: list[InputFile] = []
        self.zips: set[Path] = set()
        self._visited: dict[str, Path] = {}  # by real path
        self._repeats = 0

    def add(self, path: Path) -> None:
        """Add a given path: a file or, of a folder, everything below it in natural order."""
        if not _is_folder(path):
            self._add_file(path, given=True)
            return
        start, repeats = len(self.items), self._repeats
        self._walk(path)
        below = sorted(self.items[start:], key=lambda item: natural_sort_key(item.place.relative_to(path).as_posix()))
        self.items[start:] = below
        if all(item.skipped for item in below) and repeats == self._repeats:
            self._add_unread(path, error=NO_IMAGE)

    def _walk(self, top: Path) -> None:
        """Add everything below a folder; links come last, so that a file they lead to has its own name."""
        folders, links = deque([top]), deque[Path]()
        while folders or links:
            path = folders.popleft() if folders else links.popleft()
            if not _is_folder(path):
                self._add_file(path)
            elif self._is_new(path):
                for child in self._children(path):
                    reason = file_types.hidden(child.relative_to(top))
                    if _is_folder(child) and reason:
                        self._add_unread(child, skipped=f"{reason}, {_count_files(child)} files in it")
                    elif reason := reason or file_types.skipped_by_name(child.relative_to(top)):
                        self._add_unread(child, skipped=reason)
                    else:
                        (links if child.is_symlink() else folders).append(child)

    def _children(self, folder: Path) -> list[Path]:
        try:
            return list(folder.iterdir())
        except OSError as error:
            self._add_unread(folder, error=f"The folder cannot be opened ({error.strerror}).")
            return []

    def _add_file(self, path: Path, given: bool = False) -> None:
        """Add a file; its first bytes are read only if its name is not that of an image."""
        if not self._is_new(path):
            return
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self._add_unread(path, error=NOT_REGULAR)
                return
            if not given and is_written_picture(path):
                self._add_unread(path, skipped="a picture that Deep Leuko has written")
                return
            kind = "image" if file_types.promises_image(path.name) else _kind(path)
        except OSError:
            kind = "image"  # reading it will fail as well, with an error that says why
        if kind == "archive":
            self._add_unread(path, error="This is an archive, and of archives only zips are opened; unpack it first.")
        elif kind is None and not given:
            self._add_unread(path, skipped="not an image")
        else:
            self.items.append(InputFile(_name(path), path, place=path))
            if kind == "zip":
                self.zips.add(path)

    def _is_new(self, path: Path) -> bool:
        """Whether this file or folder was not visited before; a repeated one is added as skipped."""
        real = os.path.realpath(path)
        if real in self._visited:
            self._repeats += 1
            self._add_unread(path, skipped=f"the same as {file_types.readable(str(self._visited[real]))}")
            return False
        self._visited[real] = path
        return True

    def _add_unread(self, path: Path, error: str = "", skipped: str = "") -> None:
        self.items.append(InputFile(_name(path), None, error, skipped, path))


def _unpacked(item: InputFile, folder: Path, alone: bool) -> Iterator[InputFile]:
    """The files of a zip; their names begin with the zip's, unless it was given alone."""
    assert item.path is not None
    try:
        entries = archive.unpack_items(item.path, folder, archive.UnpackBudget())
    except archive.ArchiveError as error:
        yield replace(item, path=None, error=str(error))
        return
    for entry in entries:
        name = entry.name if alone else f"{item.name}/{entry.name}"
        yield replace(entry, name=name, place=item.place / entry.place)


def _kind(path: Path) -> file_types.Kind | None:
    if path.suffix.lower() == ".zip":
        return "zip"
    with path.open("rb") as file:
        by_content = file_types.kind_of(file.read(file_types.HEAD))
    return by_content or ("archive" if file_types.is_archive(path.name) else None)


def _count_files(folder: Path) -> int:
    """How many files lie below a folder; links are not followed."""
    return sum(len(names) for _, _, names in os.walk(folder))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _name(path: Path) -> str:
    return file_types.readable(path.name or str(path))

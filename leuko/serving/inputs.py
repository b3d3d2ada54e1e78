"""What the command line is given: files, folders and zips, as one list of files in which none is missing."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from leuko.data.names import natural
from leuko.images import files
from leuko.images.files import Item
from leuko.serving import archive

NO_IMAGE = "There is no image in this folder."
NOT_REGULAR = "It is no regular file, but a pipe, a socket or a device."


def gather(given: Sequence[Path], temporary: Path, is_result: Callable[[Path], bool]) -> Iterator[Item]:
    """Every file that was given, or lies in a folder or zip that was given, in natural order.

    A file that was named itself is an image or an error; one that is found in a folder or zip may also be skipped. Each
    file is taken once, however many links lead to it. A zip is unpacked when it is its turn.

    Args:
        given: the paths, which need not exist.
        temporary: an existing, empty folder for what is unpacked.
        is_result: whether a file was written by an earlier run, so that it is skipped.
    """
    search = _Search(is_result)
    for path in given:
        search.add(path)
    names = Counter(item.name for item in search.found)
    for number, item in enumerate(search.found):
        if names[item.name] > 1:  # else nobody knows which answer belongs to which file
            item = replace(item, name=files.readable(item.place.as_posix()))
        if item.path in search.zips:
            folder = temporary / str(number)
            folder.mkdir()
            yield from _unpacked(item, folder, lone=len(search.found) == 1)
        else:
            yield item


class _Search:
    """Collects files: `found`, in order, and `zips`, the paths of those that are to be unpacked."""

    def __init__(self, is_result: Callable[[Path], bool]) -> None:
        self.found: list[Item] = []
        self.zips: set[Path] = set()
        self._is_result = is_result
        self._seen: dict[str, Path] = {}

    def add(self, path: Path) -> None:
        """Add a path that was named; of a folder, all that lies below it."""
        if not _is_folder(path):
            self._look(path, named=True)
            return
        before = len(self.found)
        self._walk(path, path)
        if all(item.skipped for item in self.found[before:]):
            self._note(path, error=NO_IMAGE)

    def _walk(self, folder: Path, top: Path) -> None:
        if not self._is_new(folder):
            return
        try:
            names = sorted((entry.name for entry in os.scandir(folder)), key=natural)
        except OSError as error:
            self._note(folder, error=f"The folder cannot be opened ({error.strerror}).")
            return
        for path in map(folder.joinpath, names):
            below, is_folder = path.relative_to(top), _is_folder(path)
            if why := files.hidden(below) if is_folder else files.skipped_by_name(below):
                self._note(path, skipped=why)
            elif is_folder:
                self._walk(path, top)
            else:
                self._look(path)

    def _look(self, path: Path, named: bool = False) -> None:
        """Add a file, opened only if its name does not promise an image."""
        if not self._is_new(path):
            return
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self._note(path, error=NOT_REGULAR)
                return
            if self._is_result(path):
                self._note(path, skipped="an earlier result of this command")
                return
            kind = "image" if files.promises_image(path.name) else _kind(path)
        except OSError:
            kind = "image"  # reading it will fail as well, and say why
        if kind == "archive":
            self._note(path, error="This is an archive, and of archives only zips are opened; unpack it first.")
        elif kind is None and not named:
            self._note(path, skipped="not an image")
        else:
            self.found.append(Item(_name(path), path, place=path))
            if kind == "zip":
                self.zips.add(path)

    def _is_new(self, path: Path) -> bool:
        """Whether nothing has led to this file or folder before; else that is noted."""
        real = os.path.realpath(path)
        if real in self._seen:
            self._note(path, skipped=f"the same as {files.readable(str(self._seen[real]))}")
            return False
        self._seen[real] = path
        return True

    def _note(self, path: Path, error: str = "", skipped: str = "") -> None:
        self.found.append(Item(_name(path), None, error, skipped, path))


def _unpacked(item: Item, folder: Path, lone: bool) -> Iterator[Item]:
    """The files of a zip; their names begin with the zip's unless it was given alone."""
    try:
        inside = archive.items(item.path, folder, archive.Room())
    except archive.ArchiveError as error:
        yield replace(item, path=None, error=str(error))
        return
    for each in inside:
        name = each.name if lone else f"{item.name}/{each.name}"
        yield replace(each, name=name, place=item.place / each.place)


def _kind(path: Path) -> files.Kind | None:
    if path.suffix.lower() == ".zip":
        return "zip"
    with path.open("rb") as file:
        return files.kind_of(file.read(files.HEAD))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _name(path: Path) -> str:
    return files.readable(path.name or str(path))

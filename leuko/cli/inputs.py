"""What the command line is given: files, folders and zips, as one list of files in which none is missing."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from leuko.cli.output_files import is_result
from leuko.data.labels.filename_conventions import natural
from leuko.data.sources import archive
from leuko.images import file_types
from leuko.images.file_types import Item

NO_IMAGE = "There is no image in this folder."
NOT_REGULAR = "It is no regular file, but a pipe, a socket or a device."


def gather(given: Sequence[Path], temporary: Path) -> Iterator[Item]:
    """Every file that was given, or lies in a folder or zip that was given, in natural order.

    A file that was named itself is an image or an error; one that is found in a folder or zip may also be skipped. Each
    file is taken once, however many links lead to it. A zip is unpacked when it is its turn.

    Args:
        given: the paths, which need not exist.
        temporary: an existing, empty folder for what is unpacked.
    """
    search = _Search()
    for path in given:
        search.add(path)
    names = Counter(item.name for item in search.found if not item.skipped)
    for number, item in enumerate(search.found):
        if item.skipped or names[item.name] > 1:  # else nobody knows which answer belongs to which file
            item = replace(item, name=file_types.readable(item.place.as_posix()))
        if item.path in search.zips:
            folder = temporary / str(number)
            folder.mkdir()
            yield from _unpacked(item, folder, lone=len(search.found) == 1)
        else:
            yield item


class _Search:
    """Collects files: `found`, in order, and `zips`, the paths of those that are to be unpacked."""

    def __init__(self) -> None:
        self.found: list[Item] = []
        self.zips: set[Path] = set()
        self._seen: dict[str, Path] = {}
        self._repeats = 0

    def add(self, path: Path) -> None:
        """Add a path that was named; of a folder, all that lies below it, in natural order."""
        if not _is_folder(path):
            self._look(path, named=True)
            return
        before, repeats = len(self.found), self._repeats
        self._walk(path)
        below = sorted(self.found[before:], key=lambda item: natural(item.place.relative_to(path).as_posix()))
        self.found[before:] = below
        if all(item.skipped for item in below) and repeats == self._repeats:
            self._note(path, error=NO_IMAGE)

    def _walk(self, top: Path) -> None:
        """Add what lies below a folder; links come last, so that what they lead to is known by its own name."""
        folders, links = deque([top]), deque[Path]()
        while folders or links:
            path = folders.popleft() if folders else links.popleft()
            if not _is_folder(path):
                self._look(path)
            elif self._is_new(path):
                for inside in self._listed(path):
                    why = file_types.hidden(inside.relative_to(top))
                    if _is_folder(inside) and why:
                        self._note(inside, skipped=f"{why}, {_count(inside)} files in it")
                    elif why := why or file_types.skipped_by_name(inside.relative_to(top)):
                        self._note(inside, skipped=why)
                    else:
                        (links if inside.is_symlink() else folders).append(inside)

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return list(folder.iterdir())
        except OSError as error:
            self._note(folder, error=f"The folder cannot be opened ({error.strerror}).")
            return []

    def _look(self, path: Path, named: bool = False) -> None:
        """Add a file, opened only if its name does not promise an image."""
        if not self._is_new(path):
            return
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self._note(path, error=NOT_REGULAR)
                return
            if not named and is_result(path):
                self._note(path, skipped="a picture that Deep Leuko has written")
                return
            kind = "image" if file_types.promises_image(path.name) else _kind(path)
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
            self._repeats += 1
            self._note(path, skipped=f"the same as {file_types.readable(str(self._seen[real]))}")
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


def _kind(path: Path) -> file_types.Kind | None:
    if path.suffix.lower() == ".zip":
        return "zip"
    with path.open("rb") as file:
        return file_types.kind_of(file.read(file_types.HEAD)) or (
            "archive" if file_types.is_archive(path.name) else None
        )


def _count(folder: Path) -> int:
    """How many files lie below a folder; links are not followed."""
    return sum(len(names) for _, _, names in os.walk(folder))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _name(path: Path) -> str:
    return file_types.readable(path.name or str(path))

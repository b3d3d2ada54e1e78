"""Find the image files that are named in the cells of a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

from leuko.data.errors import DataError
from leuko.data.labels.filename_conventions import printable, shortlist
from leuko.data.sources.columns import IMAGES, columns_named_like
from leuko.data.sources.file_walk import FileTree
from leuko.data.sources.tables import Table


def best_image_column(table: Table, images: list[Path], tree: FileTree) -> tuple[str, int, list[Path]]:
    """The column that names the most images, its number of lines that name an image, and these images."""
    find = image_finder(table, images, tree)
    best: tuple[str, int, list[Path]] = ("", -1, [])
    for column in columns_named_like(table.columns, IMAGES):
        found = [of[0] for value in table.columns[column] if (of := find(value))]
        if len(found) > best[1]:
            best = (column, len(found), found)
    return best


def image_finder(table: Table, images: list[Path], tree: FileTree) -> Callable[[str], list[Path]]:
    """A function that finds the images for a cell: by path from the table or top folder, else by name or stem."""
    by_path: dict[str, list[Path]] = {}
    by_name: dict[str, list[Path]] = {}
    for image in images:
        for top in {table.path.parent, tree.folder}:
            if image.is_relative_to(top):
                by_path.setdefault(_plain(image.relative_to(top).as_posix()), []).append(image)
        for name in {_plain(image.name), _plain(image.stem)}:
            by_name.setdefault(name, []).append(image)

    def find(value: str) -> list[Path]:
        named = _plain(value.replace("\\", "/").removeprefix("./"))
        if found := by_path.get(named):
            return found[:1]
        found = by_name.get(named.split("/")[-1], [])
        if len(found) > 1 and "/" in named:  # the path may be longer, from a folder further up
            closer = [image for image in found if ("/" + named).endswith("/" + _plain("/".join(image.parts[-2:])))]
            return closer if len(closer) == 1 else found
        return found

    return find


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def match_images(table: Table, values: list[str], images: list[Path], tree: FileTree) -> list[Path]:
    """The image of each line of a table.

    Raises:
        DataError: an image does not exist, is named more than once, or several images have this name.
    """
    find = image_finder(table, images, tree)
    found = [find(value) for value in values]
    if missing := [value for value, of in zip(values, found, strict=True) if not of]:
        raise DataError(
            f"{table.path.name} names images that are not in {printable(table.path.parent)}: {shortlist(missing)} "
            f"({len(missing)} in all); add them, or take their lines out."
        )
    if unclear := next((value for value, of in zip(values, found, strict=True) if len(of) > 1), None):
        raise DataError(
            f"{table.path.name} names {unclear}, which is the name of several images; write their folders too."
        )
    files = [of[0] for of in found]
    if repeated := len(files) - len(set(files)):
        raise DataError(
            f"{table.path.name} names images more than once ({repeated} lines too many); give each one line."
        )
    return files

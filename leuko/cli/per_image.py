"""What `classify` and `field` have in common: one line of JSON for every image, whatever is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from leuko.cli import input_files
from leuko.cli.json_lines import JsonLines, print_skipped
from leuko.cli.output_errors import ForeignFileError, OutputError
from leuko.cli.picture_folder import PictureFolder, UniqueStems
from leuko.images.decode import Picture
from leuko.images.file_types import InputFile
from leuko.inference import per_file
from leuko.system.threads import in_order


def run_on_images(
    arguments: argparse.Namespace,
    analyse: Callable[[str, str, Picture], dict[str, Any]],
    fields: frozenset[str],
    folders: Sequence[PictureFolder] = (),
) -> int:
    """Write the result for every image, in order, and print which files were skipped.

    Args:
        arguments: the options of `leuko.cli.options.add_images`.
        analyse: takes an image's name, the stem for files written about it, and the image; returns the result.
        fields: names that every result has; an output file with them is an earlier one of the same command.
        folders: where `analyse` writes pictures.

    Returns:
        The exit status: 1 if there was an error, else 0.
    """
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise OutputError("The pictures of two options would have the same names; give each option its own folder.")
    for folder in folders:
        folder.make()
    stems = UniqueStems()

    def analyse_file(work: tuple[InputFile, str]) -> list[dict[str, Any]]:
        item, stem = work
        return per_file.results(
            item, lambda page, picture: analyse(item.name + page, stem + page, picture), describe_fault
        )

    failed = False
    skipped: list[dict[str, Any]] = []
    with (
        TemporaryDirectory(prefix="leuko-") as temporary,
        JsonLines(arguments.json, fields, arguments.overwrite) as out,
    ):
        items = input_files.gather(arguments.images, Path(temporary))
        work = ((item, stems.claim(item.place) if folders and item.path else "") for item in items)
        result: dict[str, Any]
        for result in chain.from_iterable(in_order(analyse_file, work)):
            if "skipped" in result:
                skipped.append(result)
            else:
                out.write(result)
                failed |= "error" in result
    print_skipped(skipped)
    return int(failed)


def describe_fault(error: Exception) -> str:
    """The message for an image on which the analysis failed; an error of the disk concerns all images and is raised."""
    if isinstance(error, ForeignFileError):
        return str(error)
    if isinstance(error, OutputError):
        raise error
    return f"This image could not be analysed because of a program error ({type(error).__name__}). Please report it."

"""`leuko case`: the fields of one slide, read as one; its review; and its file."""

from __future__ import annotations

import argparse
import csv
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from leuko.cli.options import Subparsers, UsageError, add_images, add_kinds

if TYPE_CHECKING:
    from leuko.cases.case_file import CaseFile
    from leuko.cases.review import Change

FIELDS = frozenset({"specimen", "fields", "cells"})  # of every case, by which an earlier output file is known
SPECIMENS = ("blood", "marrow")  # of `leuko.cases.case`, which is slow to import
SUFFIX = ".leuko"  # of `leuko.cases.case_file`


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "case", help="read the fields of one slide as one; prints one JSON object for all images"
    )
    add_images(parser)
    parser.add_argument("--specimen", choices=SPECIMENS, help="what was smeared on the slide; needed for images")
    parser.add_argument("--model", help="model folder or Hub id (default: embedded model)")
    parser.add_argument(
        "--count-smudges", action="store_true", help="count smudge cells as white cells in the differential count"
    )
    add_kinds(parser)
    parser.add_argument("--save", type=Path, metavar="FILE.leuko", help="keep the case, to be opened again")
    parser.add_argument("--changes", type=Path, metavar="FILE", help="CSV of changes that a person makes")
    parser.add_argument("--by", metavar="NAME", help="who makes the changes, and signs")
    parser.add_argument("--sign", action="store_true", help="sign the case")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Analyse every field and the case; images that cannot be read are listed in `errors`, and the others continue."""
    from leuko.cli.json_lines import JsonLines, print_skipped

    kept = arguments.images[0].suffix == SUFFIX
    fixed = arguments.specimen or arguments.model or arguments.kinds or arguments.count_smudges
    if bool(arguments.changes or arguments.sign) != bool(arguments.by):
        raise UsageError("--changes and --sign need --by NAME, which is of use with them alone.")
    if kept and (len(arguments.images) > 1 or fixed):
        raise UsageError(
            f"A {SUFFIX} file is opened alone; specimen, models and smudge cells are those it was read with."
        )
    if not kept and not arguments.specimen:
        raise UsageError("--specimen must say what was smeared: blood or marrow.")
    if arguments.save and arguments.save.suffix != SUFFIX:
        raise UsageError(f"--save takes a name that ends with {SUFFIX}.")
    with JsonLines(arguments.json, FIELDS, arguments.overwrite) as out:
        stored, others = _open(arguments.images[0]) if kept else _read(arguments)
        if arguments.changes:
            stored = stored.reviewed(*_changes(arguments.changes, arguments.by))
        if arguments.sign:
            stored = stored.signed(arguments.by)
        if arguments.save:
            _save(stored, arguments.save, arguments.overwrite or (kept and _same(arguments.save, arguments.images[0])))
        out.write({**stored.as_json(), **others})
    print_skipped(others["skipped"])
    return int(bool(others["errors"]))


def _open(file: Path) -> tuple[CaseFile, dict[str, list[dict[str, Any]]]]:
    """A case that was kept; no file of it is read again."""
    from leuko.cases.case_file import CaseFile

    return CaseFile.read(file), {"errors": [], "skipped": []}


def _read(arguments: argparse.Namespace) -> tuple[CaseFile, dict[str, list[dict[str, Any]]]]:
    """A new case from images, and the files that are none."""
    from leuko.cases import reading
    from leuko.cases.case_file import CaseFile
    from leuko.cli import input_files
    from leuko.cli.per_image import describe_fault
    from leuko.inference.classifier import Classifier
    from leuko.system.threads import in_order

    classifier = Classifier.load(arguments.model, arguments.kinds)
    with TemporaryDirectory(prefix="leuko-") as temporary:
        items = input_files.gather(arguments.images, Path(temporary))
        read = in_order(lambda item: reading.read_file(classifier, item, describe_fault), items)
        results = list(chain.from_iterable(read))
    case = reading.case_of(classifier, results, arguments.specimen, arguments.count_smudges)
    return CaseFile.new(case, reading.models(classifier)), reading.no_fields(results)


def _changes(file: Path, who: str) -> list[Change]:
    """The changes of a list, all made now.

    Raises:
        ReviewError: the list cannot be used.
    """
    from leuko.cases.case_file import now
    from leuko.cases.review import ReviewError, change_of_row

    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReviewError(f"The list {file} cannot be read ({error}); save it as CSV in UTF-8.") from error
    when = now()
    return [change_of_row(row, f"{file}, line {line}", who, when) for line, row in rows]


def _same(file: Path, other: Path) -> bool:
    return file.exists() and file.samefile(other)


def _save(stored: CaseFile, file: Path, overwrite: bool) -> None:
    from leuko.cli.output_errors import OutputError, not_written

    if file.exists() and not overwrite:
        raise OutputError(f"{file} exists, maybe with a review; give another name, or --overwrite to replace it.")
    try:
        stored.write(file)
    except OSError as error:
        raise not_written(file, error) from error

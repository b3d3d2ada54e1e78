"""`leuko case`: the fields of one slide, read as one."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from leuko.cli.options import Subparsers, add_images, add_kinds

FIELDS = frozenset({"specimen", "fields", "cells"})  # of every case, by which an earlier output file is known
SPECIMENS = ("blood", "marrow")  # of `leuko.cases.case`, which is slow to import


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "case", help="read the fields of one slide as one; prints one JSON object for all images"
    )
    add_images(parser)
    parser.add_argument("--specimen", required=True, choices=SPECIMENS, help="what was smeared on the slide")
    parser.add_argument("--model", help="model folder or Hub id (default: embedded model)")
    parser.add_argument(
        "--count-smudges", action="store_true", help="count smudge cells as white cells in the differential count"
    )
    add_kinds(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Analyse every field and the case; images that cannot be read are listed in `errors`, and the others continue."""
    from leuko.cases import reading
    from leuko.cli import input_files
    from leuko.cli.json_lines import JsonLines, print_skipped
    from leuko.cli.per_image import describe_fault
    from leuko.inference.classifier import Classifier
    from leuko.system.threads import in_order

    classifier = Classifier.load(arguments.model, arguments.kinds)
    with (
        TemporaryDirectory(prefix="leuko-") as temporary,
        JsonLines(arguments.json, FIELDS, arguments.overwrite) as out,
    ):
        items = input_files.gather(arguments.images, Path(temporary))
        read = in_order(lambda item: reading.read_file(classifier, item, describe_fault), items)
        results = list(chain.from_iterable(read))
        case = reading.case_of(classifier, results, arguments.specimen, arguments.count_smudges)
        said = reading.as_json(case, classifier, results)
        out.write(said)
    print_skipped(said["skipped"])
    return int(bool(said["errors"]))

"""`leuko case`: the fields of one slide, read as one."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from leuko.cli.options import Subparsers, add_images, add_kinds

if TYPE_CHECKING:
    from leuko.images.decode import Picture
    from leuko.images.file_types import InputFile

FIELDS = frozenset({"specimen", "fields", "cells"})  # of every case, by which an earlier output file is known
SPECIMENS = ("blood", "marrow")  # `SPECIMENS` of `leuko.cases.case`, which is slow to import


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
    from leuko.cases.case import Case
    from leuko.cases.field_record import FieldRecord
    from leuko.cli import input_files
    from leuko.cli.json_lines import JsonLines, print_skipped
    from leuko.cli.per_image import describe_fault
    from leuko.inference import per_file
    from leuko.inference.classifier import Classifier
    from leuko.system.threads import in_order

    classifier = Classifier.load(arguments.model, arguments.kinds)

    def analyse(name: str, picture: Picture) -> dict[str, Any]:
        result = classifier.analyse(picture.pixels, um_per_px=picture.um_per_px)
        return {"image": name, "record": FieldRecord.of(name, picture.pixels, result)}

    def analyse_file(item: InputFile) -> list[dict[str, Any]]:
        return per_file.results(item, lambda page, picture: analyse(item.name + page, picture), describe_fault)

    with (
        TemporaryDirectory(prefix="leuko-") as temporary,
        JsonLines(arguments.json, FIELDS, arguments.overwrite) as out,
    ):
        items = input_files.gather(arguments.images, Path(temporary))
        results = list(chain.from_iterable(in_order(analyse_file, items)))
        records = [result["record"] for result in results if "record" in result]
        errors = [result for result in results if "error" in result]
        point = classifier.model.metadata.operating_point
        case = Case.of(records, arguments.specimen, point, arguments.count_smudges)
        out.write({**case.as_json(), "model": classifier.signature(), "errors": errors})
    print_skipped([result for result in results if "skipped" in result])
    return int(bool(errors))

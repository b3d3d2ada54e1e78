"""`leuko field`: the cells of every image, segmented, measured and counted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leuko.cli.options import Subparsers, add_images, add_kinds

if TYPE_CHECKING:
    from leuko.images.decode import Picture

FIELDS = frozenset({"image", "counts", "cells"})  # that every result has, by which an earlier output file is known
# `METHODS` and `DEFAULT_METHOD` of `leuko.cells.segmentation`, which is slow to import
METHODS = ("learned", "fuzzy", "k-means", "otsu")
DEFAULT_METHOD = "learned"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("field", help="segment, measure and count cells; prints one JSON object per image")
    add_images(parser)
    parser.add_argument("--masks", type=Path, metavar="DIR", help="write masks as DIR/STEM.png")
    parser.add_argument("--overlay", type=Path, metavar="DIR", help="write outlined and numbered cells as DIR/STEM.png")
    parser.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        choices=METHODS,
        help="how cells are found: by a network, or by clustering colours (default: %(default)s)",
    )
    parser.add_argument(
        "--count-smudges", action="store_true", help="count smudge cells as white cells in the differential count"
    )
    add_kinds(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Analyse every image; an image that cannot be read gets an object with `error`, and the others continue."""
    from leuko.cells import overlay
    from leuko.cells.kinds.model import KindModel
    from leuko.cells.segmentation import segment
    from leuko.cli.per_image import run_on_images
    from leuko.cli.picture_folder import PictureFolder
    from leuko.images.file_types import printable
    from leuko.images.quality import assessment
    from leuko.inference import field_json

    masks = PictureFolder(arguments.masks, "field --masks", arguments.overwrite) if arguments.masks else None
    overlays = PictureFolder(arguments.overlay, "field --overlay", arguments.overwrite) if arguments.overlay else None
    kinds = KindModel.load(arguments.kinds) if arguments.kinds else None
    folders = [folder for folder in (masks, overlays) if folder]

    def analyse(name: str, stem: str, picture: Picture) -> dict[str, Any]:
        for folder in folders:
            folder.check_free(stem)
        image_quality = assessment.assess(picture.pixels)
        segmentation = segment(picture.pixels, arguments.method, picture.um_per_px)
        no_cells = " ".join(field_json.why_no_cells(image_quality, segmentation))
        if no_cells and folders:
            print(f"{printable(name)}: no masks and no outlines are written. {no_cells}", file=sys.stderr)
        if masks and not no_cells:
            masks.write_picture(stem, segmentation.mask())
        if overlays and not no_cells:
            overlays.write_picture(stem, overlay.draw(picture.pixels, segmentation))
        return field_json.field(name, picture.pixels, segmentation, image_quality, arguments.count_smudges, kinds)

    return run_on_images(arguments, analyse, FIELDS, folders)

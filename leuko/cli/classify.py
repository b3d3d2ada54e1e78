"""`leuko classify`: a finding for every image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leuko.cli.options import Subparsers, add_images, add_kinds

if TYPE_CHECKING:
    from leuko.images.decode import Picture

FIELDS = frozenset({"image", "label", "decision"})  # that every finding has, by which an earlier output file is known


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("classify", help="classify images; prints one JSON object per image")
    add_images(parser)
    parser.add_argument("--model", help="model folder or Hub id (default: embedded model)")
    parser.add_argument(
        "--network-only", action="store_true", help="do not segment cells: several times faster, without their score"
    )
    add_kinds(parser)
    parser.add_argument("--cam", type=Path, metavar="DIR", help="write Grad-CAM as DIR/STEM.png and DIR/STEM.npy")
    parser.add_argument("--class", dest="label", metavar="NAME", help="class for --cam (default: the most probable)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Classify every image; an image that cannot be read gets an object with `error`, and the others continue."""
    from leuko.cli.per_image import run_on_images
    from leuko.cli.picture_folder import PictureFolder
    from leuko.inference.classifier import NO_HEAT_MAP, Classifier
    from leuko.networks import grad_cam

    classifier = Classifier.load(arguments.model, arguments.kinds)
    if arguments.label:
        classifier.index(arguments.label)
    if arguments.cam and not classifier.has_heat_maps:
        raise ValueError(NO_HEAT_MAP.format(name=classifier.model.metadata.name))
    cam = PictureFolder(arguments.cam, "classify --cam", arguments.overwrite) if arguments.cam else None

    def classify(name: str, stem: str, picture: Picture) -> dict[str, Any]:
        if cam:
            cam.check_free(stem, (".png", ".npy"))
        result = classifier.analyse(picture.pixels, use_cells=not arguments.network_only, um_per_px=picture.um_per_px)
        if cam:
            heat_map = classifier.heat_map(result, arguments.label or result.finding.label)
            cam.write_array(stem, grad_cam.upsample(heat_map, *picture.pixels.shape[:2]))
            cam.write_picture(stem, grad_cam.overlay(picture.pixels, heat_map))
        return result.finding.as_json(name)

    return run_on_images(arguments, classify, FIELDS, [cam] if cam else [])

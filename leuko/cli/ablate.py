"""`leuko ablate`: the effect of each part of training on one's own data."""

from __future__ import annotations

import argparse

from leuko.cli.options import (
    Subparsers,
    add_backbone,
    add_clean,
    add_experiment,
    add_stain_references,
    experiment_settings,
    positive_int,
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "ablate", help="measure the effect of each part of training on your data; continues if interrupted"
    )
    add_experiment(parser, image_size=160)
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help='rows or patterns ("*augment*")')
    for option, default, meaning in (
        ("--splits", 3, "grouped splits"),
        ("--epochs", 5, "epochs of each training"),
        ("--images", 400, "training images"),
        ("--validation", 160, "validation images"),
    ):
        parser.add_argument(
            option, type=positive_int, default=default, metavar="N", help=f"{meaning} (default: %(default)s)"
        )
    add_backbone(parser, "efficientnet_lite0")
    parser.add_argument(
        "--weights",
        help="auto (timm's, from the Hub), none, or a safetensors file (default: auto; for efficientnet_lite0 the "
        "weights that come with Deep Leuko)",
    )
    add_clean(parser)
    add_stain_references(parser, "images of other stains, or folders of one laboratory each (default: drawn smears)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure the rows that have no result yet, and print the table."""
    from leuko.evaluation.stain_references import find_references
    from leuko.experiments import ablate
    from leuko.networks.trunk_files import TrunkFiles

    included = TrunkFiles.general(arguments.backbone)
    settings = experiment_settings(
        arguments,
        backbone=arguments.backbone,
        weights=arguments.weights or (str(included.weights) if included else "auto"),
        epochs=arguments.epochs,
        clean=arguments.clean,
    )
    references = find_references(arguments.stain_references)
    ablation = ablate.Ablation(settings, arguments.images, arguments.validation, references)
    page = ablate.ablate(ablation, arguments.rows, arguments.splits)
    print(page.read_text(encoding="utf-8"))
    print(f"The table is in {page}; beside it as CSV and JSON.")
    return 0

"""`leuko adapt`: fit a model to one laboratory."""

from __future__ import annotations

import argparse

from leuko.cli.options import Subparsers, add_group_column, add_output, add_positive, non_negative_int


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "adapt", help="fit a model to one laboratory from 10 to 200 labelled images, or the kinds of cells to its own"
    )
    parser.add_argument(
        "source",
        metavar="D",
        help="image folder with a folder for each class, or Hub id (USER/NAME); for kinds of cells, folders of single "
        "cells named by kind, or fields with a list cells.csv (image, kind, x, y, patient)",
    )
    add_output(parser, "model folder to write, or folder of the adapted kinds")
    parser.add_argument("--model", help="model folder or Hub id to start from (default: embedded model)")
    add_positive(parser)
    add_group_column(parser)
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit the model; metrics and warnings are printed."""
    from leuko.adaptation.adapt import adapt

    adapt(
        arguments.source,
        arguments.output,
        model=arguments.model,
        positive=arguments.positive,
        group_column=arguments.group_column,
        seed=arguments.seed,
    )
    return 0

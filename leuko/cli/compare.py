"""`leuko compare`: networks and classical methods on the same splits."""

from __future__ import annotations

import argparse

from leuko.cli.options import Subparsers, add_experiment, experiment_settings, positive_int


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "compare", help="compare networks and classical methods on the same splits; continues if interrupted"
    )
    add_experiment(parser)
    parser.add_argument(
        "--systems",
        nargs="+",
        default=["*"],
        metavar="NAME",
        help="methods: names, patterns (cells-*), or ensembles (lite0+resnet50)",
    )
    parser.add_argument(
        "--epochs", type=positive_int, default=5, metavar="N", help="of pretrained networks (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["auto"],
        metavar="W",
        help="auto (timm's, from the Hub), none, and NETWORK.safetensors; networks without weights start at random",
    )
    parser.add_argument("--folds", type=positive_int, default=1, metavar="K", help="3 or more: cross-validation")
    parser.add_argument(
        "--scratch-epochs",
        type=positive_int,
        default=3,
        metavar="N",
        help="of networks with random weights (default: %(default)s)",
    )
    parser.add_argument(
        "--scratch-size",
        type=positive_int,
        default=96,
        metavar="P",
        help="image size of networks with random weights (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the methods that have no result yet, and print the path of the table."""
    from leuko.experiments import compare
    from leuko.experiments.method_strategies import Effort

    scratch = Effort(arguments.scratch_epochs, arguments.scratch_size)
    settings = experiment_settings(arguments, epochs=arguments.epochs)
    page = compare.compare(settings, arguments.systems, arguments.weights, scratch, arguments.folds)
    print(f"The table is in {page}; beside it as CSV and HTML.")
    return 0

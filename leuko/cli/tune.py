"""`leuko tune`: hyperparameter search."""

from __future__ import annotations

import argparse

from leuko.cli.options import (
    FINETUNE,
    Subparsers,
    add_backbone,
    add_experiment,
    experiment_settings,
    fraction,
    positive_int,
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("tune", help="search for the best training settings; continues if interrupted")
    add_experiment(parser)
    parser.add_argument("--search", default="bayes", choices=["grid", "bayes"], help="(default: %(default)s)")
    parser.add_argument(
        "--trials", type=positive_int, default=20, metavar="N", help="number of trials (default: %(default)s)"
    )
    add_backbone(parser)
    parser.add_argument("--weights", default="auto", help="auto (timm's, from the Hub), none, or a safetensors file")
    values = parser.add_argument_group(
        "values to try", "bayes samples --lr, --dropout and --epochs between the smallest and the largest value"
    )
    values.add_argument("--lr", type=fraction, nargs="+", metavar="VALUE")
    values.add_argument("--batch-size", type=positive_int, nargs="+", metavar="VALUE")
    values.add_argument("--epochs", type=positive_int, nargs="+", metavar="VALUE")
    values.add_argument("--dropout", type=fraction, nargs="+", metavar="VALUE")
    values.add_argument("--finetune", nargs="+", choices=FINETUNE, metavar="VALUE")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, and print the command that trains with the best settings."""
    from leuko.experiments import tune

    space = {name: getattr(arguments, name) for name in tune.DEFAULT}
    base = experiment_settings(arguments, backbone=arguments.backbone, weights=arguments.weights)
    best = tune.tune(base, arguments.search, arguments.trials, space)
    print(f"{best.trials} trials; the report is in {best.report}. Best settings by validation loss:")
    print(tune.train_command(base, best.settings))
    return 0

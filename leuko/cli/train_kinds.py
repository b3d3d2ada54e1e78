"""`leuko train-kinds`: train the network that tells kinds of cells apart."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from leuko.cli.options import Subparsers, add_output, non_negative_int, positive_int


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    description = (
        "Train the network that tells kinds of white cells apart, on cells of several laboratories and on drawn ones. "
        "Blasts are learnt by the contrast of malignant and benign fields of one laboratory."
    )
    parser = subparsers.add_parser(
        "train-kinds", help="train the network that tells kinds of cells apart; writes ONNX", description=description
    )
    parser.add_argument(
        "lists",
        nargs="+",
        type=Path,
        metavar="LIST.csv",
        help="one list for each laboratory, with the columns image, label, x, y, group",
    )
    add_output(parser, "folder for network.onnx, calibration.json, training.json and all stages of the run")
    for option, default, meaning in (
        ("--steps", 1000, "batches"),
        ("--fold-steps", 800, "batches of the network of each fold or left-out laboratory"),
        ("--folds", 5, "parts of the groups; each is judged by a network that has not seen it"),
    ):
        parser.add_argument(
            option, type=positive_int, default=default, metavar="N", help=f"{meaning} (default: %(default)s)"
        )
    parser.add_argument(
        "--drawn", type=non_negative_int, default=1400, metavar="N", help="drawn smears (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="safetensors file of a tf_efficientnet_lite0 to start from (default: the included one)",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed (default: 0)")
    parser.add_argument("--resume", action="store_true", help="continue the run in this output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train; the exit status is 1 if there is no network at the end."""
    from leuko.training.kinds.settings import Settings
    from leuko.training.kinds.train import train
    from leuko.training.segmenter.settings import TRUNK
    from leuko.training.settings import TrainingError

    options = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    options |= {"lists": tuple(arguments.lists), "weights": arguments.weights or TRUNK}
    try:
        train(Settings(**options))
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0

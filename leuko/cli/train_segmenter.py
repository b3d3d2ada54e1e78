"""`leuko train-segmenter`: train the network that finds cells."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from leuko.cli.options import Subparsers, add_output, non_negative_int, positive_int


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    description = (
        "Train the segmentation network on images of several laboratories and on drawn smears. Most images need no "
        "labels: a colour segmentation gives the first, and each round's network those of the next."
    )
    parser = subparsers.add_parser(
        "train-segmenter", help="train the network that finds cells; writes an ONNX file", description=description
    )
    parser.add_argument(
        "lists",
        nargs="+",
        type=Path,
        metavar="LIST.csv",
        help="one list for each laboratory, with the columns image, mask, boxes, white_cells, red_boxes",
    )
    add_output(parser, "folder for network.onnx, training.json and all stages of the run")
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=2,
        metavar="N",
        help="1: labels by the colour segmentation alone (default: %(default)s)",
    )
    parser.add_argument(
        "--steps", type=positive_int, default=500, metavar="N", help="batches of round one (default: %(default)s)"
    )
    parser.add_argument(
        "--second-steps",
        type=positive_int,
        default=4000,
        metavar="N",
        help="batches of each further round (default: %(default)s)",
    )
    parser.add_argument(
        "--drawn", type=non_negative_int, default=1300, metavar="N", help="drawn smears (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="safetensors file of a tf_efficientnet_lite0 to start from (default: the included one)",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed (default: 0)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in this output; on a CPU the weights are the same to the bit",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train; the exit status is 1 if there is no network at the end."""
    from leuko.training.segmenter.settings import TRUNK, Settings
    from leuko.training.segmenter.train import train
    from leuko.training.settings import TrainingError

    options = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    options |= {"lists": tuple(arguments.lists), "weights": arguments.weights or TRUNK}
    try:
        train(Settings(**options))
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0

"""`leuko train`, also `python train.py`: fine-tune a timm network and write a model folder."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from leuko.cli.options import (
    FINETUNE,
    Subparsers,
    UsageError,
    Version,
    add_backbone,
    add_clean,
    add_group_column,
    add_output,
    add_positive,
    fraction,
    non_negative_int,
    positive_int,
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its options."""
    description = "Fine-tune a timm network on smear images and write a model folder."
    parser = subparsers.add_parser(
        "train", help="fine-tune a timm network; writes a model folder", description=description
    )
    parser.add_argument("--version", action=Version)  # also as `python train.py --version`
    parser.add_argument(
        "--dataset",
        required=True,
        nargs="+",
        metavar="D",
        help="image folder (D/CLASS/*.jpg) or Hub id (USER/NAME); several are combined",
    )
    add_output(parser, "model folder to write")
    _add_data(parser)
    add_backbone(parser)
    parser.add_argument("--weights", default="auto", help="auto (timm's, from the Hub), none, or a safetensors file")
    parser.add_argument(
        "--finetune",
        choices=FINETUNE,
        help="train the last layer, the last stages, or all layers (default: partial; full with --weights none)",
    )
    _add_images(parser)
    _add_optimisation(parser)
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed of the split and of training")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the last checkpoint of this output; on a CPU the weights are the same to the bit",
    )
    parser.add_argument(
        "--workers",
        type=non_negative_int,
        default=2,
        metavar="N",
        help="processes that load and augment images; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--log", default="none", choices=["none", "tensorboard"], help="tensorboard: curves in OUTPUT.logs"
    )
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="publish the model folder after training")
    parser.set_defaults(run=run)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    add_group_column(data)
    add_positive(data)
    add_clean(data)
    data.add_argument(
        "--keep", nargs="+", default=[], metavar="WHAT", help="file names or kinds of findings that --clean keeps"
    )
    data.add_argument("--split", type=Path, metavar="FILE", help="split.json of an earlier run, to be used again")
    data.add_argument(
        "--balance",
        default="none",
        choices=["none", "weights", "over", "under", "smote"],
        help="how rare classes are balanced (default: %(default)s)",
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    images = parser.add_argument_group("images")
    images.add_argument("--image-size", type=positive_int, default=224, help="side of the network's input in pixels")
    images.add_argument(
        "--input-scale",
        default="auto",
        choices=["auto", "imagenet", "unit", "symmetric"],
        help="scale of pixel values: as the backbone's weights expect, ImageNet's mean and standard deviation, 0 to 1, "
        "or -1 to 1 (default: %(default)s)",
    )
    images.add_argument(
        "--augment",
        default="light",
        choices=["none", "light", "stain", "mixed"],
        help="stain varies stain, illumination, camera and scale as laboratories do; mixed: one third light, two "
        "thirds stain (default: %(default)s)",
    )
    images.add_argument(
        "--normalise-stain",
        default="none",
        choices=["none", "reinhard", "macenko"],
        help="give all images, in training and in use, the training images' typical stain (default: %(default)s)",
    )
    images.add_argument(
        "--normalise-images",
        default="all",
        choices=["all", "foreign"],
        help="foreign: only images whose stain differs from the training images' (default: %(default)s)",
    )


def _add_optimisation(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_argument_group("optimisation")
    steps.add_argument("--epochs", type=positive_int, default=10)
    steps.add_argument(
        "--batch-size", type=positive_int, default=32, help="over all processes and GPUs (default: %(default)s)"
    )
    steps.add_argument("--lr", type=fraction, default=5e-4, help="peak learning rate (default: %(default)s)")
    steps.add_argument("--schedule", default="cosine", choices=["cosine", "step"], help="(default: %(default)s)")
    steps.add_argument("--dropout", type=fraction, default=0.2, help="before the last layer (default: %(default)s)")
    steps.add_argument(
        "--loss", default="cross-entropy", choices=["cross-entropy", "focal"], help="(default: %(default)s)"
    )
    steps.add_argument("--label-smoothing", type=fraction, default=0.0, metavar="SHARE", help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Train, and publish if asked to; the exit status is 1 if there is no model at the end."""
    if arguments.keep and not arguments.clean:
        raise UsageError("--no-clean leaves nothing out, so that there is nothing to --keep")
    if arguments.normalise_images == "foreign" and arguments.normalise_stain == "none":
        raise UsageError("--normalise-images foreign needs --normalise-stain reinhard or macenko")

    from leuko.hub import model_repository
    from leuko.training.distributed import processes
    from leuko.training.settings import Settings, TrainingError
    from leuko.training.train import train

    options: dict[str, Any] = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    options |= {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    settings = Settings(**options)
    main_process = processes().is_main_process
    repository = arguments.push_to_hub
    try:
        if repository:
            model_repository.check_login(repository)
        train(settings)
        if repository and main_process:
            print(f"Published: {model_repository.publish_model(settings.output, repository)}")
    except (ValueError, TrainingError, model_repository.HubError) as error:
        if main_process:  # the other processes meet the same error
            print(error, file=sys.stderr)
        return 1
    return 0

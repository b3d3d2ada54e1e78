"""Types of option values, and options that several commands share."""

from __future__ import annotations

import argparse
import platform
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from leuko.system.about import VERSION

if TYPE_CHECKING:
    from leuko.training.settings import Settings

# What `add_subparsers` returns, and what both a parser and a group of its options are: argparse has no public names.
Subparsers: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"
Options: TypeAlias = "argparse._ActionsContainer"

# The packages that results and speed depend on.
_PACKAGES = ("gradio", "torch", "timm", "transformers", "datasets", "onnxruntime", "opencv-python-headless", "pillow")

FINETUNE = ("frozen", "partial", "full")


class UsageError(ValueError):
    """Options that exclude each other; the command prints its usage and this message, and ends with status 2."""


class Version(argparse.Action):
    """Prints the versions of Deep Leuko and of the packages it depends on, and exits."""

    def __init__(self, option_strings: list[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="print versions and exit")

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:
        """Print the versions and exit."""
        from importlib.metadata import PackageNotFoundError, version  # slow to import

        lines = [f"Deep Leuko {VERSION}", f"Python {platform.python_version()}"]
        for package in _PACKAGES:
            try:
                lines.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                lines.append(f"{package} is not installed")
        print("\n".join(lines), flush=True)
        parser.exit()


def non_negative_int(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive_int(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def add_kinds(parser: ArgumentParser) -> None:
    """Which model tells kinds of cells apart: `classify` and `field`."""
    parser.add_argument(
        "--kinds", type=Path, metavar="DIR", help="kinds of cells that leuko adapt fitted to a laboratory"
    )


def add_images(parser: ArgumentParser) -> None:
    """The images to read and the file for the results: `classify` and `field`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files, folders or zips of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE instead of the screen")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that this command did not write")


def add_output(parser: ArgumentParser, meaning: str) -> None:
    """The folder for the results."""
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help=meaning)


def add_group_column(parser: Options) -> None:
    """The column by which images belong together."""
    parser.add_argument(
        "--group-column", metavar="NAME", help="column that names patients or slides (default: found by its name)"
    )


def add_positive(parser: Options) -> None:
    """The classes that mean leukaemia."""
    parser.add_argument(
        "--positive",
        nargs="+",
        metavar="CLASS",
        help="classes that mean leukaemia, or none (default: taken from the class names, if all are known)",
    )


def add_clean(parser: Options) -> None:
    """Whether the data set is cleaned."""
    parser.add_argument(
        "--clean",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="inspect the images and leave out those that cannot be used (default: yes)",
    )


def add_stain_references(parser: ArgumentParser, meaning: str) -> None:
    """Images whose colours are given to other images: `evaluate` and `ablate`."""
    parser.add_argument("--stain-references", nargs="+", default=[], type=Path, metavar="IMAGE", help=meaning)


def add_backbone(parser: ArgumentParser, default: str = "resnet50") -> None:
    """The network."""
    parser.add_argument("--backbone", default=default, help="any timm model name (default: %(default)s)")


def add_experiment(parser: ArgumentParser, image_size: int = 224) -> None:
    """The data set, split and seed of an experiment: `tune`, `compare` and `ablate`."""
    parser.add_argument("dataset", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    add_output(parser, "folder for all results")
    add_group_column(parser)
    add_positive(parser)
    parser.add_argument("--split", type=Path, metavar="FILE", help="split.json of an earlier run, to be used again")
    parser.add_argument(
        "--image-size",
        type=positive_int,
        default=image_size,
        metavar="P",
        help="side of the network's input in pixels (default: %(default)s)",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="random seed of the split and of training")


def experiment_settings(arguments: argparse.Namespace, **more: Any) -> Settings:
    """The training settings that `add_experiment`'s options describe, with more of them by name."""
    from leuko.training.settings import Settings

    shared = {name: getattr(arguments, name) for name in ("output", "group_column", "split", "image_size", "seed")}
    positive = tuple(arguments.positive) if arguments.positive else None
    return Settings(dataset=tuple(arguments.dataset), positive=positive, **shared, **more)

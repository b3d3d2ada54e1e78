"""The command line: `python -m leuko COMMAND`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leuko.cells.segmentation.segment import METHODS
from leuko.cli import commands
from leuko.cli.option_types import Version, count, share, whole
from leuko.cli.terminal import run_quietly


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m leuko", description="Reads blood-smear images. Research use only.")
    parser.add_argument("--version", action=Version)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    one = subparsers.add_parser("classify", help="judge images; one JSON object a line")
    _add_images(one)
    one.add_argument("--model", help="model folder or Hub id (default: the embedded one)")
    one.add_argument("--network-only", action="store_true", help="do not ask the cells: several times as fast")
    one.add_argument("--cam", type=Path, metavar="DIR", help="write Grad-CAM as DIR/STEM.png and DIR/STEM.npy")
    one.add_argument("--class", dest="label", metavar="NAME", help="class to explain (default: the most probable)")
    one.set_defaults(run=commands.classify)
    cells = subparsers.add_parser("field", help="find, measure and count cells; one JSON object a line")
    _add_images(cells)
    cells.add_argument("--masks", type=Path, metavar="DIR", help="write masks as DIR/STEM.png")
    cells.add_argument("--overlay", type=Path, metavar="DIR", help="write outlined and numbered cells as DIR/STEM.png")
    cells.add_argument("--method", default="fuzzy", choices=list(METHODS), help="of colour sorting (default: fuzzy)")
    cells.set_defaults(run=commands.field)
    data = subparsers.add_parser("eda", help="look over a data set: write a report of it")
    data.add_argument("sources", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    data.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write the report into")
    data.add_argument("--model", help="model folder or Hub id whose features are shown (default: the embedded one)")
    _add_groups(data)
    data.set_defaults(run=commands.eda)
    search = subparsers.add_parser("tune", help="search for the best training settings; goes on if interrupted")
    _add_training(search)
    search.add_argument("--search", default="bayes", choices=["grid", "bayes"], help="(default: %(default)s)")
    search.add_argument("--trials", type=count, default=20, metavar="N", help="trials in all (default: %(default)s)")
    search.add_argument("--backbone", default="resnet50", help="any timm name (default: %(default)s)")
    search.add_argument("--weights", default="auto", help="auto (timm's, from the Hub), none, or a safetensors file")
    many = search.add_argument_group("values to try", "bayes takes --lr, --dropout and --epochs from the whole range")
    for name, kind in {"lr": share, "batch-size": count, "epochs": count, "dropout": share, "finetune": str}.items():
        choices = ["frozen", "partial", "full"] if kind is str else None
        many.add_argument(f"--{name}", type=kind, nargs="+", choices=choices, metavar="VALUE")
    search.set_defaults(run=commands.tune)
    rivals = subparsers.add_parser("compare", help="networks and older methods side by side; goes on if interrupted")
    _add_training(rivals)
    rivals.add_argument(
        "--systems",
        nargs="+",
        default=["*"],
        metavar="NAME",
        help="names, patterns (cells-*), or averages (lite0+resnet50)",
    )
    rivals.add_argument("--epochs", type=count, default=5, metavar="N", help="for pretrained networks (%(default)s)")
    rivals.add_argument(
        "--weights",
        nargs="+",
        default=["auto"],
        metavar="W",
        help="auto (timm's, from the Hub), none, and NETWORK.safetensors; networks without weights start from scratch",
    )
    rivals.add_argument("--folds", type=count, default=1, metavar="K", help="3 or more: cross-validation")
    rivals.add_argument("--scratch-epochs", type=count, default=3, metavar="N", help="for these (%(default)s)")
    rivals.add_argument("--scratch-size", type=count, default=96, metavar="P", help="for these (%(default)s)")
    rivals.set_defaults(run=commands.compare)
    parts = subparsers.add_parser(
        "ablate", help="what each part of training is worth on your data; goes on if interrupted"
    )
    _add_training(parts)
    parts.set_defaults(image_size=160)
    parts.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help='rows or patterns ("*augment*")')
    parts.add_argument("--splits", type=count, default=3, metavar="N", help="grouped splits (default: %(default)s)")
    parts.add_argument("--epochs", type=count, default=5, metavar="N", help="(default: %(default)s)")
    parts.add_argument("--images", type=count, default=400, metavar="N", help="to learn from (default: %(default)s)")
    parts.add_argument(
        "--validation", type=count, default=160, metavar="N", help="to measure on (default: %(default)s)"
    )
    parts.add_argument("--backbone", default="efficientnet_lite0", help="any timm name (default: %(default)s)")
    parts.add_argument(
        "--weights",
        help="auto (timm's, from the Hub), none, or a safetensors file (default: auto; for efficientnet_lite0 what is "
        "here)",
    )
    parts.add_argument(
        "--clean",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out what cannot be learnt from (default: yes)",
    )
    parts.add_argument(
        "--stain-references",
        nargs="+",
        default=[],
        type=Path,
        metavar="IMAGE",
        help="images, or folders of one laboratory each, of other stains (default: drawn smears)",
    )
    parts.set_defaults(run=commands.ablate)
    measured = subparsers.add_parser("evaluate", help="all figures of a model on a data set, with plots and a page")
    measured.add_argument("model", metavar="M", help="model folder, Hub id (USER/NAME), or embedded")
    measured.add_argument("data", metavar="D", help="image folder or Hub id; of the model's own data, its test part")
    measured.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write into")
    measured.add_argument("--split", type=Path, metavar="FILE", help="split.json whose test part is to be used")
    _add_groups(measured)
    measured.add_argument("--positive", nargs="*", metavar="NAME", help="classes of D that mean leukaemia: two-way")
    measured.add_argument("--robustness", action="store_true", help="also on corrupted images (30 times the work)")
    measured.add_argument("--shortcuts", action="store_true", help="also on parts of images, and in other stains")
    measured.add_argument(
        "--stain-references", nargs="+", default=[], type=Path, metavar="IMAGE", help="of other stains"
    )
    measured.set_defaults(run=commands.evaluate)
    own = subparsers.add_parser("adapt", help="fit a model to one laboratory from 10 to 200 labelled images")
    own.add_argument("source", metavar="D", help="image folder with one folder a class, or Hub id (USER/NAME)")
    own.add_argument("--output", required=True, type=Path, metavar="DIR", help="model folder to write")
    own.add_argument("--model", help="model folder or Hub id to start from (default: the embedded one)")
    own.add_argument(
        "--positive",
        nargs="+",
        metavar="NAME",
        help="classes that mean leukaemia, or none (default: by name, where all are known for certain)",
    )
    _add_groups(own)
    own.add_argument("--seed", type=whole, default=0, help="of all chance (default: 0)")
    own.set_defaults(run=commands.adapt)
    what = subparsers.add_parser("publish", help="push to the Hugging Face Hub").add_subparsers(required=True)
    push = what.add_parser("model", help="push a model folder, in one commit")
    push.add_argument("folder", type=Path, help="model folder as train.py writes it")
    push.add_argument("repo", metavar="USER/NAME", help="made, public, if it does not exist")
    push.add_argument("--force", action="store_true", help="publish a model that has warnings all the same")
    push.set_defaults(run=commands.publish_model)

    def command() -> int:
        chosen = parser.parse_args(arguments)
        return chosen.run(chosen)

    return run_quietly(command)


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files, folders or zips of them")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the lines to FILE instead of the screen")
    command.add_argument(
        "--overwrite", action="store_true", help="replace files that are no earlier results of this command, too"
    )


def _add_groups(command: argparse.ArgumentParser) -> None:
    command.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")


def _add_training(command: argparse.ArgumentParser) -> None:
    """The options that `tune` and `compare` share with train.py."""
    command.add_argument("dataset", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for all results")
    _add_groups(command)
    command.add_argument(
        "--positive",
        nargs="+",
        metavar="CLASS",
        help="classes that mean leukaemia, or none (default: by name, where all are known for certain)",
    )
    command.add_argument("--split", type=Path, metavar="FILE", help="split.json of an earlier run, to be used again")
    command.add_argument(
        "--image-size", type=count, default=224, metavar="P", help="side of a network's input in pixels"
    )
    command.add_argument("--seed", type=whole, default=0, help="of the split and of training")


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `python -m leuko COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from leuko import hub
from leuko.cells import morphology, overlay
from leuko.cells.counting import count
from leuko.cells.segmentation import METHODS, segment
from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.models import explain
from leuko.models.classifier import Classifier
from leuko.models.folder import ModelFolderError

if TYPE_CHECKING:
    from leuko.training.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m leuko", description="Reads blood-smear images. Research use only.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("classify", help="judge images; one JSON object a line")
    one.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files or folders of them")
    one.add_argument("--model", help="model folder or Hub id (default: the embedded one)")
    one.add_argument("--json", type=Path, metavar="FILE", help="write the lines to FILE instead of the screen")
    one.add_argument("--cam", type=Path, metavar="DIR", help="write Grad-CAM as DIR/STEM.png and DIR/STEM.npy")
    one.add_argument("--class", dest="label", metavar="NAME", help="class to explain (default: the most probable)")
    one.set_defaults(run=classify)
    cells = commands.add_parser("field", help="find, measure and count cells; one JSON object a line")
    cells.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files or folders of them")
    cells.add_argument("--json", type=Path, metavar="FILE", help="write the lines to FILE instead of the screen")
    cells.add_argument("--masks", type=Path, metavar="DIR", help="write masks as DIR/STEM.png")
    cells.add_argument("--overlay", type=Path, metavar="DIR", help="write outlined and numbered cells as DIR/STEM.png")
    cells.add_argument("--method", default="fuzzy", choices=list(METHODS), help="of colour sorting (default: fuzzy)")
    cells.set_defaults(run=field)
    data = commands.add_parser("eda", help="look over a data set: write a report of it")
    data.add_argument("sources", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    data.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write the report into")
    data.add_argument("--model", help="model folder or Hub id whose features are shown (default: the embedded one)")
    data.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")
    data.set_defaults(run=eda)
    search = commands.add_parser("tune", help="search for the best training settings; goes on if interrupted")
    _add_training(search)
    search.add_argument("--search", default="bayes", choices=["grid", "bayes"], help="(default: %(default)s)")
    search.add_argument("--trials", type=int, default=20, metavar="N", help="trials in all (default: %(default)s)")
    search.add_argument("--backbone", default="resnet50", help="any timm name (default: %(default)s)")
    search.add_argument("--weights", default="auto", help="auto (timm's, from the Hub), none, or a safetensors file")
    many = search.add_argument_group("values to try", "bayes takes --lr, --dropout and --epochs from the whole range")
    for name, kind in {"lr": float, "batch-size": int, "epochs": int, "dropout": float, "finetune": str}.items():
        choices = ["frozen", "partial", "full"] if kind is str else None
        many.add_argument(f"--{name}", type=kind, nargs="+", choices=choices, metavar="VALUE")
    search.set_defaults(run=tune)
    rivals = commands.add_parser("compare", help="networks and older methods side by side; goes on if interrupted")
    _add_training(rivals)
    rivals.add_argument(
        "--systems",
        nargs="+",
        default=["*"],
        metavar="NAME",
        help="names, patterns (cells-*), or averages (lite0+resnet50)",
    )
    rivals.add_argument("--epochs", type=int, default=5, metavar="N", help="for pretrained networks (%(default)s)")
    rivals.add_argument(
        "--weights",
        nargs="+",
        default=["auto"],
        metavar="W",
        help="auto (timm's, from the Hub), none, and NETWORK.safetensors; networks without weights start from scratch",
    )
    rivals.add_argument("--folds", type=int, default=1, metavar="K", help="cross-validation instead of one split")
    rivals.add_argument("--scratch-epochs", type=int, default=3, metavar="N", help="for these (%(default)s)")
    rivals.add_argument("--scratch-size", type=int, default=96, metavar="P", help="for these (%(default)s)")
    rivals.set_defaults(run=compare)
    measured = commands.add_parser("evaluate", help="all figures of a model on a data set, with plots and a page")
    measured.add_argument("model", metavar="M", help="model folder, Hub id (USER/NAME), or embedded")
    measured.add_argument("data", metavar="D", help="image folder or Hub id; of the model's own data, its test part")
    measured.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write into")
    measured.add_argument("--split", type=Path, metavar="FILE", help="split.json whose test part is to be used")
    measured.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")
    measured.add_argument("--positive", nargs="*", metavar="NAME", help="classes of D that mean leukaemia: two-way")
    measured.add_argument("--robustness", action="store_true", help="also on corrupted images (30 times the work)")
    measured.add_argument("--shortcuts", action="store_true", help="also on parts of images, and in other stains")
    measured.add_argument(
        "--stain-references", nargs="+", default=[], type=Path, metavar="IMAGE", help="of other stains"
    )
    measured.set_defaults(run=evaluate)
    own = commands.add_parser("adapt", help="fit a model to one laboratory from 10 to 200 labelled images")
    own.add_argument("source", metavar="D", help="image folder with one folder a class, or Hub id (USER/NAME)")
    own.add_argument("--output", required=True, type=Path, metavar="DIR", help="model folder to write")
    own.add_argument("--model", help="model folder or Hub id to start from (default: the embedded one)")
    own.add_argument(
        "--positive", nargs="+", metavar="NAME", help="classes that mean leukaemia (default: by their names)"
    )
    own.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")
    own.add_argument("--seed", type=int, default=0, help="of all chance (default: 0)")
    own.set_defaults(run=adapt)
    what = commands.add_parser("publish", help="push to the Hugging Face Hub").add_subparsers(required=True)
    push = what.add_parser("model", help="push a model folder, in one commit")
    push.add_argument("folder", type=Path, help="model folder as train.py writes it")
    push.add_argument("repo", metavar="USER/NAME", help="made, public, if it does not exist")
    push.set_defaults(run=publish_model)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except (ModelFolderError, hub.HubError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def classify(chosen: argparse.Namespace) -> int:
    """Judge every image; a bad one gets an object with `error`, and the rest are still done."""
    classifier = Classifier.load(chosen.model)
    if chosen.label:
        classifier.index(chosen.label)
    if chosen.cam:
        chosen.cam.mkdir(parents=True, exist_ok=True)

    def answer(file: Path, image: np.ndarray) -> dict[str, Any]:
        reading = classifier.read(image)
        if chosen.cam:
            cam = classifier.heat_map(reading, chosen.label or reading.finding.label)
            _write_cam(chosen.cam / file.stem, image, cam)
        return reading.finding.as_json(file.name)

    return _line_by_line(chosen, answer)


def field(chosen: argparse.Namespace) -> int:
    """Find, measure and count the cells of every image; a bad one gets an object with `error`."""
    for folder in filter(None, (chosen.masks, chosen.overlay)):
        folder.mkdir(parents=True, exist_ok=True)

    def answer(file: Path, image: np.ndarray) -> dict[str, Any]:
        found = segment(image, chosen.method)
        if chosen.masks:
            cv2.imwrite(str(chosen.masks / f"{file.stem}.png"), found.mask())
        if chosen.overlay:
            cv2.imwrite(str(chosen.overlay / f"{file.stem}.png"), overlay.draw(image, found)[..., ::-1])
        cells = [{"kind": "white_cell", **cell} for cell in morphology.as_json(morphology.describe(image, found))]
        cells += found.boxes("red_cell") + found.boxes("platelet")
        return {"image": file.name, **count(found).as_json(), "um_per_px": found.um_per_px, "cells": cells}

    return _line_by_line(chosen, answer)


def _line_by_line(chosen: argparse.Namespace, answer: Callable[[Path, np.ndarray], dict[str, Any]]) -> int:
    """Print the answer for every image; for one that cannot be read, why; the exit status is 1 if there was one."""
    failed = 0
    lines = chosen.json.open("w") if chosen.json else sys.stdout
    try:
        for file in _files(chosen.images):
            try:
                said = answer(file, decode(file))
            except ImageError as error:
                failed = 1
                said = {"image": file.name, "error": str(error)}
            print(json.dumps(said, ensure_ascii=False), file=lines, flush=True)
    finally:
        if chosen.json:
            lines.close()
    return failed


def eda(chosen: argparse.Namespace) -> int:
    """Write the data report and say where it is."""
    from leuko.evaluation.survey import survey  # late: it brings along what no other command needs

    page = survey(chosen.sources, chosen.output, model=chosen.model, group_column=chosen.group_column)
    print(f"The report is in {page}; open it in a browser.")
    return 0


def tune(chosen: argparse.Namespace) -> int:
    """Search for the best settings and print the command that trains with them."""
    from leuko.training import tune, tune_report  # late, as above

    if chosen.trials < 1:
        raise ValueError("--trials takes a number from 1.")
    space = {name: getattr(chosen, name) for name in tune.DEFAULT}
    base = _settings(chosen, backbone=chosen.backbone, weights=chosen.weights)
    best = tune.tune(base, chosen.search, chosen.trials, space)
    print(f"{best.trials} trials; the report is in {best.report}. Best on validation, by its loss:")
    print(tune_report.command(base, best.settings, best.report.parent / tune.SPLIT))
    return 0


def compare(chosen: argparse.Namespace) -> int:
    """Run the systems that are not there yet and say where the table is."""
    from leuko.training import compare  # late, as above

    scratch = compare.Effort(chosen.scratch_epochs, chosen.scratch_size)
    page = compare.compare(
        _settings(chosen, epochs=chosen.epochs), chosen.systems, chosen.weights, scratch, chosen.folds
    )
    print(f"The table is in {page}; beside it as CSV and HTML.")
    return 0


def _add_training(command: argparse.ArgumentParser) -> None:
    """The options that `tune` and `compare` share with train.py."""
    command.add_argument("dataset", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for all results")
    command.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")
    command.add_argument(
        "--positive", nargs="+", metavar="CLASS", help="classes that mean leukaemia (default: by name)"
    )
    command.add_argument("--split", type=Path, metavar="FILE", help="split.json of an earlier run, to be used again")
    command.add_argument("--image-size", type=int, default=224, metavar="P", help="side of a network's input in pixels")
    command.add_argument("--seed", type=int, default=0, help="of the split and of training")


def _settings(chosen: argparse.Namespace, **more: Any) -> Settings:
    """The settings of a run as the command line gives them, and `more`."""
    from leuko.training.settings import Settings

    positive = tuple(chosen.positive) if chosen.positive else None
    same = ("output", "group_column", "split", "image_size", "seed")
    given = {name: getattr(chosen, name) for name in same}
    return Settings(dataset=tuple(chosen.dataset), positive=positive, **given, **more)


def evaluate(chosen: argparse.Namespace) -> int:
    """Evaluate a model, print the figures and say where the page is."""
    from leuko.evaluation import run, words  # late: it brings along what few commands need

    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(chosen).items()}
    del asked["run"]
    report = run.evaluate(run.Request(**asked))
    for line in (*report["data"]["what"], words.as_text(report), words.summary(report), f"{report['intervals']}."):
        print(f"{line}\n")
    print(f"The evaluation is in {chosen.output / 'report.html'}; open it in a browser.")
    return 0


def adapt(chosen: argparse.Namespace) -> int:
    """Fit a model to a laboratory's images; its figures and warnings are printed."""
    from leuko.training.adapt import adapt as fit  # late: it brings along what no other command needs

    fit(
        chosen.source,
        chosen.output,
        model=chosen.model,
        positive=chosen.positive,
        group_column=chosen.group_column,
        seed=chosen.seed,
    )
    return 0


def publish_model(chosen: argparse.Namespace) -> int:
    """Push a model folder and say where it is."""
    print(f"Published: {hub.publish_model(chosen.folder, chosen.repo)}")
    return 0


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            yield path


def _write_cam(stem: Path, image: np.ndarray, cam: np.ndarray) -> None:
    np.save(stem.with_name(stem.name + ".npy"), explain.upsample(cam, *image.shape[:2]))
    cv2.imwrite(str(stem.with_name(stem.name + ".png")), explain.overlay(image, cam)[..., ::-1])


if __name__ == "__main__":
    sys.exit(main())

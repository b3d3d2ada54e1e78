"""The command line: `python -m leuko COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

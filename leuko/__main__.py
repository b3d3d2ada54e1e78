"""The command line: `python -m leuko COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from leuko import hub
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
    data = commands.add_parser("eda", help="look over a data set: write a report of it")
    data.add_argument("sources", nargs="+", metavar="D", help="image folders or Hub ids (USER/NAME)")
    data.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write the report into")
    data.add_argument("--model", help="model folder or Hub id whose features are shown (default: the embedded one)")
    data.add_argument("--group-column", metavar="C", help="the column that names patients, subjects or slides")
    data.set_defaults(run=eda)
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
    failed = 0
    lines = chosen.json.open("w") if chosen.json else sys.stdout
    try:
        for file in _files(chosen.images):
            try:
                image = decode(file)
            except ImageError as error:
                failed = 1
                answer = {"image": file.name, "error": str(error)}
            else:
                reading = classifier.read(image)
                answer = reading.finding.as_json(file.name)
                if chosen.cam:
                    cam = classifier.heat_map(reading, chosen.label or reading.finding.label)
                    _write_cam(chosen.cam / file.stem, image, cam)
            print(json.dumps(answer, ensure_ascii=False), file=lines, flush=True)
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

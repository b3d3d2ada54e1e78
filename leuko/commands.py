"""What the commands of `python -m leuko` do with what was asked; each returns its exit status.

What only some commands need is imported by them alone, so that `classify` and `field` start fast.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from leuko.cells import overlay
from leuko.cells.segmentation import segment
from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.models import explain
from leuko.models.classifier import NO_HEAT_MAP, Classifier
from leuko.parallel import in_order
from leuko.serving import answers

if TYPE_CHECKING:
    from leuko.training.settings import Settings


def classify(chosen: argparse.Namespace) -> int:
    """Judge every image; a bad one gets an object with `error`, and the rest are still done."""
    classifier = Classifier.load(chosen.model)
    if chosen.label:
        classifier.index(chosen.label)
    if chosen.cam and not classifier.explains:
        raise ValueError(NO_HEAT_MAP.format(name=classifier.model.knowledge.name))
    files = list(_files(chosen.images))
    names = _names(files, chosen.cam)

    def answer(file: Path, image: np.ndarray) -> dict[str, Any]:
        reading = classifier.read(image, cells=not chosen.network_only)
        if chosen.cam:
            cam = classifier.heat_map(reading, chosen.label or reading.finding.label)
            _write_cam(chosen.cam / names[file], image, cam)
        return reading.finding.as_json(file.name)

    return _line_by_line(files, chosen.json, answer)


def field(chosen: argparse.Namespace) -> int:
    """Find, measure and count the cells of every image; a bad one gets an object with `error`."""
    files = list(_files(chosen.images))
    names = _names(files, chosen.masks, chosen.overlay)

    def answer(file: Path, image: np.ndarray) -> dict[str, Any]:
        found = segment(image, chosen.method)
        if chosen.masks:
            _write(chosen.masks / f"{names[file]}.png", found.mask())
        if chosen.overlay:
            _write(chosen.overlay / f"{names[file]}.png", overlay.draw(image, found)[..., ::-1])
        return answers.field(file.name, image, found)

    return _line_by_line(files, chosen.json, answer)


def _line_by_line(files: list[Path], output: Path | None, answer: Callable[[Path, np.ndarray], dict[str, Any]]) -> int:
    """Print the answer for every image; for one that cannot be read, why; the exit status is 1 if there was one."""

    def attempt(file: Path) -> dict[str, Any]:
        if file.is_dir():
            return {"image": file.name, "error": "There is no image in this folder."}
        try:
            return answer(file, decode(file))
        except ImageError as error:
            return {"image": file.name, "error": str(error)}

    failed = 0
    lines = output.open("w") if output else sys.stdout
    try:
        for said in in_order(attempt, files):
            failed |= "error" in said
            print(json.dumps(said, ensure_ascii=False), file=lines, flush=True)
    finally:
        if output:
            lines.close()
    return int(failed)


def eda(chosen: argparse.Namespace) -> int:
    """Write the data report and say where it is."""
    from leuko.evaluation.survey import survey  # late: it brings along what no other command needs

    page = survey(chosen.sources, chosen.output, model=chosen.model, group_column=chosen.group_column)
    print(f"The report is in {page}; open it in a browser.")
    return 0


def tune(chosen: argparse.Namespace) -> int:
    """Search for the best settings and print the command that trains with them."""
    from leuko.training import tune, tune_report  # late, as above

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


def ablate(chosen: argparse.Namespace) -> int:
    """Measure the rows that are not there yet and print the table."""
    from leuko.evaluation import run  # late, as above
    from leuko.training import ablate
    from leuko.training.laboratory import GENERAL

    at_hand = GENERAL / f"{chosen.backbone}.safetensors"
    weights = chosen.weights or (str(at_hand) if at_hand.is_file() else "auto")
    base = _settings(chosen, backbone=chosen.backbone, weights=weights, epochs=chosen.epochs, clean=chosen.clean)
    ablation = ablate.Ablation(base, chosen.images, chosen.validation, run.references(chosen.stain_references))
    page = ablate.ablate(ablation, chosen.rows, chosen.splits)
    print(page.read_text(encoding="utf-8"))
    print(f"The table is in {page}; beside it as CSV and JSON.")
    return 0


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
    from leuko import hub  # late, as above

    try:
        print(f"Published: {hub.publish_model(chosen.folder, chosen.repo, chosen.force)}")
    except hub.HubError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        inside = path.is_dir() and sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        yield from inside or [path]  # of a folder without images, that is said


def _names(files: list[Path], *folders: Path | None) -> dict[Path, str]:
    """What the files are called that are written of each image, and the folders for them made.

    The image's own name without its ending or, where an earlier image has that already, more of its path; that is said.
    """
    wanted = [folder for folder in folders if folder]
    for folder in wanted:
        folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, Path] = {}
    for file in files if wanted else ():
        whole = "-".join(file.relative_to(file.anchor).parts)
        more = (file.stem, f"{file.parent.name}-{file.stem}", f"{file.parent.name}-{file.name}", whole)
        name = next(name for name in more if names.get(name, file) == file)
        names[name] = file
        if name != file.stem:
            print(f"{file}: written as {name}, since another image is called {file.stem} too.", file=sys.stderr)
    return {file: name for name, file in names.items()}


def _write_cam(stem: Path, image: np.ndarray, cam: np.ndarray) -> None:
    np.save(stem.with_name(stem.name + ".npy"), explain.upsample(cam, *image.shape[:2]))
    _write(stem.with_name(stem.name + ".png"), explain.overlay(image, cam)[..., ::-1])


def _write(file: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(file), image):
        raise OSError(f"{file} cannot be written; is the disk full?")

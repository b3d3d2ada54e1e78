"""What the commands of `python -m leuko` do with what was asked; each returns its exit status.

What only some commands need is imported by them alone, so that `classify` and `field` start fast.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from leuko.cells import overlay
from leuko.cells.segmentation.segment import segment
from leuko.cli import inputs
from leuko.cli.output_files import ForeignFileError, Lines, OutputError, Results, Stems, tell_skipped
from leuko.images import quality
from leuko.images.decode import Picture
from leuko.images.file_types import Item, printable
from leuko.inference import field_json, per_file
from leuko.inference.classifier import NO_HEAT_MAP, Classifier
from leuko.networks import grad_cam
from leuko.system.threads import in_order

if TYPE_CHECKING:
    from leuko.training.settings import Settings


def classify(chosen: argparse.Namespace) -> int:
    """Judge every image; a bad one gets an object with `error`, and the rest are still done."""
    classifier = Classifier.load(chosen.model)
    if chosen.label:
        classifier.index(chosen.label)
    if chosen.cam and not classifier.explains:
        raise ValueError(NO_HEAT_MAP.format(name=classifier.model.knowledge.name))
    cam = Results(chosen.cam, "classify --cam", chosen.overwrite) if chosen.cam else None

    def answer(name: str, stem: str, picture: Picture) -> dict[str, Any]:
        if cam:
            cam.check(stem, (".png", ".npy"))
        reading = classifier.read(picture.pixels, not chosen.network_only, picture.um_per_px)
        if cam:
            heat = classifier.heat_map(reading, chosen.label or reading.finding.label)
            cam.write_array(stem, grad_cam.upsample(heat, *picture.pixels.shape[:2]))
            cam.write_picture(stem, grad_cam.overlay(picture.pixels, heat))
        return reading.finding.as_json(name)

    return _line_by_line(chosen, [cam] if cam else [], frozenset({"image", "label", "decision"}), answer)


def field(chosen: argparse.Namespace) -> int:
    """Find, measure and count the cells of every image; a bad one gets an object with `error`."""
    masks = Results(chosen.masks, "field --masks", chosen.overwrite) if chosen.masks else None
    outlines = Results(chosen.overlay, "field --overlay", chosen.overwrite) if chosen.overlay else None
    wanted = [each for each in (masks, outlines) if each]

    def answer(name: str, stem: str, picture: Picture) -> dict[str, Any]:
        for each in wanted:
            each.check(stem)
        fit = quality.assess(picture.pixels)
        found = segment(picture.pixels, chosen.method, picture.um_per_px)
        no_cells = " ".join(field_json.why_no_cells(fit, found))
        if no_cells and wanted:
            print(f"{printable(name)}: no masks and no outlines are written. {no_cells}", file=sys.stderr)
        if masks and not no_cells:
            masks.write_picture(stem, found.mask())
        if outlines and not no_cells:
            outlines.write_picture(stem, overlay.draw(picture.pixels, found))
        return field_json.field(name, picture.pixels, found, fit)

    return _line_by_line(chosen, wanted, frozenset({"image", "counts", "cells"}), answer)


def _line_by_line(
    chosen: argparse.Namespace,
    results: list[Results],
    fields: frozenset[str],
    answer: Callable[[str, str, Picture], dict[str, Any]],
) -> int:
    """Print what is said of every picture, and at the end on stderr which files were skipped.

    Args:
        chosen: the images, and where the lines go.
        results: what else is written of each picture.
        fields: of the answers, by which an earlier file of them is known.
        answer: from a picture's name, the stem of its files and the picture to what is said of it.

    Returns:
        The exit status: 1 if there was an error.
    """
    if len({each.folder.resolve() for each in results}) < len(results):
        raise OutputError("The pictures of two options would have the same names; give each option its own folder.")
    for each in results:
        each.make()
    stems = Stems()

    def attempt(work: tuple[Item, str]) -> list[dict[str, Any]]:
        item, stem = work
        return per_file.answers(item, lambda page, picture: answer(item.name + page, stem + page, picture), _fault)

    failed, skipped = False, []
    with TemporaryDirectory(prefix="leuko-") as place, Lines(chosen.json, fields, chosen.overwrite) as lines:
        items = inputs.gather(chosen.images, Path(place))
        work = ((item, stems.claim(item.place) if results and item.path else "") for item in items)
        for said in chain.from_iterable(in_order(attempt, work)):
            if "skipped" in said:
                skipped.append(said)
            else:
                lines.write(said)
                failed |= "error" in said
    tell_skipped(skipped)
    return int(failed)


def _fault(error: Exception) -> str:
    """What is said of an image that could not be judged; a disk that is full concerns all images."""
    if isinstance(error, OutputError) and not isinstance(error, ForeignFileError):
        raise error
    if isinstance(error, ForeignFileError):
        return str(error)
    return f"This image could not be judged; the fault is ours ({type(error).__name__}). Please report it."


def eda(chosen: argparse.Namespace) -> int:
    """Write the data report and say where it is."""
    from leuko.reports.eda.write import survey  # late: it brings along what no other command needs

    page = survey(chosen.sources, chosen.output, model=chosen.model, group_column=chosen.group_column)
    print(f"The report is in {page}; open it in a browser.")
    return 0


def tune(chosen: argparse.Namespace) -> int:
    """Search for the best settings and print the command that trains with them."""
    from leuko.experiments import tune
    from leuko.reports import tuning  # late, as above

    space = {name: getattr(chosen, name) for name in tune.DEFAULT}
    base = _settings(chosen, backbone=chosen.backbone, weights=chosen.weights)
    best = tune.tune(base, chosen.search, chosen.trials, space)
    print(f"{best.trials} trials; the report is in {best.report}. Best on validation, by its loss:")
    print(tuning.command(base, best.settings, best.report.parent / tune.SPLIT))
    return 0


def compare(chosen: argparse.Namespace) -> int:
    """Run the systems that are not there yet and say where the table is."""
    from leuko.experiments import compare  # late, as above

    scratch = compare.Effort(chosen.scratch_epochs, chosen.scratch_size)
    page = compare.compare(
        _settings(chosen, epochs=chosen.epochs), chosen.systems, chosen.weights, scratch, chosen.folds
    )
    print(f"The table is in {page}; beside it as CSV and HTML.")
    return 0


def ablate(chosen: argparse.Namespace) -> int:
    """Measure the rows that are not there yet and print the table."""
    from leuko.adaptation.candidate_backbones import GENERAL
    from leuko.experiments import ablate
    from leuko.reports.evaluation import evaluate  # late, as above

    at_hand = GENERAL / f"{chosen.backbone}.safetensors"
    weights = chosen.weights or (str(at_hand) if at_hand.is_file() else "auto")
    base = _settings(chosen, backbone=chosen.backbone, weights=weights, epochs=chosen.epochs, clean=chosen.clean)
    ablation = ablate.Ablation(base, chosen.images, chosen.validation, evaluate.references(chosen.stain_references))
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
    from leuko.evaluation import tables  # late: it brings along what few commands need
    from leuko.reports.evaluation import evaluate

    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(chosen).items()}
    del asked["run"]
    report = evaluate.evaluate(evaluate.Request(**asked))
    for line in (*report["data"]["what"], tables.as_text(report), tables.summary(report), f"{report['intervals']}."):
        print(f"{line}\n")
    print(f"The evaluation is in {chosen.output / 'report.html'}; open it in a browser.")
    return 0


def adapt(chosen: argparse.Namespace) -> int:
    """Fit a model to a laboratory's images; its figures and warnings are printed."""
    from leuko.adaptation.adapt import adapt as fit  # late: it brings along what no other command needs

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
    from leuko.hub import model_repository  # late, as above

    try:
        print(f"Published: {model_repository.publish_model(chosen.folder, chosen.repo, chosen.force)}")
    except model_repository.HubError as error:
        print(error, file=sys.stderr)
        return 1
    return 0

"""`python -m leuko evaluate`: judge, measure, audit, and write the evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leuko.data import output_paths
from leuko.data.errors import DataError
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import folds
from leuko.evaluation import corruptions, metrics, predictions, shortcut_audit
from leuko.evaluation.evaluation_set import EvaluationSet, gather
from leuko.evaluation.predict_dataset import EvaluatedDataset, predict_dataset, progress
from leuko.images import synthetic
from leuko.images.colour_statistics import colour_statistics
from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.images.stain_profile import StainProfile
from leuko.inference.classifier import Classifier, leukaemia_probability
from leuko.networks import model_folder
from leuko.reports.evaluation import gallery, page

EMBEDDED = "embedded"
SEED = 0  # of all corruptions
REFERENCES = 30  # images of a folder, about, that show its stain
FOLDS = 5  # of the colour baseline, where the model has learnt from other images
DRAWN = {"stain": ("neutral", "pink", "blue"), "cells": {"neutrophil": 3, "lymphocyte": 2, "blast": 2}}


@dataclass(frozen=True)
class Request:
    """What is asked for; names as on the command line.

    Attributes:
        model: folder, Hub id, or `EMBEDDED`.
        data: folder or Hub id.
        output: folder to write; an earlier evaluation in it is replaced.
        split, group_column, positive: see `leuko.evaluation.evaluation_set.gather`.
        robustness: whether images are also judged corrupted.
        shortcuts: whether images are also judged in parts and in other stains.
        stain_references: images, or folders of one laboratory each, that show these stains; drawn smears by default.
    """

    model: str
    data: str
    output: Path
    split: Path | None = None
    group_column: str | None = None
    positive: tuple[str, ...] | None = None
    robustness: bool = False
    shortcuts: bool = False
    stain_references: tuple[Path, ...] = ()


def evaluate(asked: Request) -> dict[str, Any]:
    """Evaluate a model and write `metrics.json`, `predictions.csv`, `plots/*.png` and `report.html`, the page last.

    Returns:
        What `metrics.json` holds.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
        DataError: the data or `output` cannot be used, or the classes cannot be compared.
    """
    if asked.stain_references and not asked.shortcuts:
        raise DataError("--stain-references says in which stains --shortcuts looks; give both.")
    page.check(asked.output)
    output_paths.check_apart(asked.output, [asked.data])
    classifier, evaluated, report = measure(asked)
    shown = gallery.wrong(classifier, evaluated)
    content = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    (asked.output / "metrics.json").write_text(content, encoding="utf-8")
    predictions.write(asked.output / "predictions.csv", evaluated, {each.number: each.reasons for each in shown})
    page.write(asked.output, report, evaluated, shown)
    return report


def measure(asked: Request) -> tuple[Classifier, EvaluatedDataset, dict[str, Any]]:
    """What is evaluated, and all figures of it; the folder for the results is made, and nothing written into it.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
        DataError: the data cannot be used, or the classes cannot be compared.
    """
    looks = stains(references(asked.stain_references))
    own = None if asked.model == EMBEDDED and not Path(EMBEDDED).is_dir() else asked.model
    classifier = Classifier.load(own)
    metadata = classifier.model.metadata
    evaluation_set = gather(
        asked.data,
        model_folder.locate(own),
        classifier.labels,
        metadata,
        split=asked.split,
        group_column=asked.group_column,
        positive=asked.positive,
    )
    output_paths.make(asked.output)  # before the work, so that it is not in vain
    evaluated = EvaluatedDataset(evaluation_set, predict_dataset(classifier, evaluation_set.rows, progress))
    if not len(evaluated.predictions.rows):
        raise DataError(f"None of the {len(evaluation_set.rows)} images of {asked.data} can be read.")
    return classifier, evaluated, _measure(classifier, evaluated) | _audit(classifier, evaluated, asked, looks)


def stains(references: Sequence[tuple[str, Sequence[Path]]]) -> dict[str, StainProfile]:
    """Stains of other laboratories, by name.

    Args:
        references: names, and images that show the stain; without any, drawn smears show three.

    Raises:
        DataError: an image cannot be read.
    """
    if not references:
        return {
            f"a drawn smear ({stain})": StainProfile.from_image(
                synthetic.render(0, width=512, height=512, um_per_px=0.3, stain=stain, white_cells=DRAWN["cells"]).image
            )
            for stain in DRAWN["stain"]
        }
    return {
        name: StainProfile.median([_look(file) for file in files[:: max(1, len(files) // REFERENCES)]])
        for name, files in references
    }


def _look(file: Path) -> StainProfile:
    try:
        return StainProfile.from_image(decode(file))
    except ImageError as error:
        raise DataError(f"The stain reference {file} cannot be read; give an image or a folder of them.") from error


def references(places: Sequence[Path]) -> tuple[tuple[str, tuple[Path, ...]], ...]:
    """Images, or folders of one laboratory each, as `stains` takes them."""
    return tuple((place.stem, tuple(_images(place)) if place.is_dir() else (place,)) for place in places)


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)


def _measure(classifier: Classifier, evaluated: EvaluatedDataset) -> dict[str, Any]:
    """What `metrics.json` says without audits."""
    evaluation_set, metadata = evaluated.evaluation_set, classifier.model.metadata
    figures = metrics.evaluate(
        evaluated.compared,
        evaluated.truth,
        evaluation_set.labels,
        evaluation_set.positive,
        metadata.operating_point.threshold,
        groups=evaluated.groups,
        earlier=evaluated.unscaled_probabilities(metadata),
        verdicts=evaluated.predictions.verdicts,
    )
    about = classifier.describe()
    data = {"name": evaluation_set.name, "what": list(evaluation_set.what), "groups": evaluated.groups_from}
    data |= {"own": evaluation_set.training is not None, "two_way": evaluation_set.two_way}
    return {
        "model": {name: about[name] for name in ("name", "version", "backbone", "temperature")},
        "data": data | {"unreadable": len(evaluated.predictions.errors)},
        "operating_point": metadata.operating_point.as_json(),
        **figures,
    }


def _audit(
    classifier: Classifier, evaluated: EvaluatedDataset, asked: Request, looks: dict[str, StainProfile]
) -> dict[str, Any]:
    """The colour baseline and, where asked for, what is left when images change."""
    evaluation_set, reference = evaluated.evaluation_set, _reference(evaluated.evaluation_set)
    to_answer = _most_probable
    if evaluation_set.two_way:
        positive = classifier.model.metadata.positive
        to_answer = partial(_two_way_answer, labels=classifier.labels, positive=positive)
    under = partial(
        shortcut_audit.evaluate_views,
        classifier.model,
        evaluation_set.rows.select(evaluated.predictions.rows),
        truth=evaluated.truth,
        groups=evaluated.groups,
        to_answer=to_answer,
        progress=progress,
    )
    found = {"colour_baseline": _colour_baseline(evaluated, reference)}
    if asked.robustness:
        found["robustness"] = under(lambda row, image: corruptions.corrupted(image, (SEED, row)))
    if asked.shortcuts:
        found["shortcuts"] = under(
            lambda _, image: corruptions.parted(image) | corruptions.restained(image, looks), reference=reference
        )
    return found


def _reference(evaluation_set: EvaluationSet) -> shortcut_audit.Reference | None:
    """Colours of the images the model has learnt from, if the data are its own."""
    if evaluation_set.training is None:
        return None
    rows = progress(range(len(evaluation_set.training)), "Training images' colours", len(evaluation_set.training))
    colours = [colour_statistics(evaluation_set.training.open_image(int(row))) for row in rows]
    return shortcut_audit.Reference(np.array(colours), evaluation_set.training_truth)


def _colour_baseline(evaluated: EvaluatedDataset, reference: shortcut_audit.Reference | None) -> dict[str, Any] | None:
    """Colour statistics alone: learnt where the model has learnt, else in other groups of the same data."""
    truth, colours, groups = evaluated.truth, evaluated.predictions.colours, evaluated.groups
    if reference:
        found = shortcut_audit.colour_baseline(*reference, colours, truth, groups, network=evaluated.answer)
        return found | {"how": "learnt from the model's training images"}
    if len(np.unique(truth)) < 2:
        return None
    together = Groups(np.unique(groups, return_inverse=True)[1], np.zeros(len(groups), bool), (), "as evaluated")
    try:
        splits = list(folds(truth, together, count=FOLDS))
    except DataError:  # a class has too few groups
        return None
    answer = np.zeros_like(truth)
    for split in splits:
        answer[split.test] = shortcut_audit.nearest_neighbours(
            colours[split.train], truth[split.train], colours[split.test]
        )
    how = f"learnt from these images, in {FOLDS}-fold cross-validation by group"
    return shortcut_audit.with_intervals(answer, truth, groups) | {"how": how}


def _most_probable(probabilities: np.ndarray) -> np.ndarray:
    return probabilities.argmax(axis=1)


def _two_way_answer(probabilities: np.ndarray, labels: Sequence[str], positive: Sequence[str]) -> np.ndarray:
    return (leukaemia_probability(probabilities, labels, positive) > 0.5).astype(int)

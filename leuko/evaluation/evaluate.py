"""Measure a model on a data set: predictions, figures, colour baseline and audits. Nothing is written.

`prepare` finds out whether the evaluation is possible at all, `measure` does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leuko.data.errors import DataError
from leuko.data.splitting.groups import Groups
from leuko.data.splitting.split import folds
from leuko.evaluation import corruptions, metrics, shortcut_audit
from leuko.evaluation.evaluation_set import EvaluationSet, gather
from leuko.evaluation.predict_dataset import EvaluatedDataset, predict_dataset, progress
from leuko.evaluation.shortcut_audit import TrainingColours
from leuko.evaluation.stain_references import find_references, stain_profiles
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.images.stain.profile import StainProfile
from leuko.inference.classifier import Classifier
from leuko.inference.finding import leukaemia_probability
from leuko.networks import model_folder

EMBEDDED = "embedded"  # name of the embedded model on the command line
SEED = 0  # of all corruptions
FOLDS = 5  # of the colour baseline, if the model was trained on other images


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate; names as on the command line.

    Attributes:
        model: folder, Hub id, or `EMBEDDED`.
        data: folder or Hub id.
        split, group_column, positive: see `leuko.evaluation.evaluation_set.gather`.
        robustness: also evaluate corrupted images.
        shortcuts: also evaluate parts of the images, and the images in other stains.
        stain_references: images, or folders of one laboratory each, with these stains; by default drawn smears.
    """

    model: str
    data: str
    split: Path | None = None
    group_column: str | None = None
    positive: tuple[str, ...] | None = None
    robustness: bool = False
    shortcuts: bool = False
    stain_references: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PreparedEvaluation:
    """An evaluation that is possible: model, images and stains are loaded."""

    request: EvaluationRequest
    classifier: Classifier
    evaluation_set: EvaluationSet
    stains: dict[str, StainProfile]


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        classifier: the evaluated model.
        evaluated: its predictions.
        report: all figures, ready for JSON.
    """

    classifier: Classifier
    evaluated: EvaluatedDataset
    report: dict[str, Any]


def prepare(request: EvaluationRequest) -> PreparedEvaluation:
    """Load the model, the images and the stains.

    Raises:
        leuko.networks.model_folder.ModelFolderError: the model cannot be used.
        DataError: the data cannot be used, or their classes cannot be compared with the model's.
    """
    if request.stain_references and not request.shortcuts:
        raise DataError("--stain-references says in which stains --shortcuts looks; give both.")
    stains = stain_profiles(find_references(request.stain_references))
    model = None if request.model == EMBEDDED and not Path(EMBEDDED).is_dir() else request.model
    classifier = Classifier.load(model)
    evaluation_set = gather(
        request.data,
        model_folder.locate(model),
        classifier.labels,
        classifier.model.metadata,
        split=request.split,
        group_column=request.group_column,
        positive=request.positive,
    )
    return PreparedEvaluation(request, classifier, evaluation_set, stains)


def measure(prepared: PreparedEvaluation) -> EvaluationResult:
    """Classify all images and compute all figures.

    Raises:
        DataError: none of the images can be read.
    """
    classifier, evaluation_set = prepared.classifier, prepared.evaluation_set
    evaluated = EvaluatedDataset(evaluation_set, predict_dataset(classifier, evaluation_set.rows, progress))
    if not len(evaluated.predictions.rows):
        raise DataError(f"None of the {len(evaluation_set.rows)} images of {prepared.request.data} can be read.")
    report = _describe(classifier, evaluated) | _figures(classifier, evaluated) | _audits(prepared, evaluated)
    return EvaluationResult(classifier, evaluated, report)


def _describe(classifier: Classifier, evaluated: EvaluatedDataset) -> dict[str, Any]:
    """The model, the data and the operating point, as they stand in `metrics.json`."""
    about, evaluation_set = classifier.describe(), evaluated.evaluation_set
    return {
        "model": {name: about[name] for name in ("name", "version", "backbone", "temperature")},
        "data": {
            "name": evaluation_set.name,
            "description": list(evaluation_set.description),
            "groups": evaluated.groups_from,
            "own_data": evaluation_set.training is not None,
            "two_way": evaluation_set.two_way,
            "unreadable": len(evaluated.predictions.errors),
        },
        "operating_point": classifier.model.metadata.operating_point.as_json(),
    }


def _figures(classifier: Classifier, evaluated: EvaluatedDataset) -> dict[str, Any]:
    metadata = classifier.model.metadata
    return metrics.evaluate(
        evaluated.probabilities,
        evaluated.truth,
        evaluated.evaluation_set.labels,
        evaluated.evaluation_set.positive,
        metadata.operating_point.threshold,
        groups=evaluated.groups,
        unscaled=evaluated.unscaled_probabilities(metadata),
        decisions=evaluated.predictions.decisions,
    ).as_json()


def _audits(prepared: PreparedEvaluation, evaluated: EvaluatedDataset) -> dict[str, Any]:
    """The colour baseline and, if requested, the figures on changed images."""
    request, classifier, evaluation_set = prepared.request, prepared.classifier, prepared.evaluation_set
    training_colours = _training_colours(evaluation_set)
    to_class = _most_probable
    if evaluation_set.two_way:
        positive = classifier.model.metadata.positive
        to_class = partial(_two_way, labels=classifier.labels, positive=positive)
    evaluate_views = partial(
        shortcut_audit.evaluate_views,
        classifier.model,
        evaluation_set.rows.select(evaluated.predictions.rows),
        truth=evaluated.truth,
        groups=evaluated.groups,
        to_class=to_class,
        progress=progress,
    )
    audits: dict[str, Any] = {"colour_baseline": _colour_baseline(evaluated, training_colours)}
    if request.robustness:
        audits["robustness"] = evaluate_views(lambda row, image: corruptions.corrupted(image, (SEED, row)))
    if request.shortcuts:
        audits["shortcuts"] = evaluate_views(
            lambda _, image: corruptions.parts(image) | corruptions.restained(image, prepared.stains),
            reference=training_colours,
        )
    return audits


def _training_colours(evaluation_set: EvaluationSet) -> TrainingColours | None:
    """Colours of the model's training images, if these are among the data."""
    training = evaluation_set.training
    if training is None:
        return None
    rows = progress(range(len(training)), "Training images' colours", len(training))
    colours = [colour_statistics(training.open_image(int(row))) for row in rows]
    return TrainingColours(np.array(colours), evaluation_set.training_truth)


def _colour_baseline(evaluated: EvaluatedDataset, training: TrainingColours | None) -> dict[str, Any] | None:
    """The colour baseline, learnt from the training images or, without them, in cross-validation by group.

    Returns:
        From `leuko.evaluation.shortcut_audit.colour_baseline`, with `how` it was learnt; None if there is one class
        only, or a class with too few groups.
    """
    truth, colours, groups = evaluated.truth, evaluated.predictions.colours, evaluated.groups
    if training:
        figures = shortcut_audit.colour_baseline(*training, colours, truth, groups, network=evaluated.predicted)
        return figures | {"how": "learnt from the model's training images"}
    if len(np.unique(truth)) < 2:
        return None
    numbers = np.unique(groups, return_inverse=True)[1]
    try:
        splits = list(folds(truth, Groups(numbers, np.zeros(len(groups), bool), (), "as evaluated"), count=FOLDS))
    except DataError:  # a class has too few groups
        return None
    predicted = np.zeros_like(truth)
    for split in splits:
        predicted[split.test] = shortcut_audit.nearest_neighbours(
            colours[split.train], truth[split.train], colours[split.test]
        )
    how = f"learnt from these images, in {FOLDS}-fold cross-validation by group"
    return shortcut_audit.with_intervals(predicted, truth, groups) | {"how": how}


def _most_probable(probabilities: np.ndarray) -> np.ndarray:
    return probabilities.argmax(axis=1)


def _two_way(probabilities: np.ndarray, labels: Sequence[str], positive: Sequence[str]) -> np.ndarray:
    return (leukaemia_probability(probabilities, labels, positive) > 0.5).astype(int)

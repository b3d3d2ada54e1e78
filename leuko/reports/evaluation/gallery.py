"""The images that a model classified wrong, with its heat map and the likely reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leuko.evaluation import error_analysis
from leuko.evaluation.predict_dataset import EvaluatedDataset
from leuko.inference.classifier import Classifier
from leuko.networks import grad_cam
from leuko.reports.html_report import GALLERY_SIZE, Gallery, Tile, thumbnail
from leuko.reports.wording import percent


@dataclass(frozen=True)
class WrongPrediction:
    """A wrong prediction: the number of the image among the findings, likely reasons, and its card."""

    index: int
    reasons: list[str]
    card: tuple[Tile, ...]


def worst_errors(classifier: Classifier, evaluated: EvaluatedDataset) -> list[WrongPrediction]:
    """The wrong predictions with the highest probability, at most `GALLERY_SIZE`."""
    confidence = evaluated.probabilities.max(axis=1)
    wrong = np.flatnonzero(evaluated.predicted != evaluated.truth)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:GALLERY_SIZE]
    if not len(wrong):
        return []
    usual = error_analysis.UsualRange.of(evaluated)
    return [_wrong_prediction(classifier, evaluated, usual, index) for index in map(int, wrong)]


def _wrong_prediction(
    classifier: Classifier, evaluated: EvaluatedDataset, usual: error_analysis.UsualRange, index: int
) -> WrongPrediction:
    image, labels = evaluated.image(index), evaluated.evaluation_set.labels
    max_distance = classifier.model.metadata.ood_detector.bound
    reasons = error_analysis.likely_reasons(evaluated.predictions, index, image, usual, max_distance)
    reading = classifier.analyse(image)
    overlay = image
    if classifier.has_heat_maps:
        overlay = grad_cam.overlay(image, classifier.heat_map(reading, reading.finding.label))
    truth, predicted = labels[evaluated.truth[index]], labels[evaluated.predicted[index]]
    confidence = percent(float(evaluated.probabilities[index].max()))
    text = f"{truth}, predicted {predicted} ({confidence}); {reading.finding.decision}"
    note = "; ".join(reasons)
    heat_title = "Grad-CAM" if classifier.has_heat_maps else "No heat map for this model"
    card = (
        Tile(thumbnail(image), evaluated.file(index), text),
        Tile(thumbnail(overlay), heat_title, f"{note[0].upper()}{note[1:]}."),
    )
    return WrongPrediction(index, reasons, card)


def as_gallery(errors: Sequence[WrongPrediction], total: int) -> Gallery:
    """The cards; `total` is the number of wrong predictions."""
    more = f"Shown are the {len(errors)} most confident of {total:,} wrong predictions; predictions.csv lists them all."
    return Gallery(tuple(error.card for error in errors), more=more if total > len(errors) else "")

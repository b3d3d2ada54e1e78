"""The images a model was wrong about, with what it looked at and the likely reason."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from leuko.evaluation import error_analysis
from leuko.evaluation.predict_dataset import EvaluatedDataset
from leuko.inference.classifier import Classifier
from leuko.networks import grad_cam
from leuko.reports.eda.galleries import SHOWN, Gallery, Tile, thumbnail
from leuko.reports.eda.phrases import percent


class Wrong(NamedTuple):
    """What is shown of an image: its number among the findings, the reasons, and its card."""

    number: int
    reasons: list[str]
    card: tuple[Tile, ...]


def wrong(classifier: Classifier, evaluated: EvaluatedDataset) -> list[Wrong]:
    """The surest wrong answers, at most `SHOWN`, of the classifier that was evaluated."""
    sure, predictions = evaluated.compared.max(axis=1), evaluated.predictions
    numbers = np.flatnonzero(evaluated.answer != evaluated.truth)
    numbers = numbers[np.argsort(-sure[numbers], kind="stable")][:SHOWN]
    if not len(numbers):
        return []
    usual = error_analysis.Usual.of(evaluated)
    bound = classifier.model.metadata.ood_detector.bound
    shown = []
    for number in map(int, numbers):
        image = evaluated.image(number)
        why = error_analysis.likely(predictions, number, image, usual, bound)
        reading = classifier.analyse(image)
        heat = image
        if classifier.has_heat_maps:
            heat = grad_cam.overlay(image, classifier.heat_map(reading, reading.finding.label))
        was, called = (evaluated.evaluation_set.labels[c[number]] for c in (evaluated.truth, evaluated.answer))
        said = f"{was}, called {called} ({percent(float(sure[number]))}); {reading.finding.decision}"
        pictured = Tile(thumbnail(image), evaluated.file(number), said)
        note = "; ".join(why)
        title = "Grad-CAM" if classifier.has_heat_maps else "No heat map of this model"
        looked = Tile(thumbnail(heat), title, f"{note[0].upper()}{note[1:]}.")
        shown.append(Wrong(number, why, (pictured, looked)))
    return shown


def as_gallery(shown: list[Wrong], total: int) -> Gallery:
    """The cards; `total` is the number of wrong answers."""
    more = f"Shown are the {len(shown)} surest of {total:,} wrong answers; predictions.csv has them all."
    return Gallery(tuple(each.card for each in shown), more=more if total > len(shown) else "")

"""A model's finding on every image of a data set, exactly as in the app."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm import tqdm

from leuko.data.image_table import ImageTable
from leuko.evaluation.binary_metrics import Decisions
from leuko.evaluation.evaluation_set import EvaluationSet
from leuko.images.decode import ImageError
from leuko.images.quality import assessment
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.inference.classifier import Classifier
from leuko.inference.finding import Finding, leukaemia_probability
from leuko.networks.model_folder import ModelMetadata
from leuko.stats.calibration_metrics import unscaled_probabilities

Progress = Callable[[Iterable, str, int], Iterable]


@dataclass(frozen=True)
class DatasetPredictions:
    """The findings on the M of N images that can be read.

    Attributes:
        rows: int, M: their row numbers.
        findings: M.
        distance: float, M: distance of the features from the training images
            (`leuko.decision.out_of_distribution.MahalanobisOOD`).
        colours: float, M × 9: colour statistics.
        contrast, sharpness: float, M: from `leuko.images.quality.assessment.contrast_and_sharpness`.
        errors: why an image cannot be read, by row number.
    """

    rows: np.ndarray
    findings: list[Finding]
    distance: np.ndarray
    colours: np.ndarray
    contrast: np.ndarray
    sharpness: np.ndarray
    errors: dict[int, str]

    @property
    def probabilities(self) -> np.ndarray:
        """Class probabilities, float, M × classes."""
        return np.array([list(finding.probabilities.values()) for finding in self.findings])

    @property
    def decisions(self) -> Decisions:
        """The findings without the class probabilities."""
        return Decisions(
            np.array([finding.decision for finding in self.findings]),
            np.array([finding.in_distribution for finding in self.findings]),
            np.array([finding.quality.usable for finding in self.findings]),
            np.array([finding.leukaemia_probability for finding in self.findings], float),
        )


def progress(items: Iterable, description: str, total: int) -> Iterable:
    """Show a progress bar on stderr while iterating."""
    return tqdm(items, desc=description, total=total, smoothing=0.05)


def _no_progress(items: Iterable, description: str, total: int) -> Iterable:
    return items


def predict_dataset(classifier: Classifier, rows: ImageTable, progress: Progress = _no_progress) -> DatasetPredictions:
    """Classify every image; images that cannot be read are listed in `errors`."""
    readable, findings, measures, colours, errors = [], [], [], [], {}
    ood_detector = classifier.model.metadata.ood_detector
    for row in progress(range(len(rows)), "Classifying images", len(rows)):
        try:
            image = rows.open_image(row)
        except ImageError as error:
            errors[row] = str(error)
            continue
        reading = classifier.analyse(image)
        readable.append(row)
        findings.append(reading.finding)
        measures.append(
            (float(ood_detector.distance(reading.output.features)), *assessment.contrast_and_sharpness(image))
        )
        colours.append(colour_statistics(image))
    distance, contrast, sharpness = np.array(measures).reshape(-1, 3).T
    return DatasetPredictions(
        np.array(readable, int), findings, distance, np.array(colours), contrast, sharpness, errors
    )


@dataclass(frozen=True)
class EvaluatedDataset:
    """An evaluation set of N images with the predictions on its M readable images.

    All properties are about the readable images.
    """

    evaluation_set: EvaluationSet
    predictions: DatasetPredictions

    @cached_property
    def truth(self) -> np.ndarray:
        """True classes, int, M: indices into `evaluation_set.labels`."""
        return self.evaluation_set.truth[self.predictions.rows]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Probabilities of the compared classes, float, M × `evaluation_set.labels`."""
        if not self.evaluation_set.two_way:
            return self.predictions.probabilities
        leukaemia = self.predictions.decisions.leukaemia
        return np.stack([1 - leukaemia, leukaemia], axis=1)

    def unscaled_probabilities(self, metadata: ModelMetadata) -> np.ndarray:
        """`probabilities` as they would be without temperature scaling."""
        unscaled = unscaled_probabilities(self.predictions.probabilities, metadata.temperature)
        if not self.evaluation_set.two_way:
            return unscaled
        leukaemia = leukaemia_probability(unscaled, list(self.predictions.findings[0].probabilities), metadata.positive)
        return np.stack([1 - leukaemia, leukaemia], axis=1)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Most probable of the compared classes, int, M."""
        return self.probabilities.argmax(axis=1)

    @property
    def groups(self) -> np.ndarray:
        """Group numbers, int, M."""
        return self._grouping[0][self.predictions.rows]

    @property
    def groups_from(self) -> str:
        """Where the groups come from, in words."""
        return self._grouping[1]

    @cached_property
    def _grouping(self) -> tuple[np.ndarray, str]:
        colours = np.zeros((len(self.evaluation_set.rows), self.predictions.colours.shape[1]))
        colours[self.predictions.rows] = self.predictions.colours
        return self.evaluation_set.groups(colours)

    def image(self, index: int) -> np.ndarray:
        """One of the M images, uint8, H × W × 3, RGB."""
        return self.evaluation_set.rows.open_image(int(self.predictions.rows[index]))

    def file(self, index: int) -> str:
        """The file name of one of the M images."""
        return self.evaluation_set.rows.files[int(self.predictions.rows[index])]

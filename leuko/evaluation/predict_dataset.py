"""What a model says of every image of a data set, exactly as it would in the app."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm import tqdm

from leuko.data.image_table import ImageTable
from leuko.evaluation.evaluation_set import EvaluationSet
from leuko.evaluation.metrics import Decisions
from leuko.images import quality
from leuko.images.colour_statistics import colour_statistics
from leuko.images.decode import ImageError
from leuko.inference.classifier import Classifier, Finding, leukaemia_probability
from leuko.networks.model_folder import ModelMetadata
from leuko.stats.calibration_metrics import unscaled_probabilities

Progress = Callable[[Iterable, str, int], Iterable]


@dataclass(frozen=True)
class DatasetPredictions:
    """The findings on the images that can be read, M of N rows.

    Attributes:
        rows: int, M: their row numbers.
        findings: M.
        distance: float, M: of their features from the training images' (`leuko.decision.out_of_distribution.MahalanobisOOD`).
        colours: float, M × 9: their colour statistics.
        contrast, sharpness: float, M: from `leuko.images.quality.contrast_and_sharpness`.
        errors: why a row cannot be read, by its number.
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
        """float, M × classes."""
        return np.array([list(finding.probabilities.values()) for finding in self.findings])

    @property
    def verdicts(self) -> Decisions:
        """What is said beside the probabilities."""
        return Decisions(
            np.array([finding.decision for finding in self.findings]),
            np.array([finding.in_distribution for finding in self.findings]),
            np.array([finding.quality.usable for finding in self.findings]),
            np.array([finding.leukaemia_probability for finding in self.findings], float),
        )


def progress(items: Iterable, what: str, total: int) -> Iterable:
    """A progress bar on stderr."""
    return tqdm(items, desc=what, total=total, smoothing=0.05)


def _in_silence(items: Iterable, what: str, total: int) -> Iterable:
    return items


def predict_dataset(classifier: Classifier, rows: ImageTable, progress: Progress = _in_silence) -> DatasetPredictions:
    """Read every row with a model; rows that cannot be read are noted."""
    read, findings, numbers, colours, errors = [], [], [], [], {}
    ood_detector = classifier.model.metadata.ood_detector
    for row in progress(range(len(rows)), "Judging images", len(rows)):
        try:
            image = rows.open_image(row)
        except ImageError as error:
            errors[row] = str(error)
            continue
        reading = classifier.analyse(image)
        distance = ood_detector.distance(reading.output.features)
        read.append(row)
        findings.append(reading.finding)
        numbers.append((float(distance), *quality.contrast_and_sharpness(image)))
        colours.append(colour_statistics(image))
    distance, contrast, sharpness = np.array(numbers).reshape(-1, 3).T
    return DatasetPredictions(np.array(read, int), findings, distance, np.array(colours), contrast, sharpness, errors)


@dataclass(frozen=True)
class EvaluatedDataset:
    """The material of an evaluation with what a model says of it; all but `predictions.errors` is of the M readable images.

    Attributes:
        material: with N images.
        judged: the findings on M of them.
    """

    evaluation_set: EvaluationSet
    predictions: DatasetPredictions

    @cached_property
    def truth(self) -> np.ndarray:
        """int, M: places in `evaluation_set.labels`."""
        return self.evaluation_set.truth[self.predictions.rows]

    @cached_property
    def compared(self) -> np.ndarray:
        """float, M × `evaluation_set.labels`: the probabilities that are held against the truth."""
        if not self.evaluation_set.two_way:
            return self.predictions.probabilities
        leukaemia = self.predictions.verdicts.leukaemia
        return np.stack([1 - leukaemia, leukaemia], axis=1)

    def unscaled_probabilities(self, metadata: ModelMetadata) -> np.ndarray:
        """What `compared` was before the temperature was folded into the weights."""
        earlier = unscaled_probabilities(self.predictions.probabilities, metadata.temperature)
        if not self.evaluation_set.two_way:
            return earlier
        leukaemia = leukaemia_probability(earlier, list(self.predictions.findings[0].probabilities), metadata.positive)
        return np.stack([1 - leukaemia, leukaemia], axis=1)

    @cached_property
    def answer(self) -> np.ndarray:
        """int, M: the most probable of `compared`."""
        return self.compared.argmax(axis=1)

    @property
    def groups(self) -> np.ndarray:
        """int, M."""
        return self._grouped[0][self.predictions.rows]

    @property
    def groups_from(self) -> str:
        """Where the groups come from, in words."""
        return self._grouped[1]

    @cached_property
    def _grouped(self) -> tuple[np.ndarray, str]:
        colours = np.zeros((len(self.evaluation_set.rows), self.predictions.colours.shape[1]))
        colours[self.predictions.rows] = self.predictions.colours
        return self.evaluation_set.groups(colours)

    def image(self, number: int) -> np.ndarray:
        """One of the M images, uint8, H × W × 3, RGB."""
        return self.evaluation_set.rows.open_image(int(self.predictions.rows[number]))

    def file(self, number: int) -> str:
        """Its name."""
        return self.evaluation_set.rows.files[int(self.predictions.rows[number])]

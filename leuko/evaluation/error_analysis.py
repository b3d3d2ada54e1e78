"""Likely reasons for a wrong prediction: how an image differs from those that were predicted correctly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation import Segmentation, segment
from leuko.evaluation.predict_dataset import DatasetPredictions, EvaluatedDataset

OUTLIER_SHARE = 0.05  # of the correctly predicted images lie beyond each bound
SEGMENTED = 60  # correctly predicted images that are segmented to find the usual overlap
CLOSE_CALL = 0.2  # difference between the two highest probabilities below which a prediction is a close call
CLUMP_AREA = 2.0  # median white cell areas; a larger region is a clump of cells
NO_REASON = "no reason found: the image is not unusual"

SENTENCES = {
    "blur": "less sharp than 95 % of the correctly predicted images",
    "contrast": "less contrast than 95 % of the correctly predicted images",
    "out-of-distribution": "out of distribution: unlike the training images",
    "far": "less like the training images than 95 % of the correctly predicted images",
    "overlap": "its white cells touch or overlap more than in 95 % of the correctly predicted images",
    "no-cell": "no white cell was found in it",
    "close": "a close call between {first} and {second}",
}


@dataclass(frozen=True)
class UsualRange:
    """Bounds that 95 % of the correctly predicted images keep; nan if there are none.

    Attributes:
        sharpness, contrast: lower bounds.
        distance, overlap: upper bounds.
    """

    sharpness: float
    contrast: float
    distance: float
    overlap: float

    @classmethod
    def of(cls, evaluated: EvaluatedDataset) -> UsualRange:
        """Find the bounds."""
        predictions, correct = evaluated.predictions, evaluated.predicted == evaluated.truth
        indices = np.flatnonzero(correct)
        if not len(indices):
            return cls(*[float("nan")] * 4)
        sample = np.random.default_rng(0).permutation(indices)[:SEGMENTED]
        overlaps = [overlap(segment(evaluated.image(i))) for i in sample]
        return cls(
            float(np.quantile(predictions.sharpness[correct], OUTLIER_SHARE)),
            float(np.quantile(predictions.contrast[correct], OUTLIER_SHARE)),
            float(np.quantile(predictions.distance[correct], 1 - OUTLIER_SHARE)),
            float(np.quantile(overlaps, 1 - OUTLIER_SHARE)),
        )


def overlap(segmentation: Segmentation) -> float:
    """Share of the white cell area in cells that touch another or are at least `CLUMP_AREA` large, 0 to 1."""
    cells = segmentation.white_cells
    area = np.bincount(cells.ravel())[1:]
    if not len(area):
        return 0.0
    touching = set()
    for one, other in ((cells[:, 1:], cells[:, :-1]), (cells[1:], cells[:-1])):
        touch = (one != other) & (one > 0) & (other > 0)
        touching |= set(one[touch]) | set(other[touch])
    ids = np.arange(1, len(area) + 1)
    clumped = np.isin(ids, list(touching)) | (area > CLUMP_AREA * np.median(area))
    return float(area[clumped].sum() / area.sum())


def likely_reasons(
    predictions: DatasetPredictions, index: int, image: np.ndarray, usual: UsualRange, max_distance: float
) -> list[str]:
    """How an image differs from correctly predicted ones, as phrases: hints, not proofs.

    Args:
        predictions: of all readable images.
        index: number of the image among them.
        image: uint8, H × W × 3, RGB.
        usual: bounds of the correctly predicted images.
        max_distance: from this distance on, the model itself calls an image out of distribution.
    """
    finding, segmentation = predictions.findings[index], segment(image)
    kinds = []
    if predictions.distance[index] > max_distance:
        kinds.append("out-of-distribution")
    elif predictions.distance[index] > usual.distance:
        kinds.append("far")
    if predictions.sharpness[index] < usual.sharpness and "blurred" not in finding.quality.issues_by_kind:
        kinds.append("blur")
    if predictions.contrast[index] < usual.contrast:
        kinds.append("contrast")
    if not segmentation.white_cells.any():
        kinds.append("no-cell")
    elif overlap(segmentation) > usual.overlap:
        kinds.append("overlap")
    (first, high), (second, low) = sorted(finding.probabilities.items(), key=lambda item: -item[1])[:2]
    if high - low < CLOSE_CALL:
        kinds.append("close")
    reasons = [message.rstrip(".") for message in finding.quality.issues]
    reasons += [SENTENCES[kind].format(first=first, second=second) for kind in kinds]
    return reasons or [NO_REASON]

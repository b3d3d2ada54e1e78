"""Why a model may have been wrong about an image: in what the image stands out from those it was right about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.cells.segmentation import Segmentation, segment
from leuko.evaluation.predict_dataset import DatasetPredictions, EvaluatedDataset

ODD = 0.05  # share of the images judged right that may stand out as far
COMPARED = 60  # images judged right whose cells are looked at
CLOSE = 0.2  # lead of the most probable class, below which it was a close call
HEAP = 2.0  # of the median white cell's area
NOTHING = "no reason found: nothing about the image stands out"

SENTENCES = {
    "blur": "less sharp than nearly all images judged right",
    "contrast": "less contrast than nearly all images judged right",
    "unlike": "unlike the training images",
    "odd": "less like the training images than nearly all images judged right",
    "overlap": "its white cells touch or lie in heaps more than in nearly all images judged right",
    "no-cell": "no white cell is found in it",
    "close": "a close call between {first} and {second}",
}


@dataclass(frozen=True)
class Usual:
    """Bounds of what is usual among the images judged right; nan where there are none."""

    sharpness: float
    contrast: float
    distance: float
    overlap: float

    @classmethod
    def of(cls, evaluated: EvaluatedDataset) -> Usual:
        """The bounds by the images that were judged right."""
        predictions, right = evaluated.predictions, evaluated.answer == evaluated.truth
        numbers = np.flatnonzero(right)
        if not len(numbers):
            return cls(*[float("nan")] * 4)
        some = np.random.default_rng(0).permutation(numbers)[:COMPARED]
        heaps = [overlap(segment(evaluated.image(i))) for i in some]
        return cls(
            float(np.quantile(predictions.sharpness[right], ODD)),
            float(np.quantile(predictions.contrast[right], ODD)),
            float(np.quantile(predictions.distance[right], 1 - ODD)),
            float(np.quantile(heaps, 1 - ODD)),
        )


def overlap(found: Segmentation) -> float:
    """The share of the white cells' area in cells that touch another or are twice as large as usual, 0 to 1."""
    cells = found.white_cells
    area = np.bincount(cells.ravel())[1:]
    if not len(area):
        return 0.0
    touching = set()
    for one, other in ((cells[:, 1:], cells[:, :-1]), (cells[1:], cells[:-1])):
        meet = (one != other) & (one > 0) & (other > 0)
        touching |= set(one[meet]) | set(other[meet])
    ids = np.arange(1, len(area) + 1)
    heaped = np.isin(ids, list(touching)) | (area > HEAP * np.median(area))
    return float(area[heaped].sum() / area.sum())


def likely(predictions: DatasetPredictions, number: int, image: np.ndarray, usual: Usual, bound: float) -> list[str]:
    """In what an image stands out, as phrases: a hint at why it was judged wrong, not a proof.

    Args:
        judged: all findings.
        number: which of them.
        image: uint8, H × W × 3, RGB.
        usual: see `Usual`.
        bound: the distance from which the model itself calls an image unlike its training images.
    """
    finding, found = predictions.findings[number], segment(image)
    said = [message.rstrip(".") for message in finding.quality.issues]
    kinds = []
    if predictions.distance[number] > bound:
        kinds.append("unlike")
    elif predictions.distance[number] > usual.distance:
        kinds.append("odd")
    if predictions.sharpness[number] < usual.sharpness and "blurred" not in finding.quality.issues_by_kind:
        kinds.append("blur")
    if predictions.contrast[number] < usual.contrast:
        kinds.append("contrast")
    if not found.white_cells.any():
        kinds.append("no-cell")
    elif overlap(found) > usual.overlap:
        kinds.append("overlap")
    (first, high), (second, low) = sorted(finding.probabilities.items(), key=lambda each: -each[1])[:2]
    if high - low < CLOSE:
        kinds.append("close")
    said += [SENTENCES[kind].format(first=first, second=second) for kind in kinds]
    return said or [NOTHING]

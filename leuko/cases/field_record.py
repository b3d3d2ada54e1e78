"""What a case keeps of one field: its finding and its cells, without pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from leuko.cells.kinds.names import SMUDGE
from leuko.decision.cell_score import Decision
from leuko.inference.classifier import ClassificationResult
from leuko.inference.field import Field
from leuko.inference.field_json import why_no_cells

NOT_COUNTED_FIELD = "No cells are counted in a close-up, and none where too few red cells give the size of the cells."


@dataclass(frozen=True)
class FoundCell:
    """A white cell or smudge cell as one field shows it.

    Attributes:
        id: in its field: of white cells that of the segmentation; smudge cells follow.
        x, y: px, the middle.
        diameter: px, of a circle of its area.
        margin: px, how far it lies from the border of the image.
        type: of `leuko.cells.kinds.names`.
        blast_probability: 0 to 1; None for smudge cells, and without a nucleus.
        not_counted: why the field does not count it; empty if it does.
    """

    id: int
    x: float
    y: float
    diameter: float
    margin: float
    type: str
    blast_probability: float | None
    not_counted: str


@dataclass(frozen=True)
class FieldRecord:
    """See the module.

    Attributes:
        name: of the image.
        size: width and height, px.
        um_per_px: None where it is unknown.
        digest: SHA-256 of the pixels.
        decision, headline, reasons: of the finding.
        network: probability of leukaemia by the network, 0 to 1; None if no class means leukaemia.
        ood_reason: why the network does not count, in words; empty if it does.
        why_no_cells: why no cells of this field are counted, in sentences; empty if they are.
        fit: whether the image is good enough to be judged.
        cells: white cells and smudge cells; none where none are counted.
        looks_for_smudges: whether smudge cells were looked for.
    """

    name: str
    size: tuple[int, int]
    um_per_px: float | None
    digest: str
    decision: Decision
    headline: str
    reasons: tuple[str, ...]
    network: float | None
    ood_reason: str
    why_no_cells: str
    fit: bool
    cells: tuple[FoundCell, ...]
    looks_for_smudges: bool

    @classmethod
    def of(cls, name: str, image: np.ndarray, result: ClassificationResult) -> FieldRecord:
        """The record of a field.

        Args:
            name: of the image.
            image: uint8, H × W × 3, RGB.
            result: of the image.
        """
        finding, verdict, segmentation = result.finding, result.verdict, result.segmentation
        why = " ".join(why_no_cells(finding.quality, segmentation))
        cells: tuple[FoundCell, ...] = ()
        if segmentation and not why:
            field = Field.of(image, segmentation, result.measurements, result.kinds)
            if field.differential is None:
                why = NOT_COUNTED_FIELD
            else:
                cells = (*_white_cells(field), *_smudge_cells(field))
        return cls(
            name,
            (image.shape[1], image.shape[0]),
            segmentation.um_per_px if segmentation else None,
            hashlib.sha256(image.tobytes()).hexdigest(),
            finding.decision,
            finding.headline,
            finding.reasons,
            verdict.network,
            verdict.ood_reason,
            why,
            finding.quality.usable,
            cells,
            segmentation is not None and segmentation.smudges is not None,
        )


def _places(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x, y and diameter of the objects of a label map, float, N × 3, px, and how far each lies from the border, N."""
    windows = ndimage.find_objects(labels)
    areas = np.bincount(labels.ravel(), minlength=len(windows) + 1)[1:]
    places, margins = np.empty((len(windows), 3)), np.empty(len(windows))
    height, width = labels.shape
    for row, (rows, columns) in enumerate(windows):
        inside = labels[rows, columns] == row + 1
        y, x = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        weights_y, weights_x = inside.sum(axis=1)[y], inside.sum(axis=0)[x]
        middle = columns.start + np.average(x, weights=weights_x), rows.start + np.average(y, weights=weights_y)
        places[row] = (*middle, 2 * np.sqrt(areas[row] / np.pi))
        margins[row] = min(rows.start, columns.start, height - rows.stop, width - columns.stop)
    return places, margins


def _white_cells(field: Field) -> list[FoundCell]:
    places, margins = _places(field.segmentation.white_cells)
    cells = []
    for row, label in enumerate(map(int, field.table["id"])):
        nucleus = bool(field.table["lobes"][row])
        reason = field.excluded.get(label, "" if nucleus else "without a nucleus")
        blast = float(field.kinds.blast_probabilities[row]) if nucleus else None
        x, y, diameter = map(float, places[label - 1])
        cells.append(FoundCell(label, x, y, diameter, float(margins[label - 1]), field.type(row), blast, reason))
    return cells


def _smudge_cells(field: Field) -> list[FoundCell]:
    tally, labels = field.counts.smudge_cells, field.segmentation.smudges
    if tally is None or labels is None:
        return []
    reasons = {label: reason for reason, ids in tally.excluded.items() for label in ids}
    first = len(field.table["id"])
    return [
        FoundCell(
            first + label, float(x), float(y), float(diameter), float(margin), SMUDGE, None, reasons.get(label, "")
        )
        for label, ((x, y, diameter), margin) in enumerate(zip(*_places(labels), strict=True), start=1)
    ]

"""The cells of a field as JSON: the same for the command line and the API."""

from __future__ import annotations

from typing import Any

import numpy as np

from leuko.cells.counting import NOT_COUNTED
from leuko.cells.features import morphology
from leuko.cells.kinds import classify
from leuko.cells.kinds.model import KindModel
from leuko.cells.kinds.names import SMUDGE
from leuko.cells.segmentation import Segmentation
from leuko.decision.cell_score import scale_notes
from leuko.images.quality.assessment import Quality, assess
from leuko.inference.field import Field


def why_no_cells(quality: Quality, segmentation: Segmentation | None) -> tuple[str, ...]:
    """Why no cells are reported of an image, a sentence each; empty if they are.

    Args:
        quality: of the image.
        segmentation: its cells; None if they were not segmented.
    """
    if not quality.usable:
        return quality.issues
    if segmentation is None:
        return ("The cells were not segmented.",)
    return () if segmentation.reliable else (segmentation.unreliable_reason,)


def field(
    name: str,
    image: np.ndarray,
    segmentation: Segmentation | None,
    quality: Quality | None = None,
    count_smudges: bool = False,
    kinds: KindModel | None = None,
) -> dict[str, Any]:
    """The cells of an image as JSON-ready values.

    Args:
        name: of the file.
        image: uint8, H × W × 3, RGB.
        segmentation: its cells; None if they were not segmented.
        quality: of the image; assessed here if it is not given.
        count_smudges: whether smudge cells are white cells in the differential count.
        kinds: the model that tells kinds apart; None: the embedded one.

    Returns:
        `image`, `quality` as in a finding, `counts` and more about them (`Counts.as_json`), `red_cell_indices`
        (`RedCellIndices.as_json`; None where they are not given), `differential` (`Differential.as_json`; None where
        nothing is counted), `um_per_px` (None if unknown), `scale_source`,
        `close_up`, `method` (of segmentation) and `cells`. White cells have `type` (see `leuko.cells.kinds.names`),
        `type_probabilities` (by kind, sum 1), `looks_like_blast` (None where it is unknown), `not_counted` (the reason,
        None if they are counted) and `confidence` (0 to 1, None where the method gives none). Where the image is not
        good enough, or its cells could not be segmented reliably, there are no cells and no figures (None), and
        `sentences` say why.
    """
    quality = quality or assess(image)
    method = segmentation.method if segmentation else None
    start = {"image": name, "quality": quality.as_json(), "method": method or None}
    reasons = why_no_cells(quality, segmentation)
    if reasons or segmentation is None:
        unknown: dict[str, Any] = dict.fromkeys(
            ("red_cell_indices", "differential", "um_per_px", "scale_source", "close_up")
        )
        unknown["cells"] = []
        return {**start, **NOT_COUNTED, "sentences": list(reasons), **unknown}
    measured = Field.of(image, segmentation, kinds=classify(image, segmentation, kinds), count_smudges=count_smudges)
    counts = measured.counts.as_json()
    if measured.close_up:
        counts["sentences"].append("The image is a close-up and no field, so there is no share of blasts.")
    indices = measured.red_cell_indices
    differential = measured.differential
    counts["sentences"] += [*(differential.sentences if differential else ()), *measured.kinds.notes]
    counts["sentences"] += [*(indices.sentences if indices else ()), *scale_notes(segmentation)]
    cells = [
        {
            "kind": "white_cell",
            **cell,
            "type": measured.type(row),
            "type_probabilities": measured.type_probabilities(row),
            "looks_like_blast": measured.blast_like(row),
            "not_counted": measured.excluded.get(cell["id"]),
            "confidence": measured.confidence(row),
        }
        for row, cell in enumerate(morphology.as_json(measured.table))
    ]
    for kind in ("red_cell", "platelet"):
        cells += segmentation.boxes(kind)
    cells += [{**cell, "type": SMUDGE} for cell in segmentation.boxes("smudge_cell")]
    return {
        **start,
        **counts,
        "red_cell_indices": indices and indices.as_json(),
        "differential": differential and differential.as_json(),
        "um_per_px": segmentation.um_per_px,
        "scale_source": segmentation.scale_source,
        "close_up": measured.close_up,
        "cells": cells,
    }

"""What programs are told of a field: the same on the command line and by the API."""

from __future__ import annotations

from typing import Any

import numpy as np

from leuko.cells.counting import NOT_COUNTED
from leuko.cells.features import morphology
from leuko.cells.segmentation import Segmentation
from leuko.decision.cell_score import scale_notes
from leuko.images.quality import Quality, assess
from leuko.inference.field import Field


def why_no_cells(fit: Quality, found: Segmentation | None) -> tuple[str, ...]:
    """Why no cells are shown of an image, a sentence each; empty if they are.

    Args:
        fit: whether the image is fit to be judged.
        found: its cells; None if they were not looked for.
    """
    if not fit.usable:
        return fit.issues
    if found is None:
        return ("The cells were not looked for.",)
    return () if found.reliable else (found.unreliable_reason,)


def field(name: str, image: np.ndarray, found: Segmentation | None, fit: Quality | None = None) -> dict[str, Any]:
    """The cells of an image.

    Args:
        name: of the file.
        image: uint8, H × W × 3, RGB.
        found: its cells; None if they were not looked for.
        fit: whether the image is fit to be judged; assessed here if it is not given.

    Returns:
        `image`, `quality` as in a finding, `counts`, `um_per_px` (None if unknown), `scale_source`, `close_up` and
        `cells`; what more is said of the counts, `Counts.as_json` tells. White cells have `looks_like_blast` (None
        where that cannot be told) and `not_counted` (the reason, None if they count). Where the image is not fit to be
        judged, or its cells were not reliably found, there are no cells and no figures (None); `sentences` say why.
    """
    fit = fit or assess(image)
    start = {"image": name, "quality": fit.as_json()}
    reasons = why_no_cells(fit, found)
    if reasons or found is None:
        unknown = {"um_per_px": None, "scale_source": None, "close_up": None, "cells": []}
        return {**start, **NOT_COUNTED, "sentences": list(reasons), **unknown}
    measured = Field.of(image, found)
    counts = measured.counts.as_json()
    if measured.close_up:
        counts["sentences"].append("The image is a close-up and no field, so there is no share of blasts.")
    counts["sentences"] += scale_notes(found)
    cells = [
        {
            "kind": "white_cell",
            **cell,
            "looks_like_blast": measured.blast_like(row),
            "not_counted": measured.left_out.get(cell["id"]),
        }
        for row, cell in enumerate(morphology.as_json(measured.table))
    ]
    cells += found.boxes("red_cell") + found.boxes("platelet")
    return {
        **start,
        **counts,
        "um_per_px": found.um_per_px,
        "scale_source": found.scale_source,
        "close_up": measured.close_up,
        "cells": cells,
    }

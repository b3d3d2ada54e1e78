"""What programs are told of a field: the same on the command line and by the API."""

from __future__ import annotations

from typing import Any

import numpy as np

from leuko.cells import morphology
from leuko.cells.segmentation import Segmentation
from leuko.serving.field import Field


def field(name: str, image: np.ndarray, found: Segmentation) -> dict[str, Any]:
    """The cells of an image, uint8, H × W × 3, RGB: `image`, `counts`, `um_per_px` (None if unknown) and `cells`.

    What more is said of the counts, `Counts.as_json` tells.
    """
    measured = Field.of(image, found)
    cells = [{"kind": "white_cell", **cell} for cell in morphology.as_json(measured.table)]
    cells += found.boxes("red_cell") + found.boxes("platelet")
    return {"image": name, **measured.counts.as_json(), "um_per_px": found.um_per_px, "cells": cells}

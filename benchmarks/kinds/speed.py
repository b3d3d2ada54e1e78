"""How long the kinds of cells take on two cores."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from leuko.cells.kinds import classify
from leuko.cells.kinds.network import EMBEDDED, KindNetwork
from leuko.cells.segmentation import segment
from leuko.images.synthetic import rendering

REPEATS = 7


def speed(_: Path, __: Path) -> dict[str, Any]:
    """Milliseconds a cell, of the network alone and with cutting out, and the size of the file."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 96, 96, 3), dtype=np.uint8)
    image = rendering.render(
        1, width=900, height=700, um_per_px=0.25, white_cells={"blast": 20, "neutrophil": 12}
    ).image
    segmentation = segment(image)
    number = int(segmentation.white_cells.max())
    network = KindNetwork.embedded()
    return {
        "network alone, batch of 32": _milliseconds(lambda: network.look(pixels)) / len(pixels),
        "with cutting out": _milliseconds(lambda: classify(image, segmentation)) / number,
        "network, MB": EMBEDDED.stat().st_size / 1e6,
    }


def _milliseconds(call: Any) -> float:
    call()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return median(times)

"""Measure detection of white cells in modified and cropped fields, for choosing parameters.

    python -m benchmarks.cells_stress ../shared/data [--method fuzzy] [--every 2]

Only even-numbered files of BCCD are used, so that odd-numbered files remain for testing. In crops, a bounding box is
used if at least 15 % of it remains. A cell at the border is often detected with a box that differs from the rest of the
true box, so figures for crops are lower for all methods.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.cells import CHANGES, Boxes, bccd, changed, detected
from leuko.cells.segmentation import METHODS, segment

MORE_CHANGES = {
    "hue +15°, saturation × 1.4": (15, 1.4, 1, 1),
    "hue −15°, saturation × 0.6": (-15, 0.6, 1, 1),
    "size × 2": (0, 1, 1, 2),
}
GAMMAS = (0.75, 1.3)
CROPS = {"middle": (120, 90), "upper left": (0, 0), "lower right": (240, 180)}  # left and top, px
CROP = (400, 300)
LEFT = 0.15  # of a box that a crop must show


def main(data: Path, method: str, every: int) -> None:
    jobs = [(image, boxes, method) for _, image, _, boxes in list(bccd(data, odd=False))[::every]]
    with ProcessPoolExecutor(2) as pool:
        tallies = list(pool.map(tallied, jobs, chunksize=4))
    scores = []
    for name in tallies[0]:
        hits, true, found, cut, *_, taken, platelets = sum(tally[name] for tally in tallies)
        scores.append(2 * hits / (true + found))
        print(
            f"{name}: F1 {scores[-1]:.3f}, {true - hits} missed, {found - hits} false ({cut} cut), "
            f"{taken} of {platelets} platelets taken"
        )
    print(f"mean F1 {np.mean(scores):.4f}")


def tallied(job: tuple[np.ndarray, Boxes, str]) -> dict[str, np.ndarray]:
    """`detected` of every view of a field."""
    cv2.setNumThreads(1)
    image, boxes, method = job
    return {name: detected(segment(seen, method), shown) for name, seen, shown in views(image, boxes)}


def views(image: np.ndarray, boxes: Boxes) -> Iterator[tuple[str, np.ndarray, Boxes]]:
    """A field as it is, changed and cropped, with its boxes."""
    yield "as it is", image, boxes
    for name, how in (CHANGES | MORE_CHANGES).items():
        yield name, *changed(image, boxes, *how)
    for gamma in GAMMAS:
        yield f"gamma {gamma}", (255 * (image / 255) ** gamma).astype(np.uint8), boxes
    width = image.shape[1]
    both = {
        kind: [*found, *((2 * width - c, b, 2 * width - a, d) for a, b, c, d in found)] for kind, found in boxes.items()
    }
    yield "glued to its mirror", np.concatenate([image, image[:, ::-1]], axis=1), both
    for name, corner in CROPS.items():
        yield f"crop, {name}", *cropped(image, boxes, *corner)


def cropped(image: np.ndarray, boxes: Boxes, left: int, top: int) -> tuple[np.ndarray, Boxes]:
    """A part of a field, with what is left of its boxes."""
    width, height = CROP
    shown: Boxes = {kind: [] for kind in boxes}
    for kind, found in boxes.items():
        for a, b, c, d in found:
            box = max(a - left, 0), max(b - top, 0), min(c - left, width), min(d - top, height)
            area = max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
            if area >= LEFT * (c - a) * (d - b):
                shown[kind].append(box)
    return image[top : top + height, left : left + width], shown


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--method", choices=list(METHODS), default="fuzzy")
    parser.add_argument("--every", type=int, default=2)
    given = parser.parse_args()
    main(given.data, given.method, given.every)

"""Measure cell segmentation: fuzzy c-means, k-means and Otsu's thresholds, with all other steps equal.

    python -m benchmarks.cells ../shared/data

Parameters were chosen on even-numbered files of JTSC and BCCD; results are for odd-numbered files. Red-cell counts are
compared with benchmarks/data/bccd_red_cells.csv, a recount (see its README), and with a second reading of the same
fields. Results are written to benchmarks/results/cells.json.
"""

from __future__ import annotations

import csv
import json
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from leuko.cells.segmentation import METHODS, Segmentation, segment
from leuko.images.decode import decode
from leuko.images.synthetic import rendering

ROOT = Path(__file__).parents[1]
RECOUNT = ROOT / "benchmarks" / "data" / "bccd_red_cells.csv"
NO_PLATELETS = ("BloodImage_00133", "BloodImage_00135")  # in each one box of a platelet holds a neutrophil, looked at
NUCLEUS, CELL = 200, 64  # thresholds of the masks, whose edges are soft
CHANGES = {  # hue in degrees, saturation, brightness, size
    "hue −15°": (-15, 1, 1, 1),
    "hue +15°": (15, 1, 1, 1),
    "saturation × 0.6": (0, 0.6, 1, 1),
    "saturation × 1.4": (0, 1.4, 1, 1),
    "brightness × 0.8": (0, 1, 0.8, 1),
    "brightness × 1.2": (0, 1, 1.2, 1),
    "size × 0.5": (0, 1, 1, 0.5),
    "size × 3": (0, 1, 1, 3),
}
Boxes = dict[str, list[tuple[int, int, int, int]]]


def main(data: Path) -> None:
    results: dict = {"machine": "2 cores", "methods": {}}
    for method in METHODS:
        results["methods"][method] = {**single_cells(data, method), **fields(data, method)}
        print(method, json.dumps(results["methods"][method]), flush=True)
    results["changes"] = changes(data)
    print(json.dumps(results["changes"]), flush=True)
    results["synthetic"] = drawn()
    results["speed"] = speed(data)
    print(json.dumps({"synthetic": results["synthetic"], "speed": results["speed"]}), flush=True)
    (ROOT / "benchmarks" / "results" / "cells.json").write_text(json.dumps(results, indent=1) + "\n")


def single_cells(data: Path, method: str) -> dict[str, float]:
    """JTSC: Dice of the nucleus and IoU of the whole cell nearest to the middle, means over the odd files."""
    nuclei, cells = [], []
    for number in range(1, 301, 2):
        truth = cv2.imread(str(data / "jtsc" / f"{number:03d}.png"), cv2.IMREAD_GRAYSCALE)
        found = segment(decode(data / "jtsc" / f"{number:03d}.bmp"), method)
        middles = ndimage.center_of_mass(np.ones(truth.shape), found.white_cells, range(1, found.white_cells.max() + 1))
        away = [np.hypot(y - truth.shape[0] / 2, x - truth.shape[1] / 2) for y, x in middles]
        label = int(np.argmin(away)) + 1 if away else -1
        nuclei.append(dice(found.nuclei == label, truth > NUCLEUS))
        cells.append(iou(found.white_cells == label, truth > CELL))
    return {"jtsc nucleus Dice": mean(nuclei), "jtsc cell IoU": mean(cells)}


def fields(data: Path, method: str) -> dict[str, float]:
    """BCCD, odd files: masks, boxes, and, where there is a recount, the number of red cells."""
    recount = {line["image"]: (line["red_cells"], line["second"]) for line in csv.DictReader(RECOUNT.open())}
    nuclei, cells, off = [], [], []
    tally, wrongly = np.zeros(8, int), 0
    for file, image, truth, boxes in bccd(data, odd=True):
        found = segment(image, method)
        if (truth > CELL).any():
            nuclei.append(dice(found.nuclei > 0, truth > NUCLEUS))
            cells.append(iou(found.white_cells > 0, truth > CELL))
        counted = detected(found, boxes)
        tally += counted
        wrongly += max(counted[6] - (file.stem in NO_PLATELETS), 0)
        if file.stem in recount:
            readings = np.array(recount[file.stem], float)
            off.append(np.abs(found.red_cells.max() - readings) / readings)
    hits, true, all_found, cut, red_hits, red, taken, platelets = tally
    figures = {
        "bccd nucleus Dice": mean(nuclei),
        "bccd cell IoU": mean(cells),
        "bccd white cells F1": round(2 * hits / (true + all_found), 4),
        "bccd white cells F1, cut ones without a box aside": round(2 * hits / (true + all_found - cut), 4),
        "bccd boxed red cells found": round(red_hits / red, 4),
        "bccd platelets taken for white cells": round(taken / platelets, 4),
        "the same, two white cells boxed as platelets aside": round(wrongly / (platelets - len(NO_PLATELETS)), 4),
    }
    first, second = np.array(off).T
    return figures | {
        "bccd red cells, mean absolute error": mean(first),
        "bccd red cells, the same against a second reading": mean(second),
        "fields recounted": len(off),
    }


def changes(data: Path) -> dict[str, float]:
    """F1 of white cells of BCCD under other stains, light and scales; odd files."""
    some = list(bccd(data, odd=True))
    figures = {}
    for name, how in {"as it is": (0, 1, 1, 1), **CHANGES}.items():
        tally = np.zeros(8, int)
        for _, image, _, boxes in some:
            seen, shown = changed(image, boxes, *how)
            tally += detected(segment(seen), shown)
        figures[name] = round(2 * tally[0] / (tally[1] + tally[2]), 4)
    return figures


def changed(
    image: np.ndarray, boxes: Boxes, hue: float, saturation: float, brightness: float, size: float
) -> tuple[np.ndarray, Boxes]:
    """A field, and its boxes, with its hue turned, in degrees, and saturation, brightness (HSV) and size multiplied."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv = np.stack([(hsv[..., 0] + hue / 2) % 180, hsv[..., 1] * saturation, hsv[..., 2] * brightness], axis=-1)
    seen = cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    way = cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC
    seen = cv2.resize(seen, None, fx=size, fy=size, interpolation=way)
    return seen, {kind: [tuple(size * v for v in box) for box in found] for kind, found in boxes.items()}


def drawn(fields: int = 200) -> dict[str, float]:
    """Counts in drawn fields of every stain and many scales, with and without white cells; seeds from 5000."""
    wrong, counts = 0, []
    rng = np.random.default_rng(5000)
    for seed in range(5000, 5000 + fields):
        names = rng.choice(["blast", "lymphocyte", "neutrophil", "monocyte"], rng.integers(0, 5))
        wanted = {str(name): int((names == name).sum()) for name in names}
        stain, um = str(rng.choice(list(rendering.STAINS))), float(rng.uniform(0.1, 0.35))
        smear = rendering.render(seed, um_per_px=um, stain=stain, white_cells=wanted)
        found = segment(smear.image)
        wrong += abs(int(found.white_cells.max()) - len(names))
        areas = np.bincount(smear.red_cells.ravel())[1:]
        visible = (areas >= 0.15 * np.median(areas)).sum()  # smaller slivers at the border are no cells to either
        counts.append((int(found.red_cells.max()), int(visible)))
    ours, true = np.array(counts).T
    return {
        "white cells miscounted": wrong,
        "red cells, all fields together": round(float(ours.sum() / true.sum() - 1), 4),
        "red cells, mean absolute error of a field": mean(np.abs(ours / true - 1)),
    }


def speed(data: Path) -> dict[str, float]:
    """Median seconds of ten runs, and the peak memory in MB of a process that does nothing else."""
    small = decode(sorted((data / "bccd" / "JPEGImages").iterdir())[0])
    large = rendering.render(
        1, width=2592, height=1944, um_per_px=0.07, white_cells={"blast": 20, "lymphocyte": 20, "neutrophil": 20}
    ).image
    figures = {}
    for name, image in (("640 × 480", small), ("2592 × 1944", large)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            seconds, peak = fresh.submit(_timed, image).result()
        figures |= {f"{name}, s": seconds, f"{name}, peak MB": peak}
    return figures


def _timed(image: np.ndarray) -> tuple[float, int]:
    times = []
    for _ in range(10):
        start = time.perf_counter()
        segment(image)
        times.append(time.perf_counter() - start)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(float(np.median(times)), 3), int(status["VmHWM"].split()[0]) // 1024


def bccd(data: Path, odd: bool) -> Iterator[tuple[Path, np.ndarray, np.ndarray, Boxes]]:
    for file in sorted((data / "bccd" / "JPEGImages").glob("*.jpg")):
        number = int(file.stem[-5:])
        mask = data / "bccd" / "wbc_masks" / f"BloodImage_Mask_{number:05d}.png"
        if number % 2 == odd and mask.exists():
            boxes: Boxes = {"WBC": [], "RBC": [], "Platelets": []}
            for thing in ET.parse(data / "bccd" / "Annotations" / f"{file.stem}.xml").findall("object"):
                sides = [int(float(thing.findtext(f"bndbox/{side}"))) for side in ("xmin", "ymin", "xmax", "ymax")]
                boxes[thing.findtext("name")].append(tuple(sides))
            yield file, decode(file), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), boxes


def detected(found: Segmentation, boxes: Boxes) -> np.ndarray:
    """White cells hit, boxed, found, found without a box but cut by the border; red cells hit, boxed; platelets taken
    for white cells, boxed."""
    height, width = found.white_cells.shape
    ours = [
        (columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in ndimage.find_objects(found.white_cells)
    ]
    free = set(range(len(ours)))
    for box in boxes["WBC"]:
        best = max(free, key=lambda i: box_iou(ours[i], box), default=None)
        if best is not None and box_iou(ours[best], box) >= 0.5:
            free.remove(best)
    cut = sum(ours[i][0] == 0 or ours[i][1] == 0 or ours[i][2] == width or ours[i][3] == height for i in free)
    middles = [(int((y0 + y1) / 2), int((x0 + x1) / 2)) for x0, y0, x1, y1 in boxes["RBC"]]
    red = sum(found.red_cells[min(y, height - 1), min(x, width - 1)] > 0 for y, x in middles)
    taken = sum(any(box_iou(ours[i], box) >= 0.5 for i in free) for box in boxes["Platelets"])
    hits = len(ours) - len(free)
    return np.array([hits, len(boxes["WBC"]), len(ours), cut, red, len(boxes["RBC"]), taken, len(boxes["Platelets"])])


def box_iou(one: tuple, other: tuple) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / max(one.sum() + other.sum(), 1)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / max((one | other).sum(), 1)


def mean(values: list[float] | np.ndarray) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Drawn cases of overlapping fields: cells counted twice or missed, and whether the interval holds the slide's share.

    python -m benchmarks.case [--cases 200] [--fields FOLDER]

Every case is a drawn slide in a stain of its own, of which 20 fields are cut out in a grid; neighbours overlap by 10 to
40 %. The slide's share of blasts is random; each cell is a blast with that probability. With `--fields`, the time of a
case of the first 60 images of a folder is measured, too.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np

import leuko
from leuko.cases.case import Case
from leuko.cases.field_record import FieldRecord
from leuko.cases.registration import Structure
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.images.synthetic.stains import random_stain
from leuko.inference.classifier import Classifier
from leuko.stats.proportions import clopper_pearson_interval
from leuko.system.threads import in_order

ROWS, COLUMNS = 4, 5
WIDTH, HEIGHT = 448, 336  # px, of a field
CELLS = 60  # white cells of a slide
SHARES = (0, 0.05, 0.2, 0.5, 0.8, 0.95)  # of blasts
OTHERS = {"lymphocyte": 0.4, "neutrophil": 0.45, "monocyte": 0.1, "eosinophil": 0.05}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Drawn cases of overlapping fields")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--fields", type=Path)
    arguments = parser.parse_args()
    classifier = leuko.load()
    found = [drawn_case(classifier, seed) for seed in range(arguments.cases)]
    read = [case for case in found if case[1]]
    true, counted, twice, inside, wrong = map(np.array, zip(*read, strict=True))
    report = {
        "cases": len(found),
        "cases of which no field could be counted": len(found) - len(read),
        "cells of the slides, counted": [int(true.sum()), int(counted.sum())],
        "error of the pooled count, all other cases together": float(counted.sum() / true.sum() - 1),
        "mean error of a case": float(np.abs(counted / true - 1).mean()),
        "cells counted twice": clopper_pearson_interval(float(twice.sum() / true.sum()), int(true.sum())),
        "pairs of fields with a wrong overlap": int(wrong.sum()),
        "interval holds the slide's share of blasts": clopper_pearson_interval(float(inside.mean()), len(inside)),
    }
    if arguments.fields:
        report["60 fields"] = timed(classifier, arguments.fields)
    print(json.dumps(report, indent=1))


def drawn_case(classifier: Classifier, seed: int) -> tuple[int, int, int, bool, int]:
    """One case: true and counted cells, cells counted twice, whether the interval holds, and wrong overlaps."""
    rng = np.random.default_rng([seed, 28])
    overlap = rng.uniform(0.1, 0.4)
    step_x, step_y = round(WIDTH * (1 - overlap)), round(HEIGHT * (1 - overlap))
    share = float(rng.choice(SHARES))
    blasts = int(rng.binomial(CELLS, share))
    others = rng.multinomial(CELLS - blasts, list(OTHERS.values()))
    cells = {"blast": blasts} | dict(zip(OTHERS, map(int, others), strict=True))
    smear = rendering.render(
        700_000 + seed,
        width=step_x * (COLUMNS - 1) + WIDTH, height=step_y * (ROWS - 1) + HEIGHT,
        um_per_px=float(rng.uniform(0.16, 0.3)), stain=random_stain(rng), blur_um=0.25, variety=0.6, cut=False,
        white_cells={kind: count for kind, count in cells.items() if count},
    )  # fmt: skip
    places = [(step_x * column, step_y * row) for row in range(ROWS) for column in range(COLUMNS)]
    records, structures = [], []
    for number, (x, y) in enumerate(places):
        image = np.ascontiguousarray(smear.image[y : y + HEIGHT, x : x + WIDTH])
        records.append(FieldRecord.of(str(number), image, classifier.analyse(image)))
        structures.append(Structure.of(image))
    case = Case.of(records, structures, "marrow", classifier.model.metadata.operating_point)
    ids = []
    for each in case.cells:
        x, y = np.add(places[each.field], (each.cell.x, each.cell.y)).round().astype(int)
        ids.append(int(smear.white_cells[min(y, len(smear.white_cells) - 1), min(x, smear.white_cells.shape[1] - 1)]))
    on_cells = [label for label in ids if label]
    low, high = case.blast_share.interval
    wrong = sum(
        not np.allclose(np.subtract(places[each.second], places[each.first]), (each.shift.x, each.shift.y), atol=12)
        for each in case.overlaps
    )
    return (
        int(smear.white_cells.max()), case.blast_share.nucleated, len(on_cells) - len(set(on_cells)),
        low <= share <= high, wrong,
    )  # fmt: skip


def timed(classifier: Classifier, folder: Path) -> dict[str, float]:
    """Seconds of a case of 60 images."""
    files = list(islice(sorted(folder.iterdir()), 60))
    start = time.perf_counter()

    def read(file: Path) -> tuple[FieldRecord, Structure]:
        image = decode(file)
        return FieldRecord.of(file.name, image, classifier.analyse(image)), Structure.of(image)

    records, structures = zip(*in_order(read, files), strict=True)
    case = Case.of(records, structures, "blood", classifier.model.metadata.operating_point)
    case.as_json()
    return {"fields": len(files), "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    main()

"""Write the lists of cells that the shipped network of kinds is trained on.

    python -m scripts.kind_sources ../shared/data build/kinds

One list a laboratory, as `leuko train-kinds` reads them: PBC (single cells), BCCD and Raabin (even-numbered images,
whose kinds were read by eye, see `benchmarks/data/README.md`), and Aria (fields of leukaemia and benign ones, but none
of the test part of the embedded model's split). Each
class of Aria and PBC is cut into five blocks of consecutive files, which are its groups; between two blocks of Aria
some files are left out, because a patient's files lie close together.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from leuko.training.kinds.cells import BENIGN, MALIGNANT
from scripts.segmentation_sources import SPLIT, Row, write_lists

ROOT = Path(__file__).parents[1]
COLUMNS = "image", "label", "x", "y", "group"
BLOCKS, GUARD = 5, 10  # blocks a class; files left out on either side of a border between two
PBC = {
    "basophil": "basophil", "eosinophil": "eosinophil", "erythroblast": "erythroblast", "ig": "immature_granulocyte",
    "lymphocyte": "lymphocyte", "monocyte": "monocyte", "neutrophil": "neutrophil",
}  # fmt: skip


def main(data: Path, output: Path) -> None:
    lists = {
        "pbc": pbc(data / "pbc"),
        "bccd": read_by_eye("bccd_kinds.csv", data / "bccd" / "JPEGImages"),
        "raabin": read_by_eye("raabin_kinds.csv", data / "raabin" / "images"),
        "aria": aria(data / "aria"),
    }
    write_lists(output, COLUMNS, lists)


def pbc(folder: Path) -> Iterable[Row]:
    for name, kind in PBC.items():
        files = sorted((folder / name).glob("*.jpg"))
        for i, image in enumerate(files):
            yield {"image": image, "label": kind, "group": f"{kind}-{block(i, len(files))}"}


def read_by_eye(kinds: str, folder: Path) -> Iterable[Row]:
    with (ROOT / "benchmarks" / "data" / kinds).open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if int(Path(row["image"]).stem[-3:]) % 2 == 0:
            yield {"image": folder / row["image"], "label": row["kind"], "x": row["x"], "y": row["y"]}


def aria(folder: Path) -> Iterable[Row]:
    parts = {file: part for file, (part, _) in json.loads(SPLIT.read_text())["files"].items()}
    for name in ("Benign", "Early", "Pre", "Pro"):
        files = sorted((folder / name).glob("*.jpg"))
        length = len(files) / BLOCKS
        for i, image in enumerate(files):
            number = block(i, len(files))
            from_border = min(i - number * length if number else GUARD, (number + 1) * length - i)
            far = from_border >= GUARD or (number == BLOCKS - 1 and i - number * length >= GUARD)
            if far and parts.get(f"{name}/{image.name}") != "test":
                label = BENIGN if name == "Benign" else MALIGNANT
                yield {"image": image, "label": label, "group": f"{name}-{number}"}


def block(index: int, count: int) -> int:
    """The block of a file, by its place in the order of names, from 0."""
    return index * BLOCKS // count


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

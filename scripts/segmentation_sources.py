"""Write the lists of images that the shipped segmentation network is trained on.

    python -m scripts.segmentation_sources ../shared/data build/segmentation

One list a laboratory, as `leuko train-segmenter` reads them: BCCD (masks and boxes, even-numbered files), Raabin
(boxes, even-numbered files), Chula (fields without white cells), PBC (single cells), and Aria (only images of the
training part of the embedded model's split), of these three every second file. The other files measure.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPLIT = ROOT / "leuko" / "networks" / "embedded" / "evaluation" / "split.json"
COLUMNS = "image", "mask", "boxes", "white_cells", "red_boxes"
# Of Chula; nucleated cells were seen in them, in the last one at the border.
WITH_WHITE_CELLS = "97.jpg", "402.jpg", "551.jpg", "Megaloblastic_anemia_Megaloblastic_anemia_1.JPG"
NO_WHITE_CELL = "platelet"  # the kind of PBC that has none in the middle


def main(data: Path, output: Path) -> None:
    lists = {
        "bccd": bccd(data / "bccd"),
        "raabin": raabin(data / "raabin"),
        "chula": chula(data / "chula"),
        "pbc": pbc(data / "pbc"),
        "aria": aria(data / "aria"),
    }
    write_lists(output, COLUMNS, lists)


def write_lists(output: Path, columns: Sequence[str], lists: Mapping[str, Iterable[Row]]) -> None:
    """Write `NAME.csv` for each list; paths become relative to the folder."""
    output.mkdir(parents=True, exist_ok=True)
    for name, rows in lists.items():
        with (output / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            for row in rows:
                writer.writerow(
                    {
                        column: os.path.relpath(value, output) if isinstance(value, Path) else value
                        for column, value in row.items()
                    }
                )


Row = dict[str, Path | str]


def bccd(folder: Path) -> Iterable[Row]:
    for image in sorted((folder / "JPEGImages").glob("*.jpg")):
        number = int(image.stem[-5:])
        mask = folder / "wbc_masks" / f"BloodImage_Mask_{number:05d}.png"
        if number % 2 == 0 and mask.is_file():
            yield {"image": image, "mask": mask, "boxes": folder / "Annotations" / f"{image.stem}.xml"}


def raabin(folder: Path) -> Iterable[Row]:
    for image in sorted((folder / "images").glob("*.jpg")):
        if int(image.stem) % 2 == 0:
            yield {"image": image, "boxes": folder / "boxes" / f"{image.stem}.txt", "red_boxes": "all"}


def chula(folder: Path) -> Iterable[Row]:
    for part in ("fields", "anaemia"):
        for image in sorted((folder / part).glob("*.[jJ]*"))[::2]:
            if image.name not in WITH_WHITE_CELLS:
                yield {"image": image, "white_cells": "none"}


def pbc(folder: Path) -> Iterable[Row]:
    for kind in sorted(folder.iterdir()):
        for image in sorted(kind.glob("*.jpg"))[::2]:
            yield {"image": image, "white_cells": "platelet" if kind.name == NO_WHITE_CELL else "middle"}


def aria(folder: Path) -> Iterable[Row]:
    files = json.loads(SPLIT.read_text())["files"]
    for name in [name for name, (part, _) in files.items() if part == "train"][::2]:
        yield {"image": folder / name}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

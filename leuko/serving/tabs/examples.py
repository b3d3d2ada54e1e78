"""The examples on the page: images that this project draws, and real ones that the owner of a Space adds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.images.synthetic import rendering
from leuko.serving.tabs import data_urls
from leuko.serving.tabs.rendering import render

FOLDER = Path(__file__).parents[3] / "examples"  # beside app.py
MAX_ADDED = 8  # images of the owner, so that they do not push the page down
_THUMBNAIL_SIDE = 120  # px

_FIELD = {"width": 640, "height": 480, "um_per_px": 0.12}
_SMALL = {"width": 224, "height": 224, "um_per_px": 0.42, "blur_um": 0.3}
# By file name: the caption, and how `leuko.images.synthetic.rendering.render` draws it.
DRAWN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "many-blasts.png": (
        "A field full of blasts",
        {**_SMALL, "seed": 3, "stain": "blue", "white_cells": {"blast": 10}, "touching": 0.4, "rouleaux": 0.4},
    ),
    "healthy-blood.png": (
        "A field of healthy blood",
        {**_FIELD, "um_per_px": 0.2, "seed": 5, "white_cells": {"neutrophil": 7, "lymphocyte": 2, "monocyte": 1}},
    ),
    "mixed-cells.png": (
        "A field of mixed cells",
        {**_FIELD, "seed": 11, "white_cells": {"blast": 1, "lymphocyte": 3, "neutrophil": 2, "monocyte": 1}},
    ),
    "one-cell.png": (
        "A single cell",
        {"width": 240, "height": 240, "um_per_px": 0.1, "seed": 2, "white_cells": {"blast": 1}, "platelets": 1},
    ),
    "out-of-focus.png": (
        "Pale and out of focus",
        {**_FIELD, "seed": 8, "stain": "pink", "white_cells": {"blast": 3}, "red_cover": 0.3, "blur_um": 1.6},
    ),
}


@dataclass(frozen=True)
class Example:
    """An image to try.

    Attributes:
        path: of the file.
        caption: what it shows.
        source: where it comes from, as shown to visitors.
    """

    path: Path
    caption: str
    source: str

    @cached_property
    def thumbnail(self) -> str:
        """Its middle as a small square, as a `data:` address.

        Raises:
            leuko.images.decode.ImageError: the file cannot be read.
        """
        image = decode(self.path)
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        square = Image.fromarray(image[top : top + side, left : left + side])
        thumbnail = square.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        return data_urls.jpeg(np.asarray(thumbnail))


def gather(folder: Path = FOLDER) -> dict[str, Example]:
    """All examples by file name: the drawn ones, then those of a folder, if it exists.

    An image of the folder is shown only if a text file of the same stem (`blasts.jpg`, `blasts.txt`) says in one line
    what it is, where it comes from and under which licence. `smear.png`, which the README's commands use, has none: it
    is drawn like the examples here, and is not shown a second time.
    """
    drawn_folder = Path(tempfile.mkdtemp(prefix="leuko-examples-"))
    examples = {}
    for name, (caption, options) in DRAWN.items():
        image = Image.fromarray(rendering.render(**options).image)
        image.save(drawn_folder / name, compress_level=1)  # higher levels take a third of the time of drawing
        examples[name] = Example(drawn_folder / name, caption, "drawn")
        _ = examples[name].thumbnail  # made now, in the process that draws
    for file in sorted(folder.iterdir() if folder.is_dir() else ()):
        source = file.with_suffix(".txt")
        if file.suffix.lower() not in SUFFIXES or not source.is_file() or len(examples) >= len(DRAWN) + MAX_ADDED:
            continue
        caption = file.stem.replace("-", " ").replace("_", " ")
        example = Example(file, caption, source.read_text("utf-8").strip())
        try:
            _ = example.thumbnail
        except ImageError:
            continue
        examples[file.name] = example
    return examples


def gallery(examples: Mapping[str, Example]) -> str:
    """A button for each example."""
    return render("examples", examples=examples, side=_THUMBNAIL_SIDE)


# Tells the server which example was chosen.
SCRIPT = """
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-example]");
  if (chosen) trigger("select", {name: chosen.dataset.example});
});
"""

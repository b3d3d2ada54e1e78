"""The examples of the page: drawn by this project, and real ones that the owner of a Space has put beside the app."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from leuko.images import synthetic
from leuko.images.decode import SUFFIXES, ImageError, decode
from leuko.serving.tabs import data_urls

FOLDER = Path(__file__).parents[3] / "examples"
MOST = 8  # of the owner's
_THUMB = 120  # px

_FIELD = {"width": 640, "height": 480, "um_per_px": 0.12}
_SMALL = {"width": 224, "height": 224, "um_per_px": 0.42, "blur_um": 0.3}
DRAWN: Mapping[str, tuple[str, dict]] = {
    "many-blasts.png": (
        "A field full of blasts",
        {**_SMALL, "seed": 3, "stain": "blue", "white_cells": {"blast": 10}, "touching": 0.4, "rouleaux": 0.4},
    ),
    "healthy-blood.png": (
        "A field of healthy blood",
        {**_FIELD, "um_per_px": 0.2, "seed": 5, "white_cells": {"neutrophil": 4, "lymphocyte": 1, "monocyte": 1}},
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
        source: where it comes from, for whoever looks at it.
    """

    path: Path
    caption: str
    source: str

    @cached_property
    def thumbnail(self) -> str:
        """A small square of it as a `data:` address.

        Raises:
            leuko.images.decode.ImageError: the file cannot be used.
        """
        image = decode(self.path)
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        square = Image.fromarray(image[top : top + side, left : left + side])
        return data_urls.jpeg(np.asarray(square.resize((_THUMB, _THUMB), Image.Resampling.LANCZOS)))


def gather(folder: Path = FOLDER) -> dict[str, Example]:
    """All examples by the names of their files: the drawn ones, and those of a folder if it exists.

    An image of the folder is taken if a text file of the same name says in one line what it is, where it comes from and
    on what terms (`blasts.jpg`, `blasts.txt`): no image is shown to the public without that.
    """
    place = Path(tempfile.mkdtemp(prefix="leuko-examples-"))
    examples = {}
    for name, (caption, how) in DRAWN.items():
        drawn = Image.fromarray(synthetic.render(**how).image)
        drawn.save(place / name, compress_level=1)  # packing it tightly would take a third of the time
        examples[name] = Example(place / name, caption, "drawn")
        _ = examples[name].thumbnail  # made where there is time for it
    for file in sorted(folder.iterdir() if folder.is_dir() else ()):
        told = file.with_suffix(".txt")
        if file.suffix.lower() not in SUFFIXES or not told.is_file() or len(examples) >= len(DRAWN) + MOST:
            continue
        example = Example(file, file.stem.replace("-", " ").replace("_", " "), told.read_text("utf-8").strip())
        try:
            _ = example.thumbnail
        except ImageError:
            continue
        examples[file.name] = example
    return examples


def gallery(examples: Mapping[str, Example]) -> str:
    """A button for each example."""
    buttons = "".join(
        f'<li><button type="button" data-example="{html.escape(name)}"><img src="{example.thumbnail}" alt="" '
        f'width="{_THUMB}" height="{_THUMB}"><span>{html.escape(example.caption)}</span>'
        f"<small>{html.escape(example.source)}</small></button></li>"
        for name, example in examples.items()
    )
    return f'<h2 class="small">Or try an example</h2><ul class="examples">{buttons}</ul>'


# Tells the server which example was chosen.
JS = """
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-example]");
  if (chosen) trigger("select", {name: chosen.dataset.example});
});
"""

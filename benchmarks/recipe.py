"""The training recipe of the embedded model, which was fixed before its test part was used.

It was chosen without the test part, by cross-validation by group within the training and validation parts (split seed
0): on unchanged images, on images in the colours of three other laboratories, and on images with every corruption of
`leuko.evaluation.corruptions` at medium strength.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from leuko.data.image_table import ImageTable
from leuko.data.load import load
from leuko.data.splitting.split import Split
from leuko.networks.model_folder import EMBEDDED
from leuko.training.settings import Settings

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = {  # options of train.py, and names of `Settings`
    "backbone": "efficientnet_lite0",
    "weights": "build/efficientnet_lite0.safetensors",
    "finetune": "full",
    "augment": "mixed",
    "normalise_stain": "reinhard",
    "normalise_images": "foreign",
    "epochs": 9,
    "lr": 1e-3,
}


def options() -> list[str]:
    """The recipe as options of train.py."""
    return [word for name, value in RECIPE.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def settings(data: str, output: Path, seed: int) -> Settings:
    """The recipe as one run."""
    return Settings(dataset=(data,), output=output, seed=seed, **RECIPE | {"weights": str(ROOT / RECIPE["weights"])})


def learnt(data: Path) -> tuple[ImageTable, Split]:
    """The images that cleaning left for the embedded model, and the split it was trained by."""
    file = EMBEDDED / "evaluation" / "split.json"
    known = json.loads(file.read_text(encoding="utf-8"))["files"]
    rows = load(str(data / "aria"))["train"]
    rows = rows.select([row for row, name in enumerate(rows.files) if name in known])
    return rows, Split.load(file, rows.files)

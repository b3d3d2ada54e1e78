"""The recipe of the embedded default, frozen before its test part was opened.

Chosen on the validation part alone (split seed 0, 273 images): as it is, in the colours of three other laboratories by
two methods, and under every corruption of `leuko.evaluation.changes` at middle strength.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leuko.training.settings import Settings

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = {  # options of train.py, and names of `Settings`
    "backbone": "efficientnet_lite0",
    "weights": "build/efficientnet_lite0.safetensors",
    "finetune": "full",
    "augment": "stain",
    "normalise_stain": "reinhard",
    "epochs": 8,
}


def options() -> list[str]:
    """The recipe as options of train.py."""
    return [word for name, value in RECIPE.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def settings(data: str, output: Path, seed: int) -> Settings:
    """The recipe as one run."""
    return Settings(dataset=(data,), output=output, seed=seed, **RECIPE | {"weights": str(ROOT / RECIPE["weights"])})

"""Names of the files in a model folder, and their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

CONFIG, WEIGHTS, LEUKO, ONNX = "config.json", "model.safetensors", "leuko.json", "onnx/model.onnx"
TRUNK = "onnx/trunk.onnx"  # of a classifier on the features of a network: that network
RESULTS = ".eval_results/test.yaml"
CLASSICAL = "classical"  # the `kind` in `leuko.json` of a classifier that is no network; a network's has none

EMBEDDED = Path(__file__).parents[1] / "embedded"  # the default model
GENERAL = Path(__file__).parents[1] / "general"  # trunks that were trained on no smears, a folder for each backbone


def digest(file: Path) -> str:
    """The SHA-256 of a file, as `leuko.json` contains it."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()

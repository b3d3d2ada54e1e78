"""See `benchmarks.elsewhere`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.elsewhere.fit import fit
from benchmarks.elsewhere.images import Data
from benchmarks.elsewhere.measure import measure
from benchmarks.recipe import learnt
from leuko.networks import model_folder
from leuko.training.finalize import SCALE_IMAGES, scale_of

RESULTS = Path(__file__).parents[1] / "results" / "elsewhere.json"


def add_scale(data: Path, model: Path) -> None:
    """Write into a model folder what `train.py` writes of the scale; for models trained before it did."""
    rows, split = learnt(data)
    size = model_folder.load(model).preprocessing.size
    seed = json.loads((model / model_folder.LEUKO).read_text())["training"]["seed"]
    some = np.random.default_rng(seed).permutation(split.train)[:SCALE_IMAGES]
    scale = scale_of((rows.open_image(row) for row in some), size)
    stored = json.loads((model / model_folder.LEUKO).read_text())
    ood_detector = stored.pop("familiarity")
    stored |= {"scale": scale and asdict(scale), "familiarity": ood_detector}
    (model / model_folder.LEUKO).write_text(json.dumps(stored, indent=1) + "\n")
    print(f"{model}: {scale}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["fit", "scale", "measure"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, help="folder of leuko train-kinds")
    parser.add_argument("--model", type=Path, default=model_folder.EMBEDDED)
    given = parser.parse_args()
    if given.what == "scale":
        add_scale(given.data, given.model)
        return
    if given.run is None:
        parser.error("fit and measure need --run, the folder of leuko train-kinds")
    data = Data(given.data, given.run)
    if given.what == "fit":
        fit(data)
    else:
        RESULTS.write_text(json.dumps(measure(data, given.model), indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What each option of training is worth: `train.py` with one option changed at a time.

    python -m benchmarks.training_options ../shared/data

Trains on images of Aria's training part, and measures macro-F1 on its validation part: as it is, and after the colours
were matched to those of three other laboratories (BCCD, PBC, JTSC), by Reinhard's method (the mean of CIELAB) and by
Macenko's (the dyes). The test part stays closed. Rows that are there already are kept, so that it can be interrupted.
The results go to benchmarks/results/training_options.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from transformers import set_seed

from leuko.data.load import load, open_image
from leuko.evaluation import metrics
from leuko.evaluation.audit import colour_baseline
from leuko.images.decode import decode
from leuko.images.stain import Look, colour_statistics, match_dyes, match_stain
from leuko.models.backbones import Network, create
from leuko.models.preprocessing import Preprocessing, to_input
from leuko.training.fit import preprocessing
from leuko.training.optimise import optimise
from leuko.training.settings import Settings
from leuko.training.task import Task, prepare

ROOT = Path(__file__).parents[1]
ROWS = {
    "light augmentation (the default)": {},
    "no augmentation": {"augment": "none"},
    "stain augmentation": {"augment": "stain"},
    "light, Reinhard normalisation": {"normalise_stain": "reinhard"},
    "light, Macenko normalisation": {"normalise_stain": "macenko"},
    "stain augmentation, Reinhard": {"augment": "stain", "normalise_stain": "reinhard"},
    "stain augmentation, Macenko": {"augment": "stain", "normalise_stain": "macenko"},
    "mixed augmentation, Reinhard for foreign images": {
        "augment": "mixed",
        "normalise_stain": "reinhard",
        "normalise_images": "foreign",
    },
    "focal loss": {"loss": "focal"},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "step schedule": {"schedule": "step"},
    "inputs 0 to 1": {"input_scale": "unit"},
    "inputs -1 to 1": {"input_scale": "symmetric"},
    "no dropout": {"dropout": 0.0},
    "batch of 8, batch norm at rest": {"batch_size": 8},
}
FOREIGN = {"bccd": "bccd/JPEGImages/*.jpg", "pbc": "pbc/*/*.jpg", "jtsc": "jtsc/*.bmp"}
REFERENCES = 30  # images of a laboratory that make its look
Views = dict[str, list[np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="the folder of aria, bccd, pbc and jtsc")
    parser.add_argument("--images", type=int, default=400, help="to train on")
    parser.add_argument("--validation", type=int, default=160, help="images to measure on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=len(ROWS), help="how many rows, from the top")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "training_options.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(as_markdown(measure(given, scratch)))


def measure(given: argparse.Namespace, scratch: str) -> dict:
    """All rows that were asked for, kept as they come."""
    base = Settings(
        dataset=(str(given.data / "aria"),),
        output=Path(scratch) / "model",
        backbone="efficientnet_lite0",
        weights=str(ROOT / "build" / "efficientnet_lite0.safetensors"),
        epochs=given.epochs,
        image_size=given.image_size,
        seed=given.seed,
        clean=False,
    )
    task = some_of(prepare(load(base.dataset), base, print), given.images, given.validation, given.seed)
    views = views_of(task, given.data)
    asked = {"images": len(task.learning), "validation": len(task.split.validation)}
    asked |= {"epochs": given.epochs, "image_size": given.image_size, "seed": given.seed}
    results = {"asked": asked, "colour_baseline": baseline(task, views), "rows": {}}
    if given.results.exists() and (found := json.loads(given.results.read_text()))["asked"] == asked:
        results = found
    for name in list(ROWS)[: given.rows]:
        if name not in results["rows"]:
            started = time.time()
            measured = run(replace(base, **ROWS[name]), task, views)
            results["rows"][name] = measured | {"seconds": round(time.time() - started)}
            given.results.write_text(json.dumps(results, indent=1) + "\n")
    return results


def some_of(task: Task, images: int, validation: int, seed: int) -> Task:
    """The task with fewer images, the same for every row."""
    rng = np.random.default_rng(seed)
    train, held = (rng.permutation(part) for part in (task.split.train, task.split.validation))
    split = replace(task.split, train=np.sort(train[:images]), validation=np.sort(held[:validation]))
    return replace(task, split=split, learning=split.train)


def views_of(task: Task, data: Path) -> Views:
    """The validation images as they are and in the colours of other laboratories, by two methods."""
    images = [open_image(image) for image in task.rows.select(task.split.validation)["image"]]
    views = {"as it is": images}
    for name, pattern in FOREIGN.items():
        files = sorted(data.glob(pattern))
        look = Look.typical([Look.of(decode(file)) for file in files[:: max(1, len(files) // REFERENCES)]])
        views[f"{name}, Reinhard"] = [match_stain(image, look) for image in images]
        views[f"{name}, Macenko"] = [match_dyes(image, look) for image in images]
    return views


def baseline(task: Task, views: Views) -> dict[str, float]:
    """Macro-F1 of nearest neighbours on colour statistics, which learnt from the training images as they are."""
    learnt, truth = task.colours[task.split.train], task.truth
    return {
        name: colour_baseline(
            learnt,
            truth[task.split.train],
            np.stack([colour_statistics(image) for image in images]),
            truth[task.split.validation],
        )["f1"]
        for name, images in views.items()
    }


def run(settings: Settings, task: Task, views: Views) -> dict[str, dict[str, float]]:
    """Macro-F1 with its interval on every view of the validation images, after training."""
    set_seed(settings.seed)
    network = create(settings.backbone, len(task.labels), weights=settings.weights, dropout=settings.dropout)
    network.freeze(settings.finetune)
    how = preprocessing(network, task, settings)
    optimise(network, task, how, settings, print)
    truth = task.truth[task.split.validation]
    return {
        name: metrics.evaluate(answers(network, images, how), truth, task.labels, task.positive, 0.5)["f1"]
        for name, images in views.items()
    }


@torch.no_grad()
def answers(network: Network, images: list[np.ndarray], how: Preprocessing, batch: int = 32) -> np.ndarray:
    """Probabilities, images × classes."""
    network.eval()
    logits = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([to_input(image, how) for image in images[start : start + batch]]))
        logits.append(network(pixels.contiguous(memory_format=torch.channels_last)).double().numpy())
    return softmax(np.concatenate(logits), axis=1)


def as_markdown(results: dict) -> str:
    names = list(results["colour_baseline"])
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, measured in results["rows"].items():
        cells = [f"{m['value']:.3f} ({m['low']:.3f} to {m['high']:.3f})" for m in (measured[name] for name in names)]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    cells = [f"{value:.3f}" for value in results["colour_baseline"].values()]
    return "\n".join([*lines, "| nearest neighbours on colour statistics | " + " | ".join(cells) + " |"])


if __name__ == "__main__":
    main()

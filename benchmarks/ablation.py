"""What each part of the recipe is worth: one thing switched off or on at a time, all on the same grouped splits.

    python -m benchmarks.ablation ../shared/data/aria

Augmentation, stain normalisation, segmentation as input (everything but white cells blanked) and balancing, each on
and off, after the ablation of the paper "Deep Leuko". What is measured is the validation part of each split, in blocks
of files that belong together and that no step was trained on; its loss chooses the epoch, in all rows alike. No test
part is opened. Rows that are there already are kept, so that it can be interrupted. The results go to
benchmarks/results/ablation.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image
from scipy.special import softmax
from transformers import set_seed

from benchmarks.training_options import some_of
from leuko.cells.segmentation import segment
from leuko.data import balance
from leuko.data.load import load, open_image
from leuko.evaluation.audit import in_short, mean_interval, neighbours
from leuko.evaluation.changes import GLASS
from leuko.evaluation.predict import predict
from leuko.evaluation.words import in_full
from leuko.images.stain import colour_statistics
from leuko.models.backbones import create
from leuko.training.finish import refit_last_layer
from leuko.training.fit import preprocessing
from leuko.training.optimise import optimise
from leuko.training.settings import Settings
from leuko.training.task import Task, prepare

ROOT = Path(__file__).parents[1]
CELLS = "cells alone"
ROWS: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "without augmentation": {"augment": "none"},
    "with stain augmentation": {"augment": "stain"},
    "with stain normalisation": {"normalise_stain": "reinhard"},
    "with cells alone as input": {CELLS: True},
    "balanced by weights": {"balance": "weights"},
    "balanced by SMOTE": {"balance": "smote"},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="the Aria images, one folder a class")
    parser.add_argument("--images", type=int, default=400, help="to train on (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=160, help="images to measure on (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--seeds", type=int, default=1, help="splits (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="how many rows, from the top")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "ablation.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(as_markdown(measure(given, Path(scratch))))


def measure(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """All rows that were asked for on all splits, kept as they come."""
    base = Settings(
        dataset=(given.data,),
        output=scratch / "model",
        backbone="efficientnet_lite0",
        weights=str(ROOT / "build" / "efficientnet_lite0.safetensors"),
        epochs=given.epochs,
        image_size=given.image_size,
        clean=False,
    )
    asked = {name: getattr(given, name) for name in ("images", "validation", "epochs", "image_size", "seeds")}
    results: dict[str, Any] = {"asked": asked, "rows": {}}
    if given.results.exists() and (found := json.loads(given.results.read_text()))["asked"] == asked:
        results = found
    for seed in range(given.seeds):
        settings = replace(base, seed=seed)
        task = some_of(prepare(load(settings.dataset), settings, print), given.images, given.validation, seed)
        blanked = None
        for name, change in list(ROWS.items())[: given.rows]:
            place = results["rows"].setdefault(name, {})
            if str(seed) in place:
                continue
            if change.get(CELLS):
                blanked = blanked or cells_alone(task, scratch / f"cells-{seed}")
            options = {option: value for option, value in change.items() if option != CELLS}
            place[str(seed)] = run(replace(settings, **options), blanked if change.get(CELLS) else task)
            given.results.write_text(json.dumps(results, indent=1) + "\n")
    return results


def cells_alone(task: Task, folder: Path) -> Task:
    """The same task on images in which all but white cells is one grey; they are written to `folder`."""
    folder.mkdir()
    used = np.concatenate([task.split.train, task.split.validation])
    paths = [row["path"] for row in task.rows["image"]]
    colours = task.colours.copy()
    for row in used:
        image = open_image(task.rows[int(row)]["image"])
        kept = np.where(segment(image).white_cells[..., None] > 0, image, np.uint8(GLASS))
        colours[row] = colour_statistics(kept)
        paths[row] = str(folder / f"{row}.png")
        Image.fromarray(kept).save(paths[row])
    content = {name: task.rows[name][:] for name in task.rows.column_names if name != "image"}
    rows = Dataset.from_dict(content | {"image": paths}, features=task.rows.features)
    return replace(task, rows=rows, colours=colours)


def run(settings: Settings, task: Task) -> dict[str, Any]:
    """Macro-F1 and accuracy on the validation images after training, beside the colour baseline on the same images."""
    started = time.time()
    set_seed(settings.seed)
    network = create(settings.backbone, len(task.labels), weights=settings.weights, dropout=settings.dropout)
    network.freeze(settings.finetune)
    how = preprocessing(network, task, settings)
    if settings.balance in ("over", "under"):
        chosen = balance.resample(task.truth[task.split.train], settings.balance, settings.seed)
        task = replace(task, learning=task.split.train[chosen])
    optimise(network, task, how, settings, print)
    if settings.balance == "smote":
        refit_last_layer(network, task, how, settings)
    network.eval()
    train, held = task.split.train, task.split.validation
    probabilities = softmax(predict(network, task.rows.select(held), how)[0], axis=1)
    answers = {
        "network": probabilities.argmax(axis=1),
        "colour_baseline": neighbours(task.colours[train], task.truth[train], task.colours[held]),
    }
    found = in_short(answers, task.truth[held], task.split.group[held])
    figures = {who: {name: value for name, value in each.items() if name != "lost"} for who, each in found.items()}
    return figures | {"seconds": round(time.time() - started)}


def as_markdown(results: dict[str, Any]) -> str:
    """One table; over several splits, means with intervals corrected for overlapping training sets."""
    asked = results["asked"]
    seen = f"{asked['images']} images to train on, {asked['validation']} to measure on"
    head = ["", "F1 (macro)", "accuracy", "colour statistics: F1 (macro)", "seconds"]
    lines = [
        f"Grouped splits: {asked['seeds']}; {seen}, {asked['epochs']} epochs at {asked['image_size']} px.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    share = asked["validation"] / asked["images"]
    for name, splits_of in results["rows"].items():
        cells = []
        for who, figure in (("network", "f1"), ("network", "accuracy"), ("colour_baseline", "f1")):
            each = [found[who][figure] for found in splits_of.values()]
            cells.append(in_full(each[0] if len(each) == 1 else mean_interval([f["value"] for f in each], share)))
        seconds = sum(found["seconds"] for found in splits_of.values())
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""What each part of training is worth: `train.py` with one thing changed at a time, all on the same grouped splits.

    python -m benchmarks.ablation ../shared/data

After the ablation of the paper "Deep Leuko": augmentation, normalisation, segmentation as input (everything but white
cells blanked) and balancing, each on and off; and the other options of training. Networks learn from images of Aria's
training part. Macro-F1 is measured on its validation part, in blocks of files that belong together: as they are, and in
the colours of three other laboratories (BCCD, PBC, JTSC), by Reinhard's method (the mean of CIELAB) and by Macenko's
(the dyes). The loss on the same part, as it is, chooses the epoch, in all rows alike. No test part is opened.

Rows that are there already are kept, so that it can be interrupted. The results go to benchmarks/results/ablation.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from sklearn.metrics import f1_score
from transformers import set_seed

from benchmarks import side_by_side
from benchmarks.recipe import RECIPE, ROOT
from leuko.cells.segmentation import segment
from leuko.data.load import load, open_image
from leuko.evaluation.audit import mean_interval, neighbours
from leuko.evaluation.changes import GLASS
from leuko.evaluation.words import in_full
from leuko.images.decode import decode
from leuko.images.stain import Look, colour_statistics, match_dyes, match_stain
from leuko.models.backbones import Network
from leuko.models.preprocessing import Preprocessing, to_input
from leuko.training.finish import refit_last_layer
from leuko.training.fit import network_of, preprocessing
from leuko.training.optimise import optimise
from leuko.training.settings import Settings
from leuko.training.task import Task, prepare

CELLS = "white cells alone as input"
ROWS: dict[str, dict[str, Any]] = {  # options of train.py, as names of `Settings`
    "train.py's defaults: light augmentation": {},
    "no augmentation": {"augment": "none"},
    "stain augmentation": {"augment": "stain"},
    "mixed augmentation": {"augment": "mixed"},
    "Reinhard normalisation": {"normalise_stain": "reinhard"},
    "Macenko normalisation": {"normalise_stain": "macenko"},
    "stain augmentation, Reinhard": {"augment": "stain", "normalise_stain": "reinhard"},
    "mixed augmentation, Reinhard for foreign images": {
        name: RECIPE[name] for name in ("augment", "normalise_stain", "normalise_images")
    },
    CELLS: {},
    "balanced by weights": {"balance": "weights"},
    "balanced by SMOTE": {"balance": "smote"},
    "focal loss": {"loss": "focal"},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "step schedule": {"schedule": "step"},
    "inputs 0 to 1": {"input_scale": "unit"},
    "inputs -1 to 1": {"input_scale": "symmetric"},
    "no dropout": {"dropout": 0.0},
    "8 images a step, batch norm at rest": {"batch_size": 8},
}
FOREIGN = {"bccd": "bccd/JPEGImages/*.jpg", "pbc": "pbc/*/*.jpg", "jtsc": "jtsc/*.bmp"}
METHODS: dict[str, Callable[[np.ndarray, Look], np.ndarray]] = {"Reinhard": match_stain, "Macenko": match_dyes}
REFERENCES = 30  # images of a laboratory that make its look
OWN = "own colours"
BASELINE = "nearest neighbours on colour statistics"
Views = dict[str, list[np.ndarray]]
Figures = dict[str, float]  # macro-F1 by view


@dataclass(frozen=True)
class Trial:
    """What all rows share: `images` to learn from, `validation` images to measure on, epochs, and size in pixels."""

    data: Path
    images: int
    validation: int
    epochs: int
    image_size: int


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="the folder of aria, bccd, pbc and jtsc")
    parser.add_argument("--images", type=int, default=400, help="to train on (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=160, help="images to measure on (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=160, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="grouped splits (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "ablation.json")
    given = vars(parser.parse_args())
    file, seeds = given.pop("results"), given.pop("seeds")
    trial = Trial(**given)
    asked = {name: value for name, value in given.items() if name != "data"}
    results = side_by_side.kept(file, asked) or {"asked": asked, "rows": {}}
    rows = results["rows"]
    jobs = {
        (name, str(seed)): partial(baseline, trial, seed) if name == BASELINE else partial(run, trial, seed, name)
        for seed, name in product(range(seeds), [BASELINE, *ROWS])
        if str(seed) not in rows.get(name, {})
    }

    def keep(job: tuple[str, str], figures: Figures) -> None:
        name, seed = job
        rows.setdefault(name, {})[seed] = figures
        side_by_side.write(file, results)

    side_by_side.work(jobs, keep)
    print(as_markdown(results))


def run(trial: Trial, seed: int, name: str) -> Figures:
    """Train a network with a row's options, and measure it on every view of the validation images."""
    task, views = material(trial, seed)
    with tempfile.TemporaryDirectory() as scratch:
        options = {"output": Path(scratch) / "model"} | ROWS[name]
        settings = replace(shared(trial, seed), **options)
        if name == CELLS:
            task = cells_alone(task, Path(scratch))
            views = {view: [white_cells(image) for image in images] for view, images in views.items()}
        set_seed(seed)
        network = network_of(settings, len(task.labels))
        how = preprocessing(network, task, settings)
        optimise(network, task, how, settings, print)
        if settings.balance == "smote":
            refit_last_layer(network, task, how, settings)
    return measured(views, task, lambda images: answers(network, images, how))


def baseline(trial: Trial, seed: int) -> Figures:
    """The same views as seen by what has learnt the colours of the training images, as they are, and nothing else."""
    task, views = material(trial, seed)
    learnt, labels = task.colours[task.split.train], task.truth[task.split.train]
    return measured(
        views,
        task,
        lambda images: neighbours(learnt, labels, np.stack([colour_statistics(image) for image in images])),
    )


def measured(views: Views, task: Task, answer: Callable[[list[np.ndarray]], np.ndarray]) -> Figures:
    """Macro-F1 in own colours, and the mean over the other laboratories' by each method."""
    truth = task.truth[task.split.validation]
    f1 = {view: float(f1_score(truth, answer(images), average="macro")) for view, images in views.items()}
    foreign = {method: float(np.mean([f1[f"{lab}, {method}"] for lab in FOREIGN])) for method in METHODS}
    return {OWN: f1[OWN]} | foreign


@cache
def material(trial: Trial, seed: int) -> tuple[Task, Views]:
    """The images of a split, and the validation images as they are and in the colours of other laboratories."""
    settings = shared(trial, seed)
    task = prepare(load(settings.dataset), settings, print)
    rng = np.random.default_rng(seed)
    train, held = (rng.permutation(part) for part in (task.split.train, task.split.validation))
    split = replace(task.split, train=np.sort(train[: trial.images]), validation=np.sort(held[: trial.validation]))
    images = [open_image(image) for image in task.rows.select(split.validation)["image"]]
    views = {OWN: images}
    for lab, pattern in FOREIGN.items():
        files = sorted(trial.data.glob(pattern))
        look = Look.typical([Look.of(decode(file)) for file in files[:: max(1, len(files) // REFERENCES)]])
        for method, match in METHODS.items():
            views[f"{lab}, {method}"] = [match(image, look) for image in images]
    return replace(task, split=split, learning=split.train), views


def shared(trial: Trial, seed: int) -> Settings:
    """The settings of all rows on a split."""
    return Settings(
        dataset=(str(trial.data / "aria"),),
        output=Path("model"),
        backbone=RECIPE["backbone"],
        weights=str(ROOT / RECIPE["weights"]),
        epochs=trial.epochs,
        image_size=trial.image_size,
        seed=seed,
        clean=False,
    )


def cells_alone(task: Task, folder: Path) -> Task:
    """The same task on images in which all but white cells is one grey; they are written to `folder`."""
    paths = [row["path"] for row in task.rows["image"]]
    for row in np.concatenate([task.split.train, task.split.validation]):
        kept = white_cells(open_image(task.rows[int(row)]["image"]))
        paths[row] = str(folder / f"{row}.png")
        Image.fromarray(kept).save(paths[row])
    content = {name: task.rows[name][:] for name in task.rows.column_names if name != "image"}
    return replace(task, rows=Dataset.from_dict(content | {"image": paths}, features=task.rows.features))


def white_cells(image: np.ndarray) -> np.ndarray:
    """The image with all but its white cells one grey."""
    return np.where(segment(image).white_cells[..., None] > 0, image, np.uint8(GLASS))


@torch.no_grad()
def answers(network: Network, images: list[np.ndarray], how: Preprocessing, batch: int = 32) -> np.ndarray:
    """The most probable class of each image."""
    network.eval()
    found = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([to_input(image, how) for image in images[start : start + batch]]))
        found.append(network(pixels.contiguous(memory_format=torch.channels_last)).argmax(dim=1).numpy())
    return np.concatenate(found)


def as_markdown(results: dict[str, Any]) -> str:
    """One table: means over the splits, with 95 % intervals corrected for overlapping training sets."""
    asked, columns = results["asked"], [OWN, *METHODS]
    lines = [
        f"{asked['images']} images to train on, {asked['validation']} to measure on, {asked['epochs']} epochs at "
        f"{asked['image_size']} px; macro-F1 in own colours and, by either method, in those of {', '.join(FOREIGN)}.",
        "",
        f"| | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for name, splits in results["rows"].items():
        cells = []
        for column in columns:
            each = [figures[column] for figures in splits.values()]
            several = len(each) > 1
            cells.append(
                in_full(mean_interval(each, asked["validation"] / asked["images"])) if several else f"{each[0]:.3f}"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

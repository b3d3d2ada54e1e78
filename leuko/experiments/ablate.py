"""`python -m leuko ablate`: what each part of training is worth on one's own data, one thing changed at a time.

After the ablation of the paper "Deep Leuko": augmentation, normalisation, segmentation as input (everything but white
cells blanked) and balancing, each on and off; and the other options of training. All rows learn from the same grouped
splits. Macro-F1 is measured on the validation part, as it is and in the colours of other laboratories, by Reinhard's
method (the mean of CIELAB) and by Macenko's (the dyes). The loss on the same part, as it is, chooses the epoch, in all
rows alike. No test part is opened. Rows that are there already are kept, so that it can be interrupted.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import f1_score

from leuko.cells.segmentation import segment
from leuko.data.errors import DataError
from leuko.data.load import load
from leuko.data.splitting.split import split_rows
from leuko.evaluation.corruptions import GLASS
from leuko.evaluation.shortcut_audit import mean_interval, nearest_neighbours
from leuko.evaluation.tables import in_full
from leuko.experiments import single_run
from leuko.images.colour_statistics import colour_statistics
from leuko.images.stain_normalisation import macenko_normalise, reinhard_normalise
from leuko.images.stain_profile import StainProfile
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.reports.evaluation.evaluate import stains
from leuko.training.finalize import refit_last_layer
from leuko.training.prepare_data import TrainingData, prepare
from leuko.training.settings import Settings

BASELINE = "nearest neighbours on colour statistics"
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
        "augment": "mixed",
        "normalise_stain": "reinhard",
        "normalise_images": "foreign",
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
OWN, UNITS = "own colours", "units"
METHODS: dict[str, Callable[[np.ndarray, StainProfile], np.ndarray]] = {
    "Reinhard": reinhard_normalise,
    "Macenko": macenko_normalise,
}
RESULTS, PAGE, TABLE = "ablation.json", "ablation.md", "ablation.csv"
Views = dict[str, list[np.ndarray]]
Figures = dict[str, float]  # macro-F1 by view, and `UNITS`, see `mean_interval`


@dataclass(frozen=True)
class Ablation:
    """What all rows share.

    Attributes:
        base: the settings that rows change; its seed is replaced by that of the split.
        images: to learn from, at most.
        validation: images to measure on, at most.
        references: images that show other laboratories' stains, by the laboratories' names; drawn smears if empty.
    """

    base: Settings
    images: int = 400
    validation: int = 160
    references: tuple[tuple[str, tuple[Path, ...]], ...] = ()

    def measure(self, name: str, seed: int) -> Figures:
        """The figures of a row on a split.

        Raises:
            leuko.training.settings.TrainingError, leuko.networks.backbones.WeightsError: it cannot be trained.
        """
        data, views = _material(self, seed)
        if name == BASELINE:  # it has learnt the colours of the training images, as they are, and nothing else
            learnt, labels = data.colours[data.split.train], data.truth[data.split.train]
            return _measured(
                views,
                data,
                lambda images: nearest_neighbours(learnt, labels, np.stack(list(map(colour_statistics, images)))),
            )
        with tempfile.TemporaryDirectory() as scratch:
            settings = replace(self.base, output=Path(scratch) / "model", seed=seed, **ROWS[name])
            if name == CELLS:
                data = _cells_alone(data, Path(scratch))
                views = {view: list(map(white_cells, images)) for view, images in views.items()}
            trained = single_run.train(data, settings)
            if settings.balance == "smote":
                refit_last_layer(trained.network, data, trained.how, settings)
        return _measured(views, data, lambda images: _answers(trained.network, images, trained.how))

    @property
    def asked(self) -> dict[str, Any]:
        """What results depend on, ready for JSON."""
        given = asdict(self) | {"base": self.base.record() | {"seed": None}, "data": _whole(self.base)[0].digest}
        given["references"] = [name for name, _ in self.references]
        return json.loads(json.dumps(given, default=str))


def ablate(ablation: Ablation, names: Sequence[str], splits: int, on_message: Callable[[str], None] = print) -> Path:
    """Measure rows on some splits, going on with what `ablation.base.output` holds, and write the table of all there.

    Args:
        ablation: what they share.
        names: patterns of rows (`*augment*`); the baseline is always among them.
        splits: how many; with the seeds 0, 1, …
        on_message: receives the lines meant for the user.

    Returns:
        The table in Markdown; it lies beside `ablation.csv` and the figures in `ablation.json`.

    Raises:
        DataError: the data cannot be used, or the folder holds another ablation.
        ValueError: a pattern fits no row.
    """
    chosen = [BASELINE, *choose(names)]
    folder = ablation.base.output
    single_run.make_room(ablation.base, "ablation", lambda place: (place / RESULTS).exists())
    single_run.quiet()
    results = kept(folder / RESULTS, ablation.asked)
    for seed in range(splits):
        for name in chosen:
            if str(seed) in results["rows"].get(name, {}):
                continue
            figures = ablation.measure(name, seed)
            results["rows"].setdefault(name, {})[str(seed)] = figures
            write(folder, results)
            on_message(f"Split {seed + 1} of {splits}, {name}: macro-F1 {figures[OWN]:.3f} on validation.")
    write(folder, results)
    return folder / PAGE


def choose(names: Sequence[str]) -> list[str]:
    """The rows of some patterns, in the order of `ROWS`.

    Raises:
        ValueError: a pattern fits none.
    """
    for pattern in names:
        if not any(fnmatchcase(row, pattern) for row in ROWS):
            raise ValueError(f"No row is named {pattern!r}; there are: {'; '.join(ROWS)}.")
    return [row for row in ROWS if any(fnmatchcase(row, pattern) for pattern in names)]


def kept(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The results that a file holds, or an empty table.

    Raises:
        DataError: they are those of other data or settings.
    """
    if not file.exists():
        return {"asked": asked, "rows": {}}
    try:
        results = json.loads(file.read_text())
        other = next((key for key, value in asked.items() if results["asked"].get(key) != value), None)
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{file} holds no ablation; give a new --output.") from error
    if other:
        raise DataError(
            f"{file.parent} holds an ablation with other {other}; give a new --output, or the same options."
        )
    return results


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the figures (whole, or as they were), and the table as Markdown and CSV."""
    draft = folder / f"{RESULTS}.part"
    draft.write_text(json.dumps(results, indent=1) + "\n")
    draft.replace(folder / RESULTS)
    (folder / PAGE).write_text(as_markdown(results) + "\n", encoding="utf-8")
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(
            ["row", "splits", *(f"{column}{end}" for column in (OWN, *METHODS) for end in ("", " low", " high"))]
        )
        for name, splits in results["rows"].items():
            found = [_over_splits(splits, column, results["asked"]) for column in (OWN, *METHODS)]
            table.writerow([name, len(splits), *(figure[end] for figure in found for end in ("value", "low", "high"))])


def as_markdown(results: Mapping[str, Any]) -> str:
    """One table: means over the splits, with 95 % intervals corrected for overlapping training sets."""
    asked, columns = results["asked"], [OWN, *METHODS]
    labs = ", ".join(asked["references"]) or "drawn smears"
    lines = [
        f"Up to {asked['images']} images to learn from and {asked['validation']} of other groups to measure on, "
        f"{asked['base']['epochs']} epochs of {asked['base']['backbone']} at {asked['base']['image_size']} px. On "
        f"validation, macro-F1 in own colours and, by either method, in those of {labs}: the mean over the splits "
        "(95 % interval).",
        "",
        f"| | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for name, splits in results["rows"].items():
        cells = [in_full(_over_splits(splits, column, asked)) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _over_splits(splits: Mapping[str, Figures], column: str, asked: Mapping[str, Any]) -> dict[str, float | None]:
    each = [figures[column] for figures in splits.values()]
    units = int(min(figures.get(UNITS, 1) for figures in splits.values()))
    return mean_interval(each, asked["validation"] / asked["images"], units)


@lru_cache(maxsize=1)
def _material(ablation: Ablation, seed: int) -> tuple[TrainingData, Views]:
    """The images of a split, and the validation images as they are and in the colours of other laboratories."""
    whole, given = _whole(ablation.base)
    split = whole.split
    if not given:
        split = split_rows([whole.labels[label] for label in whole.truth], split.groups, seed)
    rng = np.random.default_rng(seed)
    train, held = (rng.permutation(part) for part in (split.train, split.validation))
    split = replace(split, train=np.sort(train[: ablation.images]), validation=np.sort(held[: ablation.validation]))
    data = replace(whole, split=split, learning=split.train)
    images = [data.rows.open_image(int(row)) for row in split.validation]
    views = {OWN: images}
    for lab, look in stains(ablation.references).items():
        for method, match in METHODS.items():
            views[f"{lab}, {method}"] = [match(image, look) for image in images]
    return data, views


@lru_cache(maxsize=1)
def _whole(base: Settings) -> tuple[TrainingData, bool]:
    """All data, cleaned once, and whether their split is given."""
    parts = load(base.dataset, group_column=base.group_column)
    return prepare(parts, base, print), len(parts) > 1 or base.split is not None


def _measured(views: Views, data: TrainingData, answer: Callable[[list[np.ndarray]], np.ndarray]) -> Figures:
    """Macro-F1 in own colours, and the mean over the other laboratories' by each method."""
    truth, groups = (values[data.split.validation] for values in (data.truth, data.split.group))
    f1 = {view: float(f1_score(truth, answer(images), average="macro")) for view, images in views.items()}
    foreign = {m: float(np.mean([f1[view] for view in f1 if view.endswith(f", {m}")])) for m in METHODS}
    return {OWN: f1[OWN], **foreign, UNITS: min(len(np.unique(groups[truth == c])) for c in np.unique(truth))}


def _cells_alone(data: TrainingData, folder: Path) -> TrainingData:
    """The same task on images in which all but white cells is one grey; they are written to `folder`."""
    images = list(data.rows.images)
    for row in np.concatenate([data.split.train, data.split.validation]):
        file = folder / f"{row}.png"
        Image.fromarray(white_cells(data.rows.open_image(int(row)))).save(file)
        images[row] = file
    return replace(data, rows=replace(data.rows, images=images))


def white_cells(image: np.ndarray) -> np.ndarray:
    """The image, uint8, H × W × 3, RGB, with all but its white cells one grey."""
    return np.where(segment(image).white_cells[..., None] > 0, image, np.uint8(GLASS))


@torch.no_grad()
def _answers(network: Network, images: list[np.ndarray], how: Preprocessing, batch: int = 32) -> np.ndarray:
    """The most probable class of each image."""
    network.eval()
    found = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([to_input(image, how) for image in images[start : start + batch]]))
        found.append(network(pixels.contiguous(memory_format=torch.channels_last)).argmax(dim=1).cpu().numpy())
    return np.concatenate(found)

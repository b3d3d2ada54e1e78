"""`leuko ablate`: the effect of each part of training on one's own data, one change at a time.

After the ablation of the paper "Deep Leuko": augmentation, normalisation, segmentation as input (everything but white
cells removed) and balancing, each on and off; and the other options of training. All rows are trained on the same
grouped splits. Macro-F1 is measured on the validation part, unchanged and in the colours of other laboratories, by the
methods of Reinhard (the mean of CIELAB) and of Macenko (the dyes). The loss on the unchanged validation part chooses
the epoch in all rows. No test part is used. Stored rows are not measured again, so an interrupted ablation continues.
"""

from __future__ import annotations

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
from leuko.evaluation.corruptions import BACKGROUND_GREY
from leuko.evaluation.shortcut_audit import mean_interval, nearest_neighbours
from leuko.evaluation.stain_references import StainReference, stain_profiles
from leuko.experiments import single_run
from leuko.images.stain.colour_statistics import colour_statistics
from leuko.images.stain.normalisation import macenko_normalise, reinhard_normalise
from leuko.images.stain.profile import StainProfile
from leuko.networks.network import Network
from leuko.networks.preprocessing import Preprocessing, to_input
from leuko.reports import ablation as ablation_table
from leuko.stats.bootstrap import Interval
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
OWN_COLOURS, UNITS = "own colours", "units"
NORMALISERS: dict[str, Callable[[np.ndarray, StainProfile], np.ndarray]] = {
    "Reinhard": reinhard_normalise,
    "Macenko": macenko_normalise,
}
RESULTS = "ablation.json"
Views = dict[str, list[np.ndarray]]
Figures = dict[str, float]  # macro-F1 by view, and `UNITS`, see `mean_interval`


@dataclass(frozen=True)
class Ablation:
    """What all rows share.

    Attributes:
        base: the settings that rows change; the seed is replaced by that of the split.
        images: maximum number of training images.
        validation: maximum number of validation images.
        references: images with the stains of other laboratories; if empty, drawn smears.
    """

    base: Settings
    images: int = 400
    validation: int = 160
    references: tuple[StainReference, ...] = ()

    def measure(self, name: str, seed: int) -> Figures:
        """Measure a row on a split.

        Raises:
            leuko.training.settings.TrainingError, leuko.networks.backbones.WeightsError: it cannot be trained.
        """
        data, views = _split(self, seed)
        if name == BASELINE:  # learns only the colours of the unchanged training images
            colours, labels = data.colours[data.split.train], data.truth[data.split.train]
            return _macro_f1(
                views,
                data,
                lambda images: nearest_neighbours(colours, labels, np.stack(list(map(colour_statistics, images)))),
            )
        with tempfile.TemporaryDirectory() as scratch:
            settings = replace(self.base, output=Path(scratch) / "model", seed=seed, **ROWS[name])
            if name == CELLS:
                data = _only_white_cells(data, Path(scratch))
                views = {view: list(map(white_cells, images)) for view, images in views.items()}
            trained = single_run.train(data, settings)
            if settings.balance == "smote":
                refit_last_layer(trained.network, data, trained.preprocessing, settings)
        return _macro_f1(views, data, lambda images: _predicted(trained.network, images, trained.preprocessing))

    @property
    def options(self) -> dict[str, Any]:
        """Everything that the results depend on, ready for JSON."""
        options = asdict(self) | {"base": self.base.record() | {"seed": None}, "data": _whole_data(self.base)[0].digest}
        options["references"] = [reference.name for reference in self.references]
        return json.loads(json.dumps(options, default=str))


def ablate(ablation: Ablation, names: Sequence[str], splits: int, on_message: Callable[[str], None] = print) -> Path:
    """Measure rows on some splits and write the table of all stored rows into `ablation.base.output`.

    Args:
        ablation: what the rows share.
        names: patterns of rows (`*augment*`); the baseline is always included.
        splits: number of splits, with the seeds 0, 1, …
        on_message: receives the lines meant for the user.

    Returns:
        The path of the table in Markdown, with `ablation.csv` and the figures in `ablation.json` beside it.

    Raises:
        DataError: the data cannot be used, or the folder holds another ablation.
        ValueError: a pattern matches no row.
    """
    chosen = [BASELINE, *choose(names)]
    folder = ablation.base.output
    single_run.prepare_output(ablation.base, "ablation", lambda place: (place / RESULTS).exists())
    single_run.silence_libraries()
    results = stored_results(folder / RESULTS, ablation.options)
    for seed in range(splits):
        for name in chosen:
            if str(seed) in results["rows"].get(name, {}):
                continue
            figures = ablation.measure(name, seed)
            results["rows"].setdefault(name, {})[str(seed)] = figures
            write(folder, results)
            on_message(f"Split {seed + 1} of {splits}, {name}: macro-F1 {figures[OWN_COLOURS]:.3f} on validation.")
    write(folder, results)
    return folder / ablation_table.PAGE


def choose(names: Sequence[str]) -> list[str]:
    """The rows that match some patterns, in the order of `ROWS`.

    Raises:
        ValueError: a pattern matches none.
    """
    for pattern in names:
        if not any(fnmatchcase(row, pattern) for row in ROWS):
            raise ValueError(f"No row is named {pattern!r}; there are: {'; '.join(ROWS)}.")
    return [row for row in ROWS if any(fnmatchcase(row, pattern) for pattern in names)]


def stored_results(file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The results in a file, or an empty table.

    Raises:
        DataError: they are those of other data or settings.
    """
    if not file.exists():
        return {"options": options, "rows": {}}
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        if "asked" in results:  # the name of the options in version 0.1
            results = {"options": results.pop("asked"), **results}
        different = next((key for key, value in options.items() if results["options"].get(key) != value), None)
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{file} holds no ablation; give a new --output.") from error
    if different:
        raise DataError(
            f"{file.parent} holds an ablation with other {different}; give a new --output, or the same options."
        )
    return results


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """Write `ablation.json` (complete, or not at all), and the table as Markdown and CSV.

    Args:
        folder: where to write.
        results: `options` of the ablation, and the figures in `rows`: name → split → column → macro-F1.
    """
    draft = folder / f"{RESULTS}.part"
    draft.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / RESULTS)
    options, columns = results["options"], [OWN_COLOURS, *NORMALISERS]
    setup = {name: options["base"][name] for name in ("epochs", "backbone", "image_size")}
    setup |= {name: options[name] for name in ("images", "validation")}
    setup["laboratories"] = ", ".join(options["references"]) or "drawn smears"
    rows = {
        name: [_over_splits(splits, column, options) for column in columns] for name, splits in results["rows"].items()
    }
    ablation_table.write(folder, columns, rows, {name: len(splits) for name, splits in results["rows"].items()}, setup)


def _over_splits(splits: Mapping[str, Figures], column: str, options: Mapping[str, Any]) -> Interval:
    """The mean of a column over the splits, with its interval."""
    values = [figures[column] for figures in splits.values()]
    units = int(min(figures.get(UNITS, 1) for figures in splits.values()))
    return mean_interval(values, options["validation"] / options["images"], units)


@lru_cache(maxsize=1)
def _split(ablation: Ablation, seed: int) -> tuple[TrainingData, Views]:
    """The data of a split, and its validation images: unchanged, and in the colours of other laboratories."""
    whole, has_split = _whole_data(ablation.base)
    split = whole.split
    if not has_split:
        split = split_rows([whole.labels[label] for label in whole.truth], split.groups, seed)
    rng = np.random.default_rng(seed)
    train, validation = (rng.permutation(part) for part in (split.train, split.validation))
    split = replace(
        split, train=np.sort(train[: ablation.images]), validation=np.sort(validation[: ablation.validation])
    )
    data = replace(whole, split=split, learning=split.train)
    images = [data.rows.open_image(int(row)) for row in split.validation]
    views = {OWN_COLOURS: images}
    for laboratory, profile in stain_profiles(ablation.references).items():
        for method, normalise in NORMALISERS.items():
            views[f"{laboratory}, {method}"] = [normalise(image, profile) for image in images]
    return data, views


@lru_cache(maxsize=1)
def _whole_data(base: Settings) -> tuple[TrainingData, bool]:
    """All data, cleaned once, and whether they have a split already."""
    parts = load(base.dataset, group_column=base.group_column)
    return prepare(parts, base, print), len(parts) > 1 or base.split is not None


def _macro_f1(views: Views, data: TrainingData, classify: Callable[[list[np.ndarray]], np.ndarray]) -> Figures:
    """Macro-F1 in own colours and, for each normalisation method, the mean over the other laboratories."""
    truth, groups = (values[data.split.validation] for values in (data.truth, data.split.group))
    f1 = {view: float(f1_score(truth, classify(images), average="macro")) for view, images in views.items()}
    foreign = {m: float(np.mean([f1[view] for view in f1 if view.endswith(f", {m}")])) for m in NORMALISERS}
    return {
        OWN_COLOURS: f1[OWN_COLOURS],
        **foreign,
        UNITS: min(len(np.unique(groups[truth == c])) for c in np.unique(truth)),
    }


def _only_white_cells(data: TrainingData, folder: Path) -> TrainingData:
    """The same data with images in which everything but white cells is grey; they are written to `folder`."""
    images = list(data.rows.images)
    for row in np.concatenate([data.split.train, data.split.validation]):
        file = folder / f"{row}.png"
        Image.fromarray(white_cells(data.rows.open_image(int(row)))).save(file)
        images[row] = file
    return replace(data, rows=replace(data.rows, images=images))


def white_cells(image: np.ndarray) -> np.ndarray:
    """The image, uint8, H × W × 3, RGB, with everything but its white cells in one grey."""
    return np.where(segment(image).white_cells[..., None] > 0, image, np.uint8(BACKGROUND_GREY))


@torch.no_grad()
def _predicted(network: Network, images: list[np.ndarray], preprocessing: Preprocessing, batch: int = 32) -> np.ndarray:
    """The most probable class of each image, int, N."""
    network.eval()
    predicted = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([to_input(image, preprocessing) for image in images[start : start + batch]]))
        predicted.append(network(pixels.contiguous(memory_format=torch.channels_last)).argmax(dim=1).cpu().numpy())
    return np.concatenate(predicted)

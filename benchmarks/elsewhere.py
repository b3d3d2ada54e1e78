"""Fit the weights of the cell-based score, and measure scores and findings in other laboratories.

    python -m benchmarks.elsewhere fit ../shared/data --run RUN       print the weights of leuko.decision.cell_score
    python -m benchmarks.elsewhere scale ../shared/data --model DIR   add the scale to a model folder without scale
    python -m benchmarks.elsewhere measure ../shared/data --run RUN   write results/elsewhere.json

RUN is the folder of `leuko train-kinds`: its fold networks judge the cells of fields that the kinds were trained on.
The weights are fitted on the embedded model's training part of Aria and on the even-numbered BCCD fields. All other
choices use its validation part. Results are for its test part and the odd-numbered BCCD fields. No data of another
laboratory with leukaemia are available. Aria's test fields in three foreign stains, at half and at double size, are
used instead.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.kinds.fields import aria_folds, fold_model
from benchmarks.recipe import learnt
from benchmarks.three_figures import by_three_figures
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.kinds.model import KindModel
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
from leuko.decision.cell_pooling import PoolingParameters, log_bayes_factor
from leuko.decision.cell_score import CellScore
from leuko.decision.fusion import Verdict
from leuko.images.decode import decode
from leuko.images.stain.normalisation import reinhard_normalise
from leuko.images.stain.profile import StainProfile
from leuko.images.synthetic import rendering
from leuko.inference.classifier import ClassificationResult, Classifier
from leuko.networks import model_folder
from leuko.stats.proportions import wilson_interval
from leuko.training.finalize import SCALE_IMAGES, scale_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "elsewhere.json"
EVERY = 6  # training image of Aria, for the fit
LABORATORIES = ("bccd", "pbc", "jtsc")  # that foreign stains are taken from
CHANGED = 4  # test image of Aria, in other stains and sizes
LOOKS = 12  # images that a foreign stain is taken from
BENIGN = "Benign"
PRIORS = [  # of which `fit` chooses
    PoolingParameters(with_leukaemia, without, neutral, max_ratio)
    for with_leukaemia, without, neutral, max_ratio in product(
        ((2.0, 1.0), (4.0, 1.5), (8.0, 2.0)), ((1.0, 2.0), (1.0, 4.0), (1.0, 8.0)), (0.2, 0.35, 0.5), (5.0, 10.0, 20.0)
    )
]


class Field(NamedTuple):
    """An image, uint8, H × W × 3, RGB, whether it is one of leukaemia, and what tells its kinds of cells apart."""

    image: np.ndarray
    ill: bool
    kinds: KindModel


class Data:
    """The images, by what they are used for."""

    def __init__(self, data: Path, run: Path | None) -> None:
        self.data, self.run = data, run
        self.folds = aria_folds(run) if run else {}
        self.rows, self.split = learnt(data)
        self.benign = self.rows.class_names.index(BENIGN)

    def aria(self, part: str, every: int = 1) -> Iterator[Field]:
        """Fields of a part of the embedded model's split.

        The kinds were not trained on the test part. Cells of other fields are judged by a network that has not seen
        them; fields between two blocks have none and are left out.
        """
        for row in getattr(self.split, part)[::every]:
            fold = self.folds.get(Path(self.rows.files[row]).name)
            kinds = KindModel.embedded() if part == "test" else None
            if kinds is None and fold is not None and self.run:
                kinds = fold_model(self.run, fold)
            if kinds:
                yield Field(self.rows.open_image(row), self.rows.labels[row] != self.benign, kinds)

    def bccd(self, odd: bool) -> Iterator[Field]:
        """Healthy fields of another laboratory; the even-numbered ones took part in choosing and fitting."""
        for file in sorted((self.data / "bccd" / "JPEGImages").iterdir()):
            if int(file.stem[-5:]) % 2 == odd:
                yield Field(decode(file), False, KindModel.embedded())

    def look(self, laboratory: str) -> StainProfile:
        """How a laboratory's images look."""
        files = sorted(file for file in (self.data / laboratory).rglob("*") if file.suffix in (".jpg", ".bmp"))
        return StainProfile.median([StainProfile.from_image(decode(file)) for file in files[:: len(files) // LOOKS]])


def fit(data: Data) -> None:
    """Choose how cells are pooled, fit the weights, and print both."""
    cells, weights, ill = [], [], []
    aria = [*data.aria("train", EVERY), *_restained(data, list(data.aria("train", EVERY)), LABORATORIES)]
    healthy = list(data.bccd(odd=False))
    healthy = healthy[::2] + _restained(data, healthy[1::2], ("aria", "pbc", "jtsc"))
    groups = [f for f in aria if f.ill], [f for f in aria if not f.ill], healthy
    for group, share in zip(groups, (0.5, 0.25, 0.25), strict=True):
        known = [blasts for field in group if (blasts := _blasts(field)) is not None]
        cells += known
        weights += [share / len(known)] * len(known)
        ill += [group[0].ill] * len(known)
    scaled = np.array(weights) * len(weights)
    best = None
    for parameters in PRIORS:
        factors = np.array([[log_bayes_factor(blasts, parameters)] for blasts in cells])
        model = LogisticRegression(C=100).fit(factors, ill, sample_weight=scaled)
        loss = log_loss(ill, model.predict_proba(factors)[:, 1], sample_weight=scaled)
        if best is None or loss < best[0]:
            best = loss, parameters, model
    loss, parameters, model = best
    print(f"{len(ill)} fields, {sum(ill)} of leukaemia; log loss {loss:.4f}\n{parameters}")
    print(f"SLOPE, BIAS = {model.coef_[0][0]:.3f}, {model.intercept_[0]:.3f}")


def _restained(data: Data, fields: Sequence[Field], laboratories: Sequence[str]) -> list[Field]:
    """The fields in the stains of other laboratories by turns: how full of nucleus a cell seems hangs on the stain."""
    looks = [data.look(name) for name in laboratories]
    return [
        field._replace(image=reinhard_normalise(field.image, looks[i % len(looks)])) for i, field in enumerate(fields)
    ]


def _blasts(field: Field) -> np.ndarray | None:
    """The blast probabilities of the counted cells; None without a cell-based score."""
    found = segment(field.image)
    measurements = Measurements(found)
    kinds = classify(field.image, found, field.kinds) if found.reliable else None
    if kinds is None or cell_score.score_field(measurements, kinds).probability is None:
        return None
    return kinds.blast_probabilities[cell_score.counted_rows(measurements)]


def add_scale(data: Data, model: Path) -> None:
    """Write into a model folder what `train.py` writes of the scale; for models trained before it did."""
    size = model_folder.load(model).preprocessing.size
    seed = json.loads((model / model_folder.LEUKO).read_text())["training"]["seed"]
    some = np.random.default_rng(seed).permutation(data.split.train)[:SCALE_IMAGES]
    scale = scale_of((data.rows.open_image(row) for row in some), size)
    stored = json.loads((model / model_folder.LEUKO).read_text())
    ood_detector = stored.pop("familiarity")
    stored |= {"scale": scale and asdict(scale), "familiarity": ood_detector}
    (model / model_folder.LEUKO).write_text(json.dumps(stored, indent=1) + "\n")
    print(f"{model}: {scale}")


def measure(data: Data, model: Path | None) -> dict[str, dict]:
    """Decisions by the network alone, by the cells alone and by both."""
    classifier = Classifier.load(model)
    looks = {name: data.look(name) for name in LABORATORIES}
    sets: dict[str, Callable[[], Iterator[Field]]] = {
        "aria validation": lambda: data.aria("validation", 2),
        "aria test": lambda: data.aria("test"),
        **{
            f"aria test, stain of {name}": lambda look=look: _changed(
                data, lambda image: reinhard_normalise(image, look)
            )
            for name, look in looks.items()
        },
        "aria test, cells twice as large": lambda: _changed(data, _middle),
        "aria test, cells half as large, stain of pbc": lambda: _tiles(
            [f._replace(image=reinhard_normalise(f.image, looks["pbc"])) for f in data.aria("test")]
        ),
        "bccd odd (healthy)": lambda: data.bccd(odd=True),
        "drawn": _drawn,
    }
    report = {}
    print("| images | n | by | decided | wrong of them | suspicious | AUC-ROC |\n|---|---|---|---|---|---|---|")
    for name, fields in sets.items():
        report[name] = _measure(classifier, list(fields()))
        for by, said in report[name]["by"].items():
            row = [name, str(report[name]["images"]), by, *(_in_words(said[figure]) for figure in FIGURES)]
            print(f"| {' | '.join(row)} |", flush=True)
    return report


FIGURES = ("decided", "wrong", "suspicious", "auc_roc")


def _measure(classifier: Classifier, fields: Sequence[Field]) -> dict:
    ill = np.array([field.ill for field in fields])
    by_kinds = {id(field.kinds): Classifier(classifier.model, field.kinds) for field in fields}
    readings = [by_kinds[id(field.kinds)].analyse(field.image) for field in fields]
    usable = np.array([reading.finding.quality.usable for reading in readings])
    by = {
        "network": [_without_cells(classifier, reading) for reading in readings],
        "cells": [_cells_alone(reading.verdict.cells) for reading in readings],
        "three figures": [_by_three_figures(reading) for reading in readings],
        "both": [(reading.finding.leukaemia_probability, reading.finding.decision) for reading in readings],
    }
    return {
        "images": len(fields),
        "leukaemia": int(ill.sum()),
        "like the training images": float(np.mean([reading.finding.in_distribution for reading in readings])),
        "by": {name: _judge(said, ill, usable) for name, said in by.items()},
    }


def _without_cells(classifier: Classifier, reading: ClassificationResult) -> tuple[float, str]:
    """What the network alone would have said of an image; without cells their scale is not known either."""
    ood_reason = (
        "" if classifier.model.metadata.ood_detector.is_in_distribution(reading.output.features) else "in its features"
    )
    alone = Verdict(reading.verdict.point, reading.verdict.network, ood_reason, None)
    return alone.probability, alone.decision


def _by_three_figures(reading: ClassificationResult) -> tuple[float, str]:
    """What the rule says that the kinds of cells replaced."""
    cells = reading.verdict.cells
    return _cells_alone(cells and reading.segmentation and by_three_figures(cells, reading.segmentation))


def _cells_alone(cells: CellScore | None) -> tuple[float, str]:
    return (0.5, "uncertain") if cells is None or cells.probability is None else (cells.probability, cells.decision)


def _judge(said: Sequence[tuple[float, str]], ill: np.ndarray, usable: np.ndarray) -> dict:
    probability, decision = np.array([p for p, _ in said]), np.array([d for _, d in said])
    decided, suspicious = (decision != "uncertain") & usable, (decision == "suspicious") & usable
    wrong = decided & (suspicious != ill)
    two = ill.any() and not ill.all()
    return {
        "decided": _share(decided.sum(), len(ill)),
        "wrong": _share(wrong.sum(), decided.sum()),
        "suspicious": _share(suspicious.sum(), len(ill)),
        "auc_roc": {"value": float(roc_auc_score(ill, probability))} if two else None,
    }


def _share(part: int, whole: int) -> dict:
    low, high = wilson_interval(int(part), int(whole))
    return {"value": float(part / whole) if whole else None, "low": low, "high": high, "of": int(whole)}


def _in_words(figure: dict | None) -> str:
    if not figure or figure["value"] is None:
        return "–"
    span = f" ({figure['low']:.3f}–{figure['high']:.3f})" if "low" in figure else ""
    return f"{figure['value']:.3f}{span}"


def _changed(data: Data, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[Field]:
    return (field._replace(image=change(field.image)) for field in data.aria("test", CHANGED))


def _middle(image: np.ndarray) -> np.ndarray:
    height, width = (side // 4 for side in image.shape[:2])
    return image[height:-height, width:-width].copy()


def _tiles(fields: Sequence[Field]) -> Iterator[Field]:
    """Four neighbouring fields of a class as one."""
    for ill, kinds in {(field.ill, id(field.kinds)) for field in fields}:
        of_kind = [field for field in fields if (field.ill, id(field.kinds)) == (ill, kinds)]
        for four in zip(*(of_kind[corner::4] for corner in range(4)), strict=False):
            images = [field.image for field in four]
            yield Field(np.vstack([np.hstack(images[:2]), np.hstack(images[2:])]), ill, four[0].kinds)


def _drawn() -> Iterator[Field]:
    """Drawn blood: blasts, or the white cells of a healthy person, under three objectives."""
    for seed in range(8):
        for um, side in ((0.09, 1400), (0.2, 700), (0.4, 400)):
            rng = np.random.default_rng(seed)
            kinds = {"blast": int(rng.integers(4, 12)), "lymphocyte": 1}
            normal = {
                "neutrophil": int(rng.integers(1, 3)),
                "lymphocyte": int(rng.integers(0, 2)),
                "monocyte": seed % 2,
            }
            for cells, ill in ((kinds, True), (normal, False)):
                stain = ("neutral", "pink", "blue")[seed % 3]
                smear = rendering.render(
                    seed, width=side, height=side, um_per_px=um, white_cells=cells, stain=stain, blur_um=0.3
                )
                yield Field(smear.image, ill, KindModel.embedded())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["fit", "scale", "measure"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, help="folder of leuko train-kinds")
    parser.add_argument("--model", type=Path, default=model_folder.EMBEDDED)
    given = parser.parse_args()
    data = Data(given.data, given.run)
    if given.what == "fit":
        fit(data)
    elif given.what == "scale":
        add_scale(data, given.model)
    else:
        RESULTS.write_text(json.dumps(measure(data, given.model), indent=1) + "\n")


if __name__ == "__main__":
    main()

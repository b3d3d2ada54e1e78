"""Fit the weights of the cell-based score, and measure scores and findings in other laboratories.

    python -m benchmarks.elsewhere fit ../shared/data                 print the weights of leuko.decision.cell_score
    python -m benchmarks.elsewhere scale ../shared/data --model DIR   add the scale to a model folder without scale
    python -m benchmarks.elsewhere measure ../shared/data             write results/elsewhere.json

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
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.recipe import learnt
from leuko.cells.features.morphology import Measurements
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
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


class Field(NamedTuple):
    """An image, uint8, H × W × 3, RGB, and whether it is one of leukaemia."""

    image: np.ndarray
    ill: bool


class Data:
    """The images, by what they are used for."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.rows, self.split = learnt(data)
        self.benign = self.rows.class_names.index(BENIGN)

    def aria(self, part: str, every: int = 1) -> Iterator[Field]:
        """Fields of a part of the embedded model's split."""
        for row in getattr(self.split, part)[::every]:
            yield Field(self.rows.open_image(row), self.rows.labels[row] != self.benign)

    def bccd(self, odd: bool) -> Iterator[Field]:
        """Healthy fields of another laboratory; the even-numbered ones took part in choosing and fitting."""
        for file in sorted((self.data / "bccd" / "JPEGImages").iterdir()):
            if int(file.stem[-5:]) % 2 == odd:
                yield Field(decode(file), False)

    def look(self, laboratory: str) -> StainProfile:
        """How a laboratory's images look."""
        files = sorted(file for file in (self.data / laboratory).rglob("*") if file.suffix in (".jpg", ".bmp"))
        return StainProfile.median([StainProfile.from_image(decode(file)) for file in files[:: len(files) // LOOKS]])


def fit(data: Data) -> None:
    """Fit the weights of the cells' figures, and print them."""
    figures, weights, ill = [], [], []
    aria = [*data.aria("train", EVERY), *_restained(data, list(data.aria("train", EVERY)), LABORATORIES)]
    healthy = list(data.bccd(odd=False))
    healthy = healthy[::2] + _restained(data, healthy[1::2], ("aria", "pbc", "jtsc"))
    groups = [f for f in aria if f.ill], [f for f in aria if not f.ill], healthy
    for group, share in zip(groups, (0.5, 0.25, 0.25), strict=True):
        known = [x for x in (_figures(field.image) for field in group) if x is not None]
        figures += known
        weights += [share / len(known)] * len(known)
        ill += [group[0].ill] * len(known)
    scaled = np.array(weights) * len(weights)
    model = LogisticRegression().fit(figures, ill, sample_weight=scaled)
    print(f"{len(ill)} fields, {sum(ill)} of leukaemia")
    print(f"WEIGHTS = {tuple(float(w.round(3)) for w in model.coef_[0])}\nBIAS = {model.intercept_[0]:.3f}")


def _restained(data: Data, fields: Sequence[Field], laboratories: Sequence[str]) -> list[Field]:
    """The fields in the stains of other laboratories by turns: how full of nucleus a cell seems hangs on the stain."""
    looks = [data.look(name) for name in laboratories]
    return [Field(reinhard_normalise(field.image, looks[i % len(looks)]), field.ill) for i, field in enumerate(fields)]


def _figures(image: np.ndarray) -> np.ndarray | None:
    found = segment(image)
    if cell_score.score_field(found).probability is None:
        return None
    return cell_score.score_features(cell_score.nucleated_cells(Measurements(found)), found)


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
            [Field(reinhard_normalise(f.image, looks["pbc"]), f.ill) for f in data.aria("test")]
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
    readings = [classifier.analyse(field.image) for field in fields]
    usable = np.array([reading.finding.quality.usable for reading in readings])
    by = {
        "network": [_without_cells(classifier, reading) for reading in readings],
        "cells": [_cells_alone(reading.verdict) for reading in readings],
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


def _cells_alone(verdict: Verdict) -> tuple[float, str]:
    cells = verdict.cells
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
    return (Field(change(field.image), field.ill) for field in data.aria("test", CHANGED))


def _middle(image: np.ndarray) -> np.ndarray:
    height, width = (side // 4 for side in image.shape[:2])
    return image[height:-height, width:-width].copy()


def _tiles(fields: Sequence[Field]) -> Iterator[Field]:
    """Four neighbouring fields of a class as one."""
    for ill in (True, False):
        images = [field.image for field in fields if field.ill == ill]
        for four in zip(*(images[corner::4] for corner in range(4)), strict=False):
            yield Field(np.vstack([np.hstack(four[:2]), np.hstack(four[2:])]), ill)


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
                yield Field(smear.image, ill)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["fit", "scale", "measure"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=model_folder.EMBEDDED)
    given = parser.parse_args()
    data = Data(given.data)
    if given.what == "fit":
        fit(data)
    elif given.what == "scale":
        add_scale(data, given.model)
    else:
        RESULTS.write_text(json.dumps(measure(data, given.model), indent=1) + "\n")


if __name__ == "__main__":
    main()

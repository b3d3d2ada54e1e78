"""Whole fields by their cells alone: Aria by networks that have not seen the field, and drawn smears in many styles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.kinds import figures
from benchmarks.three_figures import by_three_figures
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.model import KindModel
from leuko.cells.kinds.network import KindNetwork
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
from leuko.decision.cell_score import CellScore
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.images.synthetic.stains import random_stain
from leuko.inference.field import Field
from leuko.networks.model_folder import EMBEDDED
from leuko.stats.proportions import clopper_pearson_interval

Figures = dict[str, Any]
SPECIFICITY = 0.95
STYLES, FIELDS_A_STYLE, CELLS = 50, 4, 20  # of drawn smears
OTHERS = {"lymphocyte": 4, "neutrophil": 4, "monocyte": 1, "eosinophil": 0.5, "reactive_lymphocyte": 0.5}


@cache
def unseeing_model(run: Path, name: str) -> KindModel:
    """A network that has not seen some images, `fold-K` or `without-NAME`, with the shipped calibration."""
    return KindModel(KindNetwork(run / f"{name}.onnx"), Calibration.embedded(), name=name)


def folds_of(run: Path, laboratory: str) -> dict[str, int]:
    """The fold of each image of a laboratory, by its name; images that took no part have none."""
    with np.load(run / "out_of_fold.npz") as stored:
        mine = stored["laboratories"] == laboratory
        return dict(zip(stored["images"][mine].tolist(), map(int, stored["folds"][mine]), strict=True))


def aria(data: Path, run: Path) -> Figures:
    """Leukaemia by the cells alone, each field by a network that has not seen its block of files.

    The shipped network judges the test part of the embedded model's split, which it was not trained on; the network of
    a fold judges the others. Fields between two blocks are left out.
    """
    folds = folds_of(run, "aria")
    split = json.loads((EMBEDDED / "evaluation" / "split.json").read_text(encoding="utf-8"))["files"]
    test = {Path(file).name for file, (part, _) in split.items() if part == "test"}
    scores, ill, groups = [], [], []
    for name in ("Benign", "Early", "Pre", "Pro"):
        files = [file for file in sorted((data / "aria" / name).iterdir()) if file.name in test or file.name in folds]
        for number, file in enumerate(files):
            image = decode(file)
            segmentation = segment(image)
            model = KindModel.embedded() if file.name in test else unseeing_model(run, f"fold-{folds[file.name]}")
            kinds = classify(image, segmentation, model) if segmentation.reliable else None
            measurements = Measurements(segmentation)
            found = cell_score.score_field(measurements, kinds)
            scores.append((found, by_three_figures(found, measurements)))
            ill.append(name != "Benign")
            groups.append(f"{name}-{number * 30 // len(files)}")  # stretches of consecutive files
    by = zip(("blast probabilities", "three figures of nuclei"), zip(*scores, strict=True), strict=True)
    return {"fields": len(ill)} | {name: _by_field(found, np.array(ill), np.array(groups)) for name, found in by}


def _by_field(scores: Sequence[CellScore], ill: np.ndarray, groups: np.ndarray) -> Figures:
    """How well scores tell leukaemia; fields without a score count as undecided, between both."""
    values = np.array([0.0 if found.score is None else found.score for found in scores])
    said = np.array([found.decision for found in scores])
    bound = np.quantile(values[~ill], SPECIFICITY)
    decided = said != "uncertain"
    wrong = decided & ((said == "suspicious") != ill)
    return {
        "auc": figures.auc(values, ill, groups),
        "sensitivity at 0.95 specificity": clopper_pearson_interval(
            float((values[ill] > bound).mean()), int(ill.sum())
        ),
        "decided": clopper_pearson_interval(float(decided.mean()), len(ill)),
        "wrong of decided": clopper_pearson_interval(float(wrong.sum() / decided.sum()), int(decided.sum())),
    }


def drawn(_: Path, __: Path) -> Figures:
    """Whether the interval of the blast share holds the share of blasts in the slide, in 50 stains.

    The slide's share is random; each cell of a field is a blast with that probability.
    """
    inside, differences, scores, ill = [], [], [], []
    for smear, share in drawn_fields():
        segmentation = segment(smear.image)
        if not segmentation.reliable:
            continue
        found = Field.of(smear.image, segmentation).counts.blast_share
        if found is None or found.share is None:
            continue
        low, high = found.interval
        inside.append(low <= share <= high)
        differences.append(found.share - share)
        scores.append(found.share)
        ill.append(share > 0.5)
    return {
        "fields": len(inside),
        "fields without a share": STYLES * FIELDS_A_STYLE - len(inside),
        "interval holds the slide's share": clopper_pearson_interval(float(np.mean(inside)), len(inside)),
        "mean difference of the share": float(np.mean(differences)),
        "auc of over half": float(roc_auc_score(ill, scores)),
    }


def drawn_fields() -> Iterator[tuple[rendering.Smear, float]]:
    """Drawn smears in random stains that the network was not trained on, with the share of blasts of the slide."""
    others = np.array(list(OTHERS.values())) / sum(OTHERS.values())
    for style in range(STYLES):
        rng = np.random.default_rng([style, 27])
        stain, um = random_stain(rng), float(rng.uniform(0.12, 0.4))
        for number in range(FIELDS_A_STYLE):
            share = float(rng.choice([0, 0.05, 0.2, 0.5, 0.8, 0.95]))
            blasts = int(rng.binomial(CELLS, share))
            counts = rng.multinomial(CELLS - blasts, others)
            cells = {"blast": blasts} | {kind: int(n) for kind, n in zip(OTHERS, counts, strict=True)}
            side = round(190 / um)
            yield (
                rendering.render(
                    1000 * style + number + 500_000,
                    width=side, height=side, um_per_px=um, stain=stain, blur_um=0.25, variety=0.6,
                    white_cells={kind: n for kind, n in cells.items() if n},
                ),
                share,
            )  # fmt: skip

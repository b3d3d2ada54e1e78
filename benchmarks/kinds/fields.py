"""Whole fields: leukaemia by the cells of held-out fields of Aria, and drawn smears in many stains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kinds import figures
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.kinds.names import KINDS
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
from leuko.images.decode import decode
from leuko.images.synthetic import rendering
from leuko.images.synthetic.stains import random_stain
from leuko.inference.field import Field
from leuko.networks.model_folder import EMBEDDED
from leuko.stats.proportions import clopper_pearson_interval
from leuko.training.kinds.cells import true_kind

Figures = dict[str, Any]
SPECIFICITY = 0.95
STYLES, FIELDS_A_STYLE, CELLS = 50, 4, 20  # of drawn smears
OTHERS = {"lymphocyte": 4, "neutrophil": 4, "monocyte": 1, "eosinophil": 0.5, "reactive_lymphocyte": 0.5}


def aria(data: Path, _: Path) -> Figures:
    """Leukaemia by the cells of the test part of the embedded model's split, which the kinds were not trained on.

    By the mean blast probability of the counted cells, and by the three figures of nuclei that decide.
    """
    split = json.loads((EMBEDDED / "evaluation" / "split.json").read_text(encoding="utf-8"))["files"]
    by_kinds, by_nuclei, ill = [], [], []
    for name in sorted(file for file, (part, _) in split.items() if part == "test"):
        image = decode(data / "aria" / name)
        segmentation = segment(image)
        measurements = Measurements(segmentation)
        score = cell_score.score_field(segmentation, measurements)
        counted = np.isin(measurements.shapes["id"], cell_score.nucleated_cells(measurements)["id"])
        blasts = classify(image, segmentation).blast_probabilities[counted]
        by_kinds.append(float(blasts.mean()) if len(blasts) else 0.0)
        by_nuclei.append(0.0 if score.score is None else score.score)
        ill.append(not name.startswith("Benign"))
    positive, groups = np.array(ill), np.arange(len(ill))
    report: Figures = {"fields": len(ill)}
    for name, values in (("blast probability", np.array(by_kinds)), ("three figures of nuclei", np.array(by_nuclei))):
        bound = np.quantile(values[~positive], SPECIFICITY)
        report[name] = {
            "auc": figures.auc(values, positive, groups),
            "sensitivity at 0.95 specificity": clopper_pearson_interval(
                float((values[positive] > bound).mean()), int(positive.sum())
            ),
        }
    return report


def drawn(_: Path, __: Path) -> Figures:
    """Drawn smears in 50 stains: how often the blast share's interval holds the slide's share, and the kinds of cells.

    The slide's share is random; each cell of a field is a blast with that probability. The share counts cells by their
    nuclei, see `leuko.cells.blast_share`.
    """
    inside, differences, found_kinds, kinds = [], [], [], []
    for smear, share in drawn_fields():
        segmentation = segment(smear.image)
        if not segmentation.reliable:
            continue
        field = Field.of(smear.image, segmentation)
        for row, label in enumerate(field.table["id"]):
            if kind := true_kind(smear.white_cells, smear.kinds, segmentation.white_cells == label):
                kinds.append(KINDS.index(kind))
                found_kinds.append(field.kinds.probabilities[row])
        found = field.counts.blast_share
        if found is not None and found.share is not None:
            low, high = found.interval
            inside.append(low <= share <= high)
            differences.append(found.share - share)
    return {
        "fields": len(inside),
        "fields without a share": STYLES * FIELDS_A_STYLE - len(inside),
        "interval holds the slide's share": clopper_pearson_interval(float(np.mean(inside)), len(inside)),
        "mean difference of the share": float(np.mean(differences)),
        "confusion": figures.confusion(np.stack(found_kinds), np.array(kinds)),
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

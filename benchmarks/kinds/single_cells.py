"""Single cells: at home by cross-validation, elsewhere as shipped, and after adapting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit

from benchmarks.kinds import cells, figures
from benchmarks.kinds.cells import KnownCells
from leuko.adaptation.cell_kinds import LabelledCells, balanced_accuracy, choose_penalty, fit_correction
from leuko.cells.kinds.conformal import EVIDENCE, LEVEL, WIDENED_LEVEL
from leuko.cells.kinds.model import KindModel
from leuko.cells.kinds.names import KINDS, MATURE_KINDS, NORMAL_KINDS
from leuko.cells.kinds.network import KindNetwork
from leuko.stats.proportions import clopper_pearson_interval

FIVE = ("neutrophil", "lymphocyte", "monocyte", "immature_granulocyte", "blast")
CHOSEN_BY = 4  # patients of JHU whose number this divides chose between recipes; the others are reported
PER_KIND, REPEATS = 20, 10  # of adapting

Figures = dict[str, Any]


def home(_: Path, run: Path) -> Figures:
    """PBC by cross-validation: every cell judged by a network that has not seen its block of files."""
    with np.load(run / "out_of_fold.npz") as stored:
        mine = (stored["laboratories"] == "pbc") & np.isin(stored["labels"], NORMAL_KINDS)
        probabilities, groups = stored["probabilities"][mine], stored["groups"][mine]
        kinds = np.array([KINDS.index(label) for label in stored["labels"][mine]])
    return {
        "cells": len(kinds),
        "among the seven normal kinds": figures.accuracy(probabilities, kinds, groups, NORMAL_KINDS),
        "among all kinds": figures.accuracy(probabilities, kinds, groups),
        "coverage": _coverage(KindModel.embedded(), probabilities, kinds, LEVEL),
        "confusion": figures.confusion(probabilities, kinds),
    }


def jhu(data: Path, _: Path) -> Figures:
    """AML and APL patients of another laboratory, which nothing was trained on."""
    known = cells.jhu(data)
    look = KindModel.embedded().look(known.pixels)
    chosen = known.groups % CHOSEN_BY == 0
    report: Figures = {"not found": known.missed, "confusion": figures.confusion(look.probabilities, known.kinds)}
    for name, rows in (("all", np.ones(len(chosen), bool)), ("chosen by", chosen), ("reported", ~chosen)):
        five = rows & np.isin(known.kinds, [KINDS.index(kind) for kind in FIVE])
        parts = look.probabilities[five], known.kinds[five], known.groups[five]
        report[name] = {
            "cells": int(five.sum()),
            "patients": len(np.unique(known.groups[five])),
            "among these five": figures.accuracy(*parts, FIVE),
            "among all kinds": figures.accuracy(*parts),
        }
    report["mature kinds"] = _mature(known, look.probabilities)
    blast = KINDS.index("blast")
    for other in ("lymphocyte", "monocyte", "immature_granulocyte", "neutrophil"):
        two = np.isin(known.kinds, [blast, KINDS.index(other)])
        report[f"blast against {other}"] = figures.auc(
            look.probabilities[two, blast], known.kinds[two] == blast, known.groups[two]
        )
    model = KindModel.embedded()
    report["coverage"] = _coverage(model, look.probabilities, known.kinds, LEVEL)
    report["coverage widened"] = _coverage(model, look.probabilities, known.kinds, WIDENED_LEVEL)
    report["drift noticed in ten cells"] = _noticed(model, look.novelty)
    return report


def other_laboratories(data: Path, _: Path) -> Figures:
    """Odd-numbered images of laboratories whose even-numbered ones were trained on."""
    report: Figures = {}
    model = KindModel.embedded()
    for name in ("bccd", "raabin"):
        known = cells.read_by_eye(data, name)
        look = model.look(known.pixels)
        report[name] = _mature(known, look.probabilities) | {
            "not found": known.missed,
            "coverage": _coverage(model, look.probabilities, known.kinds, LEVEL),
            "drift noticed in ten cells": _noticed(model, look.novelty),
            "confusion": figures.confusion(look.probabilities, known.kinds),
        }
    return report


def left_out(data: Path, run: Path) -> Figures:
    """Laboratories by a network that has seen no image of them; even-numbered images took part in the calibration."""
    report: Figures = {}
    for name in ("bccd", "raabin"):
        cells_of_it = cells.read_by_eye(data, name, every=True)
        look = KindNetwork(run / f"without-{name}.onnx").look(cells_of_it.pixels)
        report[name] = _mature(cells_of_it, look.probabilities) | {
            "confusion": figures.confusion(look.probabilities, cells_of_it.kinds)
        }
    return report


def adapting(data: Path, _: Path) -> Figures:
    """JHU with up to 20 cells of each kind of some patients to adapt; the other patients are tested."""
    known = cells.jhu(data)
    known = known.take(np.isin(known.kinds, [KINDS.index(kind) for kind in FIVE]))
    labelled = LabelledCells.of(known.pixels, known.kinds, known.groups, KindModel.embedded())
    before, after = [], []
    splits = GroupShuffleSplit(REPEATS, test_size=0.4, random_state=0).split(known.kinds, groups=known.groups)
    rng = np.random.default_rng(0)
    for train, test in splits:
        some = np.concatenate([rng.permutation(train[known.kinds[train] == kind])[:PER_KIND] for kind in range(8)])
        part, rest = labelled.take(some), labelled.take(test)
        correction = fit_correction(part, choose_penalty(part, 0))
        found = correction.apply(rest.looks[0]).probabilities.argmax(axis=1)
        before.append(balanced_accuracy_score(rest.kinds, rest.looks[0].probabilities.argmax(axis=1)))
        after.append(balanced_accuracy(rest.kinds, found))
    return {
        "repeats": REPEATS,
        "before": {"mean": float(np.mean(before)), "sd": float(np.std(before, ddof=1))},
        "after": {"mean": float(np.mean(after)), "sd": float(np.std(after, ddof=1))},
    }


def _mature(known: KnownCells, probabilities: np.ndarray) -> Figures:
    mature = np.isin(known.kinds, [KINDS.index(kind) for kind in MATURE_KINDS])
    parts = probabilities[mature], known.kinds[mature], known.groups[mature]
    return {
        "cells": int(mature.sum()),
        "among the five mature kinds": figures.accuracy(*parts, MATURE_KINDS),
        "among all kinds": figures.accuracy(*parts),
    }


def _coverage(model: KindModel, probabilities: np.ndarray, kinds: np.ndarray, level: float) -> Figures:
    """How often the true kind is in a cell's set, and how many cells have one kind in theirs."""
    sets = model.calibration.p_values(probabilities) > level
    inside = sets[np.arange(len(kinds)), kinds]
    by_kind = {
        KINDS[kind]: clopper_pearson_interval(float(inside[kinds == kind].mean()), int((kinds == kind).sum()))
        for kind in np.unique(kinds)
    }
    clear = sets.sum(axis=1) == 1
    return {
        "all": clopper_pearson_interval(float(inside.mean()), len(inside)),
        "by kind": by_kind,
        "cells of one kind": float(clear.mean()),
        "right of these": float((sets.argmax(axis=1) == kinds)[clear].mean()) if clear.any() else None,
    }


def _noticed(model: KindModel, novelty: np.ndarray) -> float:
    """How often ten cells, drawn at random, are noticed as unlike those of calibration."""
    rng = np.random.default_rng(0)
    drawn = (rng.choice(novelty, 10, replace=False) for _ in range(200))
    return float(np.mean([model.calibration.evidence(ten) >= EVIDENCE for ten in drawn]))

"""Decisions by the network alone, by the cells alone, by three figures of nuclei, and by network and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.elsewhere.images import LABORATORIES, Data, Field, changed, drawn, middle, tiles
from benchmarks.three_figures import by_three_figures
from leuko.decision.cell_score import CellScore
from leuko.decision.fusion import Verdict
from leuko.images.stain.normalisation import reinhard_normalise
from leuko.inference.classifier import ClassificationResult, Classifier
from leuko.stats.proportions import wilson_interval

FIGURES = ("decided", "wrong", "suspicious", "auc_roc")


def measure(data: Data, model: Path) -> dict[str, dict]:
    """Decisions by the network alone, by the cells alone and by both."""
    classifier = Classifier.load(model)
    looks = {name: data.look(name) for name in LABORATORIES}
    sets: dict[str, Callable[[], Iterator[Field]]] = {
        "aria validation": lambda: data.aria("validation", 2),
        "aria test": lambda: data.aria("test"),
        **{
            f"aria test, stain of {name}": lambda look=look: changed(
                data, lambda image: reinhard_normalise(image, look)
            )
            for name, look in looks.items()
        },
        "aria test, cells twice as large": lambda: changed(data, middle),
        "aria test, cells half as large, stain of pbc": lambda: tiles(
            [f._replace(image=reinhard_normalise(f.image, looks["pbc"])) for f in data.aria("test")]
        ),
        "bccd odd (healthy)": lambda: data.bccd(odd=True, left_out=False),
        "bccd odd (healthy), kinds without bccd": lambda: data.bccd(odd=True, left_out=True),
        "drawn": drawn,
    }
    report = {}
    print("| images | n | by | decided | wrong of them | suspicious | AUC-ROC |\n|---|---|---|---|---|---|---|")
    for name, fields in sets.items():
        report[name] = _measure(classifier, list(fields()))
        for by, said in report[name]["by"].items():
            row = [name, str(report[name]["images"]), by, *(_in_words(said[figure]) for figure in FIGURES)]
            print(f"| {' | '.join(row)} |", flush=True)
    return report


def _measure(classifier: Classifier, fields: Sequence[Field]) -> dict:
    ill = np.array([field.ill for field in fields])
    models = {id(field.kinds): field.kinds for field in fields}
    by_kinds = {key: Classifier(classifier.model, kinds) for key, kinds in models.items()}
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
    return _cells_alone(cells and reading.measurements and by_three_figures(cells, reading.measurements))


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

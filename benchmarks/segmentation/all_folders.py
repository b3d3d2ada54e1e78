"""Sections over all folders: scale of fields, the cell in the middle of close-ups, and images that are no smears."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmentation import estimators, truth
from benchmarks.segmentation.estimators import Estimator, Figures
from benchmarks.segmentation.run import Run, Segmenter, Summary
from leuko.cells.red_cell_size import RED_CELL_DIAMETER_UM
from leuko.images.decode import decode

ENOUGH = 20  # whole red cells of a field that must have a scale
SCALED = ("aria", "bccd", "raabin", "chula", "phone_and_thin", "pbc")
OFF = 0.15  # relative error of the scale
REFERENCE = "fuzzy"  # this method too says which fields hold enough red cells
SMUDGES = "Smudge_cells"  # a kind of JHU
CELL, PLATELET = 0.1, 0.5  # least share of the true cell's area that a white cell covers to be a part of it


def scale(run: Run) -> Figures:
    """Whether fields with at least 20 whole red cells have a scale, and how far it is off where boxes tell.

    The boxes of BCCD are too few to say that a field has less than 20, so there the counts may say that it has. Where
    there are no boxes, the count of this method and of `REFERENCE` tell, whichever is larger.
    """
    known: dict[str, np.ndarray] = {}
    parts: Figures = {}
    for folder in SCALED:
        files = truth.images(run.data, folder)
        found, reference = run.summaries(files), run.summaries(files, REFERENCE)
        enough = [_enough(folder, *given) for given in zip(files, found, reference, strict=True)]
        known[folder] = np.array([one.um_per_px is not None for one, it in zip(found, enough, strict=True) if it], bool)
        if folder in truth.BOX_PER_CELL:
            parts |= _off(folder, files, found)
    together = np.concatenate(list(known.values()))
    figures = {
        **estimators.intervals({"all folders: scale known": estimators.share(together)}, len(together)),
        **{
            key: value
            for folder, are in known.items()
            for key, value in estimators.intervals({f"{folder}: scale known": estimators.share(are)}, len(are)).items()
        },
    }
    return figures | parts


def _enough(folder: str, file: Path, found: Summary, reference: Summary) -> bool:
    counts = [found.whole_red, reference.whole_red]
    if folder in truth.BOX_PER_CELL:
        boxes = len(truth.whole_red_boxes(file))
        counts = [boxes] if folder == "raabin" else [boxes, *counts]
    return max(counts) >= ENOUGH


def _off(folder: str, files: list[Path], found: list[Summary]) -> Figures:
    """The error of the scale in fields with boxes of at least five whole red cells."""
    diameters = [truth.red_cell_diameter(file) for file in files]
    boxed = [(one, true) for one, true in zip(found, diameters, strict=True) if true]
    ratios = np.array([one.um_per_px * true / RED_CELL_DIAMETER_UM for one, true in boxed if one.um_per_px])
    inside = ratios / truth.BOX_PER_CELL[folder]
    known = np.array([one.um_per_px is not None for one, _ in boxed])
    name = f"{folder}, {truth.WHOLE_BOXES} or more boxes"
    return estimators.intervals({f"{name}: scale known": estimators.share(known)}, len(known)) | estimators.intervals(
        {
            f"{name}: scale off by over 15 %": estimators.share(abs(ratios - 1) > OFF),
            f"{name}: the same, without the margin of the boxes": estimators.share(abs(inside - 1) > OFF),
            f"{name}: scale over the true one, median": estimators.median(ratios, most=2.0),
        },
        len(ratios),
    )


def singles(run: Run) -> Figures:
    """Share of close-ups in which the cell in the middle is exactly one white cell; of platelets, and of smudge cells,
    none. In JTSC white cells of which half lies in the true cell, or that cover a tenth of it, are parts of it."""
    figures: Figures = {}
    pbc = _right(run, truth.images(run.data, "pbc"), none=("platelet",))
    right = np.concatenate(list(pbc.values()))
    figures |= estimators.intervals({"PBC: right count in the middle": estimators.share(right)}, len(right))
    for kind, are in pbc.items():
        figures |= estimators.intervals({f"PBC {kind}: right count in the middle": estimators.share(are)}, len(are))
    jhu = _right(run, _jhu(run.data), none=(SMUDGES,))
    cells = np.concatenate([are for kind, are in jhu.items() if kind != SMUDGES])
    figures |= estimators.intervals({"JHU: one white cell in the middle": estimators.share(cells)}, len(cells))
    smudges = jhu[SMUDGES]
    figures |= estimators.intervals(
        {"JHU smudge cells: no white cell in the middle": estimators.share(smudges)}, len(smudges)
    )
    files = truth.images(run.data, "jtsc")
    one = np.array(run.map(_parts_of_true_cell, files)) == 1
    parts: dict[str, Estimator] = {"JTSC: one white cell in the true one": estimators.share(one)}
    return figures | estimators.intervals(parts, len(files))


def _right(run: Run, files: list[Path], none: tuple[str, ...]) -> dict[str, np.ndarray]:
    """By kind, the folder's name: whether the middle of each image has one white cell, or none where none is right."""
    right: dict[str, list[bool]] = {}
    for file, found in zip(files, run.summaries(files), strict=True):
        kind = file.parent.name
        right.setdefault(kind, []).append(found.middle == (kind not in none))
    return {kind: np.array(are) for kind, are in right.items()}


def _jhu(data: Path) -> list[Path]:
    with (data / "jhu" / "cells.csv").open(encoding="utf-8") as lines:
        return [data / "jhu" / line["file"] for line in csv.DictReader(lines)]


def _parts_of_true_cell(segmenter: Segmenter, file: Path) -> int:
    true = truth.jtsc_mask(file) > truth.CELL
    labels = segmenter(decode(file)).white_cells
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels[true], minlength=len(areas))[1:]
    return int(((inside >= CELL * true.sum()) | ((inside > 0) & (inside >= PLATELET * areas[1:]))).sum())


def elsewhere(run: Run) -> dict[str, dict[str, Any]]:
    """Counts, scale and refusal of single images of other kinds; sections of tissue must give no counts."""
    figures: dict[str, dict[str, Any]] = {}
    for folder in ("phone_and_thin", "cnmc", "he_sections"):
        files = truth.images(run.data, folder)
        found = run.summaries(files)
        counted = np.array([not one.refused for one in found])
        figures |= estimators.intervals({f"{folder}: images with counts": estimators.share(counted)}, len(files))
        for file, one in zip(files, found, strict=True):
            figures[f"{folder}/{file.name}"] = {
                "value": None,
                "low": None,
                "high": None,
                "images": 1,
                "text": _told(one),
            }
    return figures


def _told(one: Summary) -> str:
    """What is found in one image, in words."""
    scale = f"{one.um_per_px:.3f} µm a pixel" if one.um_per_px else "no scale"
    counts = f"{one.white} white, {one.red} red, {one.platelets} platelets, {one.smudges} smudge cells, {scale}"
    return f"{counts}; not reported: {one.refused}" if one.refused else counts

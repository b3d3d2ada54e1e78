"""Sections with known cells: JTSC, BCCD (masks, boxes, recount), Raabin (boxes), Chula (nearly no white cells)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from benchmarks.segmentation import estimators, truth
from benchmarks.segmentation.estimators import Estimator, Figures
from benchmarks.segmentation.matching import (
    LEAST_IOU,
    Agreement,
    Box,
    box_iou,
    boxes_of,
    dice,
    iou,
    match,
    red_agreement,
    white_agreement,
)
from benchmarks.segmentation.run import Run, Segmenter, columns
from leuko.cells.segmentation import Segmentation
from leuko.images.decode import decode

POOR = 0.8  # Dice or IoU below which a cell counts as badly outlined


class Outlines(NamedTuple):
    """Agreement of outlines in one image: Dice of nuclei and IoU of white cells; NaN without a true cell."""

    nucleus: float
    cell: float


class Field(NamedTuple):
    """What is right and wrong in one field of BCCD.

    Attributes:
        hits, true, found, cut: white cells, as of `Agreement`.
        red_hits, red: boxed red cells whose middle is in a found one, and all.
        taken, platelets: boxed platelets taken for white cells, and all.
        wrongly: those taken that are platelets indeed.
        nucleus, cell: as of `Outlines`.
    """

    hits: int
    true: int
    found: int
    cut: int
    red_hits: int
    red: int
    taken: int
    platelets: int
    wrongly: int
    nucleus: float
    cell: float


def jtsc(run: Run) -> Figures:
    """Nucleus and cell nearest to the middle of JTSC."""
    figures: Figures = {}
    for half, odd in (("odd", True), ("even", False)):
        files = [file for file in truth.images(run.data, "jtsc") if truth.is_odd(file) == odd]
        found = columns(run.map(_outline_nearest, files))
        parts: dict[str, Estimator] = {}
        for name, values in (("nucleus Dice", found.nucleus), ("cell IoU", found.cell)):
            parts |= {
                f"JTSC {half}: {name}, mean": estimators.mean(values),
                f"JTSC {half}: {name}, median": estimators.median(values),
                f"JTSC {half}: {name} below {POOR}": estimators.share(values < POOR),
            }
        figures |= estimators.intervals(parts, len(files))
    return figures


def _outline_nearest(segmenter: Segmenter, file: Path) -> Outlines:
    mask = truth.jtsc_mask(file)
    found = segmenter(decode(file))
    ids = range(1, int(found.white_cells.max(initial=0)) + 1)
    middles = ndimage.center_of_mass(np.ones(mask.shape), found.white_cells, ids)
    away = [np.hypot(y - mask.shape[0] / 2, x - mask.shape[1] / 2) for y, x in middles]
    nearest = int(np.argmin(away)) + 1 if away else -1
    return Outlines(
        dice(found.nuclei == nearest, mask > truth.NUCLEUS), iou(found.white_cells == nearest, mask > truth.CELL)
    )


def bccd(run: Run) -> Figures:
    """White cells, their outlines, boxed red cells and platelets of odd-numbered fields of BCCD."""
    files = truth.bccd_files(run.data, odd=True)
    of = columns(run.map(_field, files))
    outlined = np.where([file.stem == truth.WRONG_MASK for file in files], np.nan, 1.0)
    real_platelets = of.platelets - np.isin([file.stem for file in files], truth.NO_PLATELETS)
    return estimators.intervals(
        {
            "BCCD odd: white cells, precision": estimators.proportion(of.hits, of.found),
            "BCCD odd: white cells, recall": estimators.proportion(of.hits, of.true),
            "BCCD odd: white cells, F1": estimators.f1(of.hits, of.true, of.found),
            "BCCD odd: white cells, F1, cut ones without a box aside": estimators.f1(
                of.hits, of.true, of.found - of.cut
            ),
            "BCCD odd: boxed red cells found": estimators.proportion(of.red_hits, of.red),
            "BCCD odd: platelets taken for white cells": estimators.proportion(of.taken, of.platelets),
            "BCCD odd: the same, two white cells boxed as platelets aside": estimators.proportion(
                of.wrongly, real_platelets
            ),
            "BCCD odd: nucleus Dice, mean": estimators.mean(of.nucleus),
            "BCCD odd: nucleus Dice, mean, one wrong mask aside": estimators.mean(of.nucleus * outlined),
            "BCCD odd: white-cell IoU, mean": estimators.mean(of.cell),
            "BCCD odd: white-cell IoU, mean, one wrong mask aside": estimators.mean(of.cell * outlined),
        },
        len(files),
    )


def _field(segmenter: Segmenter, file: Path) -> Field:
    return compare_field(segmenter(decode(file)), truth.boxes(file), truth.bccd_mask(file), file.stem)


def compare_field(found: Segmentation, boxes: truth.Boxes, mask: np.ndarray | None = None, name: str = "") -> Field:
    """What is right and wrong in the segmentation of a field of BCCD.

    Args:
        found: the segmentation, H × W.
        boxes: the true boxes.
        mask: uint8, H × W, of nuclei and white cells; without it outlines are NaN.
        name: of the file, without its suffix.
    """
    ours, shape = boxes_of(found.white_cells), found.white_cells.shape
    white = white_agreement(ours, boxes["WBC"], shape)
    matched = match(ours, boxes["WBC"])
    free = [box for i, box in enumerate(ours) if i not in matched]
    taken = sum(any(box_iou(one, box) >= LEAST_IOU for one in free) for box in boxes["Platelets"])
    outlines = Outlines(np.nan, np.nan)
    if mask is not None and (mask > truth.CELL).any():
        outlines = Outlines(dice(found.nuclei > 0, mask > truth.NUCLEUS), iou(found.white_cells > 0, mask > truth.CELL))
    return Field(
        *white,
        red_hits=sum(_covers_middle(found.red_cells, box) for box in boxes["RBC"]),
        red=len(boxes["RBC"]),
        taken=taken,
        platelets=len(boxes["Platelets"]),
        wrongly=max(taken - (name in truth.NO_PLATELETS), 0),
        nucleus=outlines.nucleus,
        cell=outlines.cell,
    )


def _covers_middle(labels: np.ndarray, box: Box) -> bool:
    x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
    return bool(labels[min(y, labels.shape[0] - 1), min(x, labels.shape[1] - 1)] > 0)


def recount(run: Run) -> Figures:
    """Red cells counted, against two readings of 40 odd-numbered fields of BCCD and one of 40 even-numbered."""
    readings = truth.recount()
    figures: Figures = {}
    for half, odd in (("odd", True), ("even", False)):
        files = [file for file in truth.images(run.data, "bccd") if file.stem in readings and truth.is_odd(file) == odd]
        counted = np.array([summary.red for summary in run.summaries(files)], float)
        parts: dict[str, Estimator] = {}
        for number, name in enumerate(("recount", "second reading")[: 2 if odd else 1]):
            true = np.array([readings[file.stem][number] for file in files])
            parts |= {
                f"BCCD {half}, {name}: red cells, mean absolute error": estimators.mean(abs(counted - true) / true),
                f"BCCD {half}, {name}: red cells, all together": estimators.excess(counted, true),
            }
        figures |= estimators.intervals(parts, len(files))
    return figures


def raabin(run: Run) -> Figures:
    """White and red cells of Raabin; border fragments of red cells as in `matching.red_agreement`."""
    files = truth.images(run.data, "raabin")
    pairs = run.map(_boxed_cells, files)
    odd = np.array([truth.is_odd(file) for file in files])
    figures: Figures = {}
    for half, chosen in (("all", np.ones(len(files), bool)), ("odd", odd)):
        white, red, corrected = (
            columns([pair[side] for pair, one in zip(pairs, chosen, strict=True) if one]) for side in range(3)
        )
        figures |= estimators.intervals(
            {
                f"Raabin {half}: white cells, F1": estimators.f1(white.hits, white.true, white.found),
                f"Raabin {half}: white cells, F1, cut ones without a box aside": estimators.f1(
                    white.hits, white.true, white.found - white.cut
                ),
                f"Raabin {half}: white cells, F1, six wrong boxes put right": estimators.f1(
                    corrected.hits, corrected.true, corrected.found
                ),
                f"Raabin {half}: the same, cut ones without a box aside": estimators.f1(
                    corrected.hits, corrected.true, corrected.found - corrected.cut
                ),
                f"Raabin {half}: red cells, F1": estimators.f1(red.hits, red.true, red.found),
                f"Raabin {half}: red cells, precision": estimators.proportion(red.hits, red.found),
                f"Raabin {half}: red cells, recall": estimators.proportion(red.hits, red.true),
                f"Raabin {half}: red cells, F1, cut ones without a box aside": estimators.f1(
                    red.hits, red.true, red.found - red.cut
                ),
            },
            int(chosen.sum()),
        )
    return figures


def _boxed_cells(segmenter: Segmenter, file: Path) -> tuple[Agreement, Agreement, Agreement]:
    """Agreement of white cells, of red cells, and of white cells with corrected boxes."""
    image, true = decode(file), truth.boxes(file)
    found = segmenter(image)
    white = boxes_of(found.white_cells)
    return (
        white_agreement(white, true["WBC"], image.shape),
        red_agreement(boxes_of(found.red_cells), true["RBC"], image.shape),
        white_agreement(white, truth.corrected_boxes(file)["WBC"], image.shape),
    )


def chula(run: Run) -> Figures:
    """White cells found in fields that have none, or a known few."""
    files = truth.images(run.data, "chula")
    figures: Figures = {}
    for half, chosen in (("all", files), ("odd", [file for file in files if truth.is_odd(file)])):
        found = np.array([summary.white for summary in run.summaries(chosen)])
        real = np.array([truth.CHULA_WHITE.get(file.name, 0) for file in chosen])
        false = np.maximum(found - real, 0)
        figures |= estimators.intervals(
            {
                f"Chula {half}: white cells found a field": estimators.mean(found, most=found.max(initial=1)),
                f"Chula {half}: the same beyond the real ones": estimators.mean(false, most=false.max(initial=1)),
                f"Chula {half}: fields with a false white cell": estimators.share(false > 0),
                f"Chula {half}: white cells missed": estimators.total(np.maximum(real - found, 0)),
            },
            len(chosen),
        )
    return figures

"""Random fields over the whole range of smears, stains and optics, to train segmentation with exact masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from leuko.images.synthetic import marks
from leuko.images.synthetic.layout import RED_CELL_RADIUS_UM, Rng
from leuko.images.synthetic.optics import Optics, compress
from leuko.images.synthetic.red_forms import FORMS, RedCellStyle
from leuko.images.synthetic.rendering import Smear, render
from leuko.images.synthetic.stains import random_stain

# Kinds of white cells, by how often they are drawn in a mixed field.
_MIXED = {
    "neutrophil": 5, "lymphocyte": 4, "monocyte": 2, "eosinophil": 1.5, "basophil": 1, "band_neutrophil": 1.5,
    "immature_granulocyte": 1.5, "erythroblast": 1, "blast": 2, "large_blast": 1, "reactive_lymphocyte": 1.5,
    "plasma_cell": 0.5,
}  # fmt: skip
_LEUKAEMIC = {"blast": 12, "large_blast": 4, "lymphocyte": 3, "neutrophil": 1, "erythroblast": 0.5, "monocyte": 0.5}


def random_field(seed: int, side_px: int = 320, red_diameter_px: float = 32) -> Smear:
    """Draw a random smear; the same arguments give the same field.

    A quarter of the fields has no white cell, most have one to three, some up to thirty, in clumps or not. Stain,
    optics, forms of red cells, smudge cells, debris and burned-in marks are random.

    Args:
        seed: any whole number from 0.
        side_px: side of the square image in pixels, from 64.
        red_diameter_px: diameter of a normal red cell (7.5 µm) in pixels. One field in twenty is a close-up of a
            single white cell at up to twice that scale: `um_per_px` of the result tells.
    """
    choices, final = np.random.default_rng([seed, 1]).spawn(2)
    close_up = choices.random() < 0.05
    um_per_px = 2 * RED_CELL_RADIUS_UM / red_diameter_px / (choices.uniform(1.2, 2) if close_up else 1)
    options = _options(choices, side_px * um_per_px)
    jpeg = int(choices.integers(40, 98)) if choices.random() < 0.6 else None
    if close_up:
        options |= {"white_cells": dict.fromkeys(_kinds(choices, _MIXED, 1), 1), "cut": False}
    while True:
        try:
            smear = render(seed, width=side_px, height=side_px, um_per_px=um_per_px, **options)
            break
        except ValueError:  # too many white cells for the field
            options["white_cells"] = {kind: count // 2 for kind, count in options["white_cells"].items()}
    smear = _marked(smear, final)
    return Smear(**{**vars(smear), "image": compress(smear.image, jpeg)})


def _options(rng: Rng, side_um: float) -> dict[str, Any]:
    """Options of `render` for a field of a side in µm."""
    area = (side_um / 75) ** 2  # relative to a field of ten red cells' side
    clumping = rng.choice([0, 0.5, 0.9], p=[0.6, 0.2, 0.2])
    return {
        "white_cells": _white_cells(rng, area),
        "touching": rng.choice([0, 0.3, 0.8], p=[0.6, 0.25, 0.15]),
        "clumping": clumping,
        "cut": bool(rng.random() < 0.7),
        "variety": rng.uniform(0.2, 1),
        "smudges": int(rng.integers(1, 4)) if rng.random() < 0.15 else 0,
        "red_cover": _red_cover(rng),
        "rouleaux": rng.choice([0.05, 0.2, 0.6], p=[0.4, 0.4, 0.2]),
        "piles": rng.choice([0, 0.15, 0.5], p=[0.7, 0.2, 0.1]),
        "red_style": _red_style(rng),
        "platelets": int(rng.poisson(rng.choice([0.5, 4, 12], p=[0.35, 0.5, 0.15]) * area)),
        "platelet_clumping": rng.choice([0, 0.5, 0.9], p=[0.7, 0.2, 0.1]),
        "debris": int(rng.integers(1, 6)) if rng.random() < 0.3 else 0,
        "plasma": rng.uniform(0, 0.25) if rng.random() < 0.3 else 0,
        "stain": random_stain(rng),
        "shading": rng.choice([0.05, 0.2, 0.6], p=[0.5, 0.35, 0.15]),
        "blur_um": np.exp(rng.uniform(np.log(0.06), np.log(0.7))),
        "noise": rng.uniform(0, 0.03),
        "optics": _optics(rng),
    }


def _white_cells(rng: Rng, area: float) -> dict[str, int]:
    """How many white cells of each kind: none in a quarter of the fields, one to three in half, else many."""
    draw = rng.random()
    if draw < 0.25:
        return {}
    if draw < 0.72:
        count = int(rng.integers(1, 4))
    elif draw < 0.86:
        count = int(rng.integers(4, 10))
    else:
        count = max(1, round(rng.integers(10, 31) * min(area, 1.5)))
    kinds = _kinds(rng, _LEUKAEMIC if rng.random() < (0.3 if count < 4 else 0.75) else _MIXED, count)
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _kinds(rng: Rng, weights: dict[str, float], count: int) -> list[str]:
    shares = np.array(list(weights.values()))
    return rng.choice(list(weights), count, p=shares / shares.sum()).tolist()


def _red_cover(rng: Rng) -> float:
    """None in 5 % of the fields, else from sparse to crowded."""
    draw = rng.random()
    if draw < 0.05:
        return 0
    if draw < 0.25:
        return rng.uniform(0.05, 0.25)
    return rng.uniform(0.25, 0.6) if draw < 0.8 else rng.uniform(0.6, 1.1)


def _red_style(rng: Rng) -> RedCellStyle:
    """Plain cells in a third of the fields, else a mixture of forms of which one or two prevail."""
    forms: dict[str, float] = {}
    if rng.random() < 0.65:
        forms = {form: rng.uniform(0, 0.03) for form in FORMS[1:]}
        for form in rng.choice(FORMS[1:], 2, replace=False):
            forms[str(form)] = rng.uniform(0.05, 0.5)
    depth = rng.uniform(0, 1)
    return RedCellStyle(
        forms=forms,
        size_spread=rng.uniform(0.03, 0.18),
        pallor=(0.6 * depth, min(1, depth + rng.uniform(0.05, 0.5))),
        pallor_width=rng.uniform(0.3, 0.7),
        rim=rng.uniform(0, 0.5),
        density_spread=rng.uniform(0.04, 0.16),
        refractile=rng.uniform(0.2, 1) if rng.random() < 0.15 else 0,
        inclusions=rng.uniform(0.02, 0.3) if rng.random() < 0.12 else 0,
        overlap=rng.uniform(0.1, 1) if rng.random() < 0.6 else 1,
        packed=bool(rng.random() < 0.15),
        blueness=rng.uniform(0.02, 0.2) if rng.random() < 0.3 else 0,
    )


def _optics(rng: Rng) -> Optics:
    return Optics(
        tilt_um=rng.uniform(0.2, 1) if rng.random() < 0.15 else 0,
        shade=tuple(rng.uniform(0.5, 1.5, 3)) if rng.random() < 0.4 else (1, 1, 1),
        fringe_um=rng.uniform(0.03, 0.25) if rng.random() < 0.3 else 0,
        sharpening=rng.choice([0, 0.4, 1.2], p=[0.35, 0.45, 0.2]) * rng.uniform(0.6, 1.2),
        halo_um=rng.uniform(0.25, 0.7),
        exposure=rng.uniform(1, 1.25) if rng.random() < 0.2 else 1,
        gamma=rng.uniform(0.75, 1.35) if rng.random() < 0.4 else 1,
    )


def _marked(smear: Smear, rng: Rng) -> Smear:
    """Burned-in marks in a tenth of the fields, an eyepiece's surround in 3 %."""
    if rng.random() < 0.03:
        smear = marks.look_through_eyepiece(smear, rng)
    if rng.random() < 0.1:
        for i in rng.permutation(3)[: rng.integers(1, 3)]:
            smear = (marks.burn_arrow, marks.burn_scale_bar, marks.burn_frame)[i](smear, rng)
    return smear

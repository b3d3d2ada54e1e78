"""Choose how cells are pooled, and fit the slope and the bias of the cell-based score."""

from __future__ import annotations

from itertools import product

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benchmarks.elsewhere.images import LABORATORIES, Data, Field, restained
from leuko.cells.blast_share import BLAST_THRESHOLD
from leuko.cells.counting import tally_white_cells
from leuko.cells.features.morphology import Measurements
from leuko.cells.kinds import classify
from leuko.cells.segmentation import segment
from leuko.decision import cell_score
from leuko.decision.cell_pooling import PoolingParameters, log_bayes_factor

SOME_CELLS = 3  # white cells, from which on the share of blasts in a field says something
EVERY = 6  # training image of Aria, for the fit
# Of these `fit` chooses. Flatter distributions fit as well with a steeper slope, and say the same.
PRIORS = [
    PoolingParameters(with_leukaemia, without, neutral, max_ratio)
    for with_leukaemia, without, neutral, max_ratio in product(
        ((2.0, 1.0), (4.0, 1.5), (1.0, 0.25), (8.0, 1.0)),
        ((1.0, 2.0), (1.0, 4.0), (2.0, 4.0)),
        (0.1, 0.2, 0.35, 0.5),
        (10.0, 50.0),
    )
]


def fit(data: Data) -> None:
    """Choose how cells are pooled, fit the weights, and print both."""
    cells, weights, ill, benign = [], [], [], []
    aria = [*data.aria("train", EVERY), *restained(data, list(data.aria("train", EVERY)), LABORATORIES)]
    healthy = list(data.bccd(odd=False, left_out=True))
    healthy = healthy[::2] + restained(data, healthy[1::2], ("aria", "pbc", "jtsc"))
    groups = [f for f in aria if f.ill], [f for f in aria if not f.ill], healthy
    for group, share in zip(groups, (0.5, 0.25, 0.25), strict=True):
        known = [blasts for field in group if (blasts := _blasts(field)) is not None]
        benign = known if group is groups[1] else benign
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
    shares = [(blasts >= BLAST_THRESHOLD).mean() for blasts in benign if len(blasts) >= SOME_CELLS]
    most = np.quantile(shares, 0.9)
    print(f"{len(shares)} Benign fields of {SOME_CELLS} cells or more: nine of ten have a share of up to {most:.2f}")


def _blasts(field: Field) -> np.ndarray | None:
    """The blast probabilities of the counted cells; None without a cell-based score."""
    found = segment(field.image)
    measurements = Measurements(found)
    kinds = classify(field.image, found, field.kinds) if found.reliable else None
    if kinds is None or cell_score.score_field(measurements, kinds).probability is None:
        return None
    return kinds.blast_probabilities[cell_score.counted_rows(measurements.shapes, tally_white_cells(found))]

"""Whether the laboratory can be told: by the network's features, by ImageNet's, by colours, by the background alone.

Lymphocytes of four laboratories are compared, so that kinds do not tell the laboratory. JHU took no part in training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.kinds import cells
from leuko.cells.kinds.names import KINDS
from leuko.cells.kinds.network import KindNetwork, as_input
from leuko.stats.proportions import clopper_pearson_interval
from leuko.training.kinds.cells import Cells
from leuko.training.kinds.two_views import TwoViewNetwork
from leuko.training.segmenter.settings import TRUNK

KIND, A_LABORATORY = "lymphocyte", 40


def audit(data: Path, run: Path) -> dict[str, Any]:
    """How well a linear classifier tells the laboratory of lymphocytes; chance is 1 of 4."""
    pixels, surroundings, laboratories = [], [], []
    rng = np.random.default_rng(0)
    for name in ("pbc", "bccd", "raabin"):
        stored = Cells.read(run / f"{name}.npz")
        for row in rng.permutation(np.flatnonzero(stored.labels == KIND))[:A_LABORATORY]:
            pixels.append(stored.alone(row))
            crop, parts = stored.middle(row)
            surroundings.append(crop[parts == 0].astype(float))
            laboratories.append(name)
    known = cells.jhu(data)
    for row in rng.permutation(np.flatnonzero(known.kinds == KINDS.index(KIND)))[:A_LABORATORY]:
        pixels.append(known.pixels[row])
        laboratories.append("jhu")
    crops, truth = np.stack(pixels), np.array(laboratories)
    imagenet = TwoViewNetwork()
    imagenet.load_trunk(TRUNK)
    with torch.no_grad():
        untrained = imagenet.eval()(torch.from_numpy(as_input(crops)))[1].numpy()
    colours = np.stack([[*crop.mean(axis=(0, 1)), *crop.std(axis=(0, 1))] for crop in crops])
    outside = np.stack([[*values.mean(axis=0), *values.std(axis=0)] for values in surroundings])
    of_three = truth[: len(surroundings)]
    return {
        "cells": {name: int((truth == name).sum()) for name in np.unique(truth)},
        "features of the network": _told(KindNetwork.embedded().look(crops).features, truth),
        "features of ImageNet": _told(untrained, truth),
        "colours of the cell": _told(colours, truth),
        "surroundings, before they are masked (chance 1 of 3)": _told(outside, of_three),
    }


def _told(features: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Balanced accuracy of a linear probe by cross-validation, with the exact interval for so many cells."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    found = cross_val_predict(probe, features, truth, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    return clopper_pearson_interval(float(balanced_accuracy_score(truth, found)), len(truth))

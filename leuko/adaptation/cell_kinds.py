"""Adapt the kinds of cells to one laboratory, with 10 to 100 cells of each kind, without PyTorch.

The network is not changed. What its last layer says is corrected by a linear function of its features, which is fitted
to the laboratory's cells and pulled towards no correction. Cross-validation by patient chooses how strongly, and says
how good the kinds are before and after. The reported figures come from cells of patients that took part in neither
(nested cross-validation: Varma & Simon 2006, doi:10.1186/1471-2105-7-91).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.model import LEAST, Correction, KindModel
from leuko.cells.kinds.names import KINDS
from leuko.cells.kinds.network import Look

PENALTIES = 0.003, 0.03, 0.3, 3.0  # of the mean squared weight, relative to the mean loss of a cell
FOLDS = 5
TURNS = 4  # views of a cell, each turned by a quarter


@dataclass(frozen=True)
class LabelledCells:
    """N cells of a laboratory.

    Attributes:
        looks: what the network says about the cells as they are, and turned by a quarter, a half and three quarters.
        kinds: int, N, of `KINDS`.
        groups: int, N, patients or images that belong together.
    """

    looks: tuple[Look, ...]
    kinds: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray, kinds: np.ndarray, groups: np.ndarray, model: KindModel) -> LabelledCells:
        """Look at cells, uint8, N × 96 × 96 × 3, RGB, see `leuko.cells.kinds.crops.cut_alone`."""
        turned = (np.rot90(pixels, turn, axes=(1, 2)) for turn in range(TURNS))
        return cls(tuple(model.network.look(np.ascontiguousarray(view)) for view in turned), kinds, groups)

    def take(self, rows: np.ndarray) -> LabelledCells:
        """Some of the cells."""
        looks = tuple(Look(look.probabilities[rows], look.features[rows], look.novelty[rows]) for look in self.looks)
        return LabelledCells(looks, self.kinds[rows], self.groups[rows])


@dataclass(frozen=True)
class AdaptedKinds:
    """Kinds that were fitted to a laboratory.

    Attributes:
        correction: fitted to all cells.
        calibration: of the corrected probabilities, by cross-validation; of kinds without cells, the earlier one.
        before, after: int, N, the likeliest kind of each cell as shipped, and by corrections that have not seen its
            group.
    """

    correction: Correction
    calibration: Calibration
    before: np.ndarray
    after: np.ndarray


@threadpool_limits.wrap(limits=1)
def adapt_kinds(cells: LabelledCells, calibration: Calibration, seed: int = 0) -> AdaptedKinds:
    """Fit a correction, and say what it is worth.

    Args:
        cells: with two groups or more of each kind.
        calibration: of the model that is adapted.
        seed: of the folds.
    """
    first = cells.looks[0]
    probabilities = first.probabilities.copy()
    for train, test in _folds(cells, seed):
        part = cells.take(train)
        correction = fit_correction(part, choose_penalty(part, seed))
        probabilities[test] = correction.apply(cells.take(test).looks[0]).probabilities
    scores = tuple(
        np.sort(probabilities[cells.kinds == kind, kind]) if (cells.kinds == kind).any() else known
        for kind, known in enumerate(calibration.probabilities)
    )
    return AdaptedKinds(
        fit_correction(cells, choose_penalty(cells, seed)),
        Calibration(scores, np.sort(first.novelty)),
        first.probabilities.argmax(axis=1),
        probabilities.argmax(axis=1),
    )


def choose_penalty(cells: LabelledCells, seed: int) -> float:
    """The penalty with the least cross-validated log loss; the largest where there are too few groups to choose."""
    losses = np.zeros(len(PENALTIES))
    for train, test in _folds(cells, seed + 1):
        part, rest = cells.take(train), cells.take(test)
        for number, penalty in enumerate(PENALTIES):
            found = fit_correction(part, penalty).apply(rest.looks[0]).probabilities
            weights = _weights(rest.kinds)
            losses[number] -= float((weights * np.log(np.maximum(found[np.arange(len(test)), rest.kinds], 1e-6))).sum())
    return PENALTIES[int(losses.argmin())] if losses.any() else PENALTIES[-1]


def fit_correction(cells: LabelledCells, penalty: float) -> Correction:
    """Multinomial logistic regression with the network's log-probabilities as an offset; kinds count alike.

    Only the kinds among the cells are corrected. The features are scaled to unit variance, so that the penalty does not
    depend on their units.

    Args:
        cells: of two kinds or more.
        penalty: of `PENALTIES`.
    """
    shown = np.unique(cells.kinds)
    features = np.concatenate([look.features for look in cells.looks]).astype(float)
    offsets = np.log(np.maximum(np.concatenate([look.probabilities for look in cells.looks]), LEAST)).astype(float)
    kinds = np.tile(cells.kinds, len(cells.looks))
    weights = _weights(kinds)
    centre, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    rows = np.column_stack([(features - centre) / spread / np.sqrt(features.shape[1]), np.ones(len(features))])
    target = (kinds[:, None] == np.arange(len(KINDS))).astype(float)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = np.zeros((len(KINDS), rows.shape[1]))
        matrix[shown] = flat.reshape(len(shown), -1)
        logs = log_softmax(offsets + rows @ matrix.T, axis=1)
        value = -(weights * (target * logs).sum(axis=1)).sum() + penalty / 2 * (matrix**2).sum() / len(shown)
        slope = ((np.exp(logs) - target) * weights[:, None]).T @ rows + penalty / len(shown) * matrix
        return float(value), slope[shown].ravel()

    found = minimize(loss, np.zeros(len(shown) * rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    matrix = np.zeros((len(KINDS), rows.shape[1]))
    matrix[shown] = found.x.reshape(len(shown), -1)
    weight = matrix[:, :-1] / spread / np.sqrt(features.shape[1])
    return Correction(weight, matrix[:, -1] - weight @ centre)


def balanced_accuracy(kinds: np.ndarray, found: np.ndarray) -> float:
    """Mean share of right answers over the kinds that occur; int, N each."""
    return float(np.mean([(found[kinds == kind] == kind).mean() for kind in np.unique(kinds)]))


def _weights(kinds: np.ndarray) -> np.ndarray:
    """Weights, sum 1, with which the kinds that occur count alike."""
    _, inverse, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return 1 / counts[inverse] / len(counts)


def _folds(cells: LabelledCells, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit to and rows to test on; groups stay together."""
    fewest = min(len(np.unique(cells.groups[cells.kinds == kind])) for kind in np.unique(cells.kinds))
    if fewest < 2:
        return
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    for train, test in folds.split(cells.kinds, cells.kinds, cells.groups):
        if len(np.unique(cells.kinds[train])) > 1:
            yield train, test

"""Calibration of the network of kinds on cells that took no part in its fit.

Every cell is judged by a network that has not seen its group (cross-conformal prediction, Vovk 2015,
doi:10.1007/s10472-013-9368-4) or, as far as other laboratories show its kinds, its laboratory: users are other
laboratories, too. From these judgements come the temperature, the biases, the conformal scores of each kind, and how
novel cells look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from leuko.cells.kinds.conformal import Calibration
from leuko.cells.kinds.names import BLAST, NORMAL_KINDS
from leuko.cells.kinds.network import as_input
from leuko.training.kinds.cells import BENIGN, DRAWN, LABELS, MALIGNANT, Cells
from leuko.training.kinds.two_views import NOVELTY_DIMENSIONS, WIDTH, TwoViewNetwork

BATCH = 64
SHRINKAGE = 0.05  # of the eigenvalues towards their mean, so that directions without spread do not count most
FEW = 10  # cells of a kind that say little of a laboratory
FALSE_FORM = 0.02  # share of other cells that may have the form of a blast
NO_FORM = -100.0  # bias with which no cell is a blast by its form
FORM_STRENGTH = 0.03  # of the logistic regression (inverse of the penalty): chosen by one fold
NOVELTIES = 400  # that are stored: quantiles


@dataclass(frozen=True)
class Judged:
    """What a network says about N cells.

    Attributes:
        logits: float32, N × 7, of the normal kinds in the fine view, before the temperature.
        odds, form: float32, N, log-odds of a blast by its contrast and by its form, before their bias.
        features: float32, N × 384.
        novelty: float32, N.
    """

    logits: np.ndarray
    odds: np.ndarray
    form: np.ndarray
    features: np.ndarray
    novelty: np.ndarray

    def probabilities(self, temperature: float, bias: float, form_bias: float) -> np.ndarray:
        """Of all kinds: float, N × 8, sum 1.

        Args:
            temperature: of the normal kinds, above 0.
            bias, form_bias: of the log-odds by contrast and by form, see `blast_bias` and `form_bias`.
        """
        none = expit(-self.odds - bias) * expit(-self.form - form_bias)
        return np.column_stack([softmax(self.logits / temperature, axis=1) * none[:, None], 1 - none])

    @classmethod
    def empty(cls, count: int) -> Judged:
        """Of so many cells, to be filled by `put`."""
        shapes = (count, len(NORMAL_KINDS)), (count,), (count,), (count, 2 * WIDTH), (count,)
        return cls(*(np.full(shape, np.nan, np.float32) for shape in shapes))

    def put(self, rows: np.ndarray, judged: Judged) -> None:
        """Set some of the cells, by their rows or a mask."""
        for name, values in vars(judged).items():
            getattr(self, name)[rows] = values


@torch.no_grad()
def judge(network: TwoViewNetwork, cells: Cells) -> Judged:
    """What a network says about cells as they are, alone on white."""
    network.eval()
    parts = []
    for first in range(0, len(cells), BATCH):
        rows = range(first, min(first + BATCH, len(cells)))
        pixels = np.stack([cells.alone(row) for row in rows])
        _, features, novelty = network(torch.from_numpy(as_input(pixels)))
        near, far = features.chunk(2, dim=1)
        outputs = network.normal(near), network.blast_odds(near, far), network.form_odds(near), features, novelty
        parts.append([values.numpy() for values in outputs])
    return Judged(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def set_novelty(network: TwoViewNetwork, cells: Cells, features: np.ndarray) -> None:
    """Set what novelty is measured by, from the cells that a network was fitted to and their features, N × 384."""
    codes = np.array([LABELS.index(label) for label in cells.labels])
    weights = _equal_laboratories(cells.laboratories)
    centres = np.tile(np.average(features, axis=0, weights=weights), (len(LABELS), 1))
    for code in np.unique(codes):
        centres[code] = np.average(features[codes == code], axis=0, weights=weights[codes == code])
    apart = features - centres[codes]
    values, vectors = np.linalg.eigh((apart * weights[:, None]).T @ apart)
    values, vectors = values[-NOVELTY_DIMENSIONS:], vectors[:, -NOVELTY_DIMENSIONS:]
    whitening = vectors / np.sqrt((1 - SHRINKAGE) * values + SHRINKAGE * values.mean())
    network.whitening.copy_(torch.from_numpy(whitening))
    network.centres.copy_(torch.from_numpy(centres @ whitening))


def refit_form(network: TwoViewNetwork, cells: Cells, features: np.ndarray) -> None:
    """Fit the layer of the form of blasts again, to the finished features, N × 384, of the cells of the fit.

    Now cells of benign fields are among those that are no blasts; laboratories count alike. Without drawn blasts, or
    without other cells, it stays as it is.
    """
    blasts = _drawn_blasts(cells)
    others = np.isin(cells.labels, (*NORMAL_KINDS, BENIGN))
    if not blasts.any() or not others.any():
        return
    rows = blasts | others
    weights = np.zeros(len(cells))
    weights[blasts], weights[others] = 1 / blasts.sum(), _equal_laboratories(cells.laboratories[others])
    near = features[rows, :WIDTH]
    centre, spread = near.mean(axis=0), near.std(axis=0) + 1e-6
    model = LogisticRegression(C=FORM_STRENGTH, max_iter=2000)
    model.fit((near - centre) / spread, blasts[rows], weights[rows] * rows.sum() / 2)
    weight = model.coef_[0] / spread
    with torch.no_grad():
        network.form.weight.copy_(torch.from_numpy(weight[None]))
        network.form.bias.fill_(float(model.intercept_[0] - weight @ centre))


def temperature(cells: Cells, judged: Judged) -> float:
    """The temperature of the normal kinds that makes the labels of cells likeliest; laboratories count alike."""
    named = _named(cells)
    codes = np.array([NORMAL_KINDS.index(label) for label in cells.labels[named]])
    weights = _equal_laboratories(cells.laboratories[named])
    logits = judged.logits[named]

    def loss(log_temperature: float) -> float:
        logs = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float((weights * logs[np.arange(len(codes)), codes]).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x))


def blast_bias(cells: Cells, judged: Judged) -> float:
    """The bias of the log-odds of a blast: 0 lies midway between typical cells of malignant and of benign fields."""
    malignant, benign = (np.median(judged.odds[cells.labels == label]) for label in (MALIGNANT, BENIGN))
    return -float(malignant + benign) / 2


def form_bias(cells: Cells, judged: Judged) -> float:
    """The bias of the log-odds by form: in no laboratory do more than `FALSE_FORM` of the other cells exceed 0.

    Others are cells of normal kinds, and of benign fields. Without drawn blasts no cell is a blast by its form.
    """
    if not _drawn_blasts(cells).any():
        return NO_FORM
    others = _named(cells) | (cells.labels == BENIGN)
    bounds = [
        np.quantile(judged.form[others & (cells.laboratories == name)], 1 - FALSE_FORM)
        for name in np.unique(cells.laboratories[others])
    ]
    return -float(max(bounds))


def replaceable(cells: Cells) -> list[str]:
    """The laboratories that name kinds of cells, and all of whose labels occur in another photographed laboratory."""
    named, photographed = _named(cells), cells.laboratories != DRAWN
    labels = {
        name: set(cells.labels[cells.laboratories == name]) for name in np.unique(cells.laboratories[photographed])
    }
    return [
        name
        for name in np.unique(cells.laboratories[named]).tolist()
        if labels[name] <= set().union(*(others for other, others in labels.items() if other != name))
    ]


def calibration(cells: Cells, judged: Judged, probabilities: np.ndarray) -> Calibration:
    """The conformal scores of each kind, by the probabilities, float, N × 8.

    Most cells of malignant fields are blasts. How many are not is estimated by where benign cells are
    (`contamination`), and so many of those least like blasts are left out.
    """
    named = _named(cells)
    scores = []
    for code, kind in enumerate(NORMAL_KINDS):
        mine = named & (cells.labels == kind)
        scores.append(pooled(probabilities[mine, code], cells.laboratories[mine]))
    malignant = np.sort(probabilities[cells.labels == MALIGNANT, -1])
    share = contamination(malignant, probabilities[cells.labels == BENIGN, -1])
    blasts = malignant[round(share * len(malignant)) :]
    quantiles = np.linspace(0, 1, NOVELTIES)
    novelties = np.quantile(judged.novelty[cells.laboratories != DRAWN], quantiles)
    return Calibration((*scores, np.quantile(blasts, quantiles) if len(blasts) > NOVELTIES else blasts), novelties)


def pooled(scores: np.ndarray, laboratories: np.ndarray) -> np.ndarray:
    """Scores in which laboratories count alike: float, sorted.

    The scores of each laboratory are replaced by equally many of their quantiles (Dunn, Wasserman & Ramdas 2023,
    "Distribution-free prediction sets for two-layer hierarchical models"). There are as many of all as independent
    scores that would be as sure (Kish 1965). Laboratories with under `FEW` cells are left out where others have more.

    Args:
        scores: float, N, 0 to 1, of one kind.
        laboratories: str, N.
    """
    names, counts = np.unique(laboratories, return_counts=True)
    enough = counts >= FEW
    if enough.any():
        names, counts = names[enough], counts[enough]
    if len(names) < 2:
        return np.sort(scores[np.isin(laboratories, names)])
    each = round(len(names) / float((1 / counts).sum()))
    quantiles = np.linspace(0, 1, max(each, 2))
    return np.sort(np.concatenate([np.quantile(scores[laboratories == name], quantiles) for name in names]))


def contamination(mixed: np.ndarray, pure: np.ndarray) -> float:
    """How much of a mixture of scores is of the kind of pure ones at most, 0 to 1.

    The least ratio of the two distribution functions (Blanchard, Lee & Scott 2010, "Semi-supervised novelty
    detection"), at scores that a fifth of the pure ones or more do not reach.
    """
    bounds = np.quantile(pure, np.linspace(0.2, 0.95, 16))
    ratios = [(mixed <= bound).mean() / (pure <= bound).mean() for bound in bounds]
    return float(np.clip(min(ratios), 0, 1))


def _drawn_blasts(cells: Cells) -> np.ndarray:
    """Which cells are drawn blasts."""
    return (cells.labels == BLAST) & (cells.laboratories == DRAWN)


def _named(cells: Cells) -> np.ndarray:
    """Which cells are photographed and have a normal kind."""
    return np.isin(cells.labels, NORMAL_KINDS) & (cells.laboratories != DRAWN)


def _equal_laboratories(laboratories: np.ndarray) -> np.ndarray:
    """Weights, sum 1, with which laboratories count alike."""
    names, inverse, counts = np.unique(laboratories, return_inverse=True, return_counts=True)
    return 1 / counts[inverse] / len(names)

"""Multi-class figures from class probabilities, under weights of the images.

All functions take weights, float32, B × N: one row per bootstrap resample, one column per image
(`leuko.stats.bootstrap`). A figure is an `Estimand` with B values.
"""

from __future__ import annotations

import numpy as np

from leuko.stats.bootstrap import Estimand
from leuko.stats.ranking_metrics import Ranking

Estimands = dict[str, Estimand]


class ClassMetrics:
    """Figures of N images with C classes.

    Attributes:
        present: int, the classes that have images; macro means are over these.
    """

    def __init__(self, probabilities: np.ndarray, truth: np.ndarray) -> None:
        """Prepare for probabilities, float, N × C, and true classes, int, N."""
        self.number = probabilities.shape[1]
        self._cell = truth * self.number + probabilities.argmax(axis=1)  # of the flattened confusion matrix
        self._is_class = truth[:, None] == np.arange(self.number)
        self._rankings = [Ranking(column) for column in probabilities.T]
        self.present = np.flatnonzero(self._is_class.any(axis=0))

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Confusion matrices, float, B × C × C; rows are the true classes."""
        one_hot = np.eye(self.number**2, dtype=np.float32)[self._cell]
        return (weights @ one_hot).astype(np.float64).reshape(-1, self.number, self.number)

    def of_class(self, weights: np.ndarray, c: int) -> Estimands:
        """Precision, recall, specificity, F1 and areas of class `c` against all others."""
        confusion = self.confusion(weights)
        correct, predicted, actual = confusion[:, c, c], confusion[:, :, c].sum(axis=1), confusion[:, c].sum(axis=1)
        others = confusion.sum(axis=(1, 2)) - actual
        ranking, is_class = self._rankings[c], self._is_class[:, c]
        return {
            "precision": Estimand.proportion(correct, np.maximum(predicted, 1)),  # 0 if the class was never predicted
            "recall": Estimand.proportion(correct, actual),
            "specificity": Estimand.proportion(others - predicted + correct, others),
            "f1": Estimand.proportion(correct, (predicted + actual) / 2),
            "auc_roc": Estimand.auc(ranking.auc_roc(weights, is_class), actual, others),
            "auc_pr": Estimand.bounded(ranking.auc_pr(weights, is_class)),
        }

    def overall(self, weights: np.ndarray) -> Estimands:
        """Accuracy, Matthews correlation, and the macro means of `of_class` over the classes that have images."""
        confusion = self.confusion(weights)
        correct, total = np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2))
        by_class = [self.of_class(weights, int(c)) for c in self.present]
        mean = {name: np.mean([each[name].values for each in by_class], axis=0) for name in by_class[0]}
        mcc = matthews_correlation(confusion)
        if len(self.present) == 1:  # no image could be mistaken for the only class
            mean["precision"], mean["f1"], mcc = (np.full(len(total), np.nan) for _ in range(3))
        rarest = self.present[self._is_class[:, self.present].sum(axis=0).argmin()]
        actual = confusion[:, rarest].sum(axis=1)
        return {
            "accuracy": Estimand.proportion(correct, total),
            **{name: Estimand.bounded(values) for name, values in mean.items()},
            "auc_roc": Estimand.auc(mean["auc_roc"], actual, total - actual),
            "balanced_accuracy": Estimand.bounded(mean["recall"]),
            "mcc": Estimand.bounded(mcc, -1.0, 1.0),
        }


def matthews_correlation(confusion: np.ndarray) -> np.ndarray:
    """Matthews correlation of confusion matrices, B × C × C; 0 where it has no denominator.

    For several classes: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.
    """
    correct, total = np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2))
    predicted, actual = confusion.sum(axis=1), confusion.sum(axis=2)
    covariance = correct * total - (predicted * actual).sum(axis=1)
    spread = np.sqrt((total**2 - (predicted**2).sum(axis=1)) * (total**2 - (actual**2).sum(axis=1)))
    return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)

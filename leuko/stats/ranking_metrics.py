"""Ranking metrics: areas under the ROC, precision-recall and risk-coverage curves, for many weightings at once."""

from __future__ import annotations

import numpy as np


class Ranking:
    """Images ranked by a score, the highest first; images of equal score have one level.

    Attributes:
        levels: float, K: the different scores, descending.
    """

    def __init__(self, score: np.ndarray) -> None:
        """Rank images by `score`, float, N."""
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        self._ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(score) else np.empty(0, int)
        self.levels = ranked[self._ends]

    def above(self, weights: np.ndarray) -> np.ndarray:
        """The weight of the images at or above each level; B × N → B × K."""
        return np.cumsum(weights[:, self._order], axis=1, dtype=np.float64)[:, self._ends]

    def auc_roc(self, weights: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Area under the ROC curve (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747); nan with one class.

        Args:
            weights: float, B × N.
            positive: bool, N.

        Returns:
            float, B, 0 to 1.
        """
        true, false = self.above(weights * positive), self.above(weights * ~positive)
        area = (np.diff(false, axis=1, prepend=0) * (true + np.pad(true, ((0, 0), (1, 0)))[:, :-1]) / 2).sum(axis=1)
        return _ratio(area, true[:, -1] * false[:, -1])

    def auc_pr(self, weights: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Area under the precision–recall curve as average precision, without interpolation.

        Davis & Goadrich, "The relationship between precision-recall and ROC curves", 2006, doi:10.1145/1143844.1143874.

        Args and result as of `auc_roc`; nan without positives or without negatives.
        """
        true, false = self.above(weights * positive), self.above(weights * ~positive)
        precision = true / np.maximum(true + false, 1e-12)
        area = (np.diff(true, axis=1, prepend=0) * precision).sum(axis=1)
        return np.where(false[:, -1] > 0, _ratio(area, true[:, -1]), np.nan)

    def aurc(self, weights: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """Area under the risk–coverage curve: the error rate among the most certain answers, mean over all coverages.

        Geifman & El-Yaniv, "Selective classification for deep neural networks", 2017, arXiv:1705.08500; as an area,
        Geifman, Uziel & El-Yaniv 2019, arXiv:1805.08206. The smaller the better.

        Args:
            weights: float, B × N.
            wrong: bool, N.

        Returns:
            float, B, 0 to 1.
        """
        answered, errors = self.above(weights), self.above(weights * wrong)
        risk = errors / np.maximum(answered, 1e-12)
        return _ratio((np.diff(answered, axis=1, prepend=0) * risk).sum(axis=1), answered[:, -1])

    def risk_coverage(self, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The risk–coverage curve: coverage and risk, float, K, from the most certain images to all."""
        all_images = np.ones((1, len(wrong)))
        answered, errors = self.above(all_images)[0], self.above(all_images * wrong)[0]
        return answered / len(wrong), errors / answered


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)

"""All figures of a classifier on labelled images, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from leuko.evaluation.binary_metrics import Decisions, decision_figures, leukaemia_figures
from leuko.evaluation.class_metrics import ClassMetrics, Estimands
from leuko.inference.finding import leukaemia_probability
from leuko.stats import calibration_metrics, small_sample_intervals
from leuko.stats.bootstrap import Bootstrap, Estimand, Interval
from leuko.stats.calibration_metrics import BinaryPredictions
from leuko.stats.ranking_metrics import Ranking

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # shares of the images at which the error rate is reported
CURVE_POINTS = 200  # of the risk–coverage curve that are kept


@dataclass(frozen=True)
class OverallFigures:
    """Figures of all classes together; precision to AUC-PR are means over the classes that have images."""

    accuracy: Interval
    precision: Interval
    recall: Interval
    specificity: Interval
    f1: Interval
    auc_roc: Interval
    auc_pr: Interval
    balanced_accuracy: Interval
    mcc: Interval


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class against all others, and its number of images."""

    precision: Interval
    recall: Interval
    specificity: Interval
    f1: Interval
    auc_roc: Interval
    auc_pr: Interval
    images: int


@dataclass(frozen=True)
class CalibrationFigures:
    """Calibration of one kind of probability.

    Attributes:
        after, before: figures of the given probabilities, and of those before temperature scaling.
        perfect: what a perfectly calibrated model would show on as many images.
        diagram: reliability diagrams, `after` and `before`.
    """

    after: dict[str, Interval]
    before: dict[str, Interval]
    perfect: dict[str, dict[str, float]]
    diagram: dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class RiskCoverage:
    """Error rate of the most confident images.

    Attributes:
        aurc: area under the risk–coverage curve.
        risk_at_intervals: error rate among the most confident images, by their share ("0.90"); ties are all included.
        risk_at: the same without interval, of at least that share of the images.
        curve: `coverage` and `risk`, `CURVE_POINTS` at most.
    """

    aurc: Interval
    risk_at_intervals: dict[str, Interval]
    risk_at: dict[str, float]
    curve: dict[str, list[float]]


@dataclass(frozen=True)
class LeukaemiaFigures:
    """Figures of leukaemia against no leukaemia at `threshold`; `images` is the number with leukaemia."""

    sensitivity: Interval
    specificity: Interval
    accuracy: Interval
    precision: Interval
    negative_predictive_value: Interval
    f1: Interval
    balanced_accuracy: Interval
    mcc: Interval
    auc_roc: Interval
    auc_pr: Interval
    threshold: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """All figures of an evaluation. An `Interval` holds `value`, `low` and `high`, all None if undefined.

    Attributes:
        images, groups: their numbers.
        intervals: how the intervals were made, in words.
        warnings: reasons not to rely on the figures, a sentence each.
        overall, per_class: class figures; `per_class` by label.
        confusion: int, rows are the true classes.
        calibration: by kind: `classes` and, if some but not all labels mean leukaemia, `leukaemia`.
        risk_coverage: of the most probable class.
        leukaemia: None unless some but not all labels mean leukaemia.
        decisions: by the names of `leuko.evaluation.binary_metrics.decision_figures`; None without decisions.
    """

    images: int
    groups: int
    intervals: str
    warnings: tuple[str, ...]
    overall: OverallFigures
    per_class: dict[str, ClassFigures]
    confusion: list[list[int]]
    calibration: dict[str, CalibrationFigures]
    risk_coverage: RiskCoverage
    leukaemia: LeukaemiaFigures | None
    decisions: dict[str, Interval] | None

    def as_json(self) -> dict[str, Any]:
        """The content of `metrics.json`: the overall figures are on the top level, missing parts are left out."""
        content = asdict(self)
        overall = content.pop("overall")
        content["warnings"] = list(self.warnings)
        content["calibration"]["how"] = calibration_metrics.HOW
        return {name: value for name, value in (content | overall).items() if value is not None}


def evaluate(
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    positive: Sequence[str],
    threshold: float,
    *,
    groups: np.ndarray | None = None,
    unscaled: np.ndarray | None = None,
    decisions: Decisions | None = None,
) -> Evaluation:
    """Compute all figures.

    Args:
        probabilities: float, N × C, rows sum to 1.
        truth: int, N: columns of the true classes.
        labels: class names, C; a class may have no images.
        positive: the names that mean leukaemia; may be empty, then there are no leukaemia figures.
        threshold: from this leukaemia probability on, an image is predicted as leukaemia.
        groups: N: images of one patient or one block of files have the same value; None: each image is its own group.
        unscaled: `probabilities` before temperature scaling; None: they are the same.
        decisions: the model's findings; None: no decision figures.
    """
    probabilities = np.asarray(probabilities, np.float64)
    unscaled = probabilities if unscaled is None else np.asarray(unscaled, np.float64)
    bootstrap = Bootstrap(truth, groups, labels)
    classes = ClassMetrics(probabilities, truth)
    top_class = calibration_metrics.top_class_predictions(probabilities, truth)
    top_class_unscaled = calibration_metrics.top_class_predictions(unscaled, truth)
    calibration = {"classes": _calibration(bootstrap, top_class, top_class_unscaled)}

    has_leukaemia, leukaemia = None, None
    if 0 < len(positive) < len(labels):
        has_leukaemia = np.isin(truth, [labels.index(name) for name in positive])
        score, score_unscaled = (leukaemia_probability(p, labels, positive) for p in (probabilities, unscaled))
        if decisions:  # out of distribution the network is not used, so that its scaling changes nothing
            score = decisions.leukaemia
            score_unscaled = np.where(decisions.in_distribution, score_unscaled, score)
        calibration["leukaemia"] = _calibration(
            bootstrap,
            calibration_metrics.leukaemia_predictions(score, has_leukaemia),
            calibration_metrics.leukaemia_predictions(score_unscaled, has_leukaemia),
        )
        intervals = _intervals(bootstrap, lambda w: leukaemia_figures(w, score, threshold, has_leukaemia))
        leukaemia = LeukaemiaFigures(**intervals, threshold=threshold, images=int(has_leukaemia.sum()))

    return Evaluation(
        images=len(truth),
        groups=bootstrap.group_count,
        intervals=bootstrap.description,
        warnings=tuple(
            small_sample_intervals.small_sample_warnings(
                labels, truth, np.arange(len(truth)) if groups is None else groups, "test images"
            )
        ),
        overall=OverallFigures(**_intervals(bootstrap, classes.overall)),
        per_class={
            name: ClassFigures(**_intervals(bootstrap, partial(classes.of_class, c=c)), images=int((truth == c).sum()))
            for c, name in enumerate(labels)
        },
        confusion=classes.confusion(np.ones((1, len(truth))))[0].astype(int).tolist(),
        calibration=calibration,
        risk_coverage=_risk_coverage(bootstrap, top_class),
        leukaemia=leukaemia,
        decisions=_intervals(bootstrap, lambda w: decision_figures(w, decisions, has_leukaemia)) if decisions else None,
    )


def _intervals(bootstrap: Bootstrap, figures: Callable[[np.ndarray], Estimands]) -> dict[str, Interval]:
    return bootstrap.intervals(figures)


def _calibration(bootstrap: Bootstrap, after: BinaryPredictions, before: BinaryPredictions) -> CalibrationFigures:
    return CalibrationFigures(
        after=bootstrap.intervals(lambda w: calibration_metrics.estimands(after, w)),
        before=bootstrap.intervals(lambda w: calibration_metrics.estimands(before, w)),
        perfect=calibration_metrics.simulate_perfect_calibration(after.probability),
        diagram={
            "after": calibration_metrics.reliability_diagram(after),
            "before": calibration_metrics.reliability_diagram(before),
        },
    )


def _risk_coverage(bootstrap: Bootstrap, top_class: BinaryPredictions) -> RiskCoverage:
    confidence, wrong, ranking = top_class.probability, ~top_class.outcome, Ranking(top_class.probability)
    confident = {f"{share:.2f}": confidence >= _lowest_of(confidence, share) for share in COVERAGES}
    coverage, risk = ranking.risk_coverage(wrong)
    kept = np.unique(np.linspace(0, len(coverage) - 1, CURVE_POINTS).round().astype(int))
    return RiskCoverage(
        aurc=bootstrap.intervals(lambda w: {"aurc": Estimand.bounded(ranking.aurc(w, wrong))})["aurc"],
        risk_at_intervals=bootstrap.intervals(
            lambda w: {
                name: Estimand.proportion(w @ (chosen & wrong), w @ chosen) for name, chosen in confident.items()
            }
        ),
        risk_at={f"{share:.2f}": float(risk[np.searchsorted(coverage, share - 1e-9)]) for share in COVERAGES},
        curve={"coverage": coverage[kept].tolist(), "risk": risk[kept].tolist()},
    )


def _lowest_of(confidence: np.ndarray, share: float) -> float:
    """The lowest confidence among this share of the images, most confident first."""
    last = max(int(np.ceil(share * len(confidence) - 1e-9)), 1) - 1
    return float(np.sort(confidence)[::-1][last])

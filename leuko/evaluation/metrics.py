"""All figures of a classifier, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leuko.evaluation.tables import as_text
from leuko.inference.classifier import leukaemia_probability
from leuko.reports.evaluation import plots
from leuko.stats import calibration_metrics, small_sample_intervals
from leuko.stats.bootstrap import Bootstrap, Estimand, Estimands, Interval
from leuko.stats.ranking_metrics import Ranking

__all__ = ["Decisions", "as_text", "evaluate", "plot"]

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # at which the risk is told
CURVE = 200  # points of the risk–coverage curve that are kept
_BOTH = ("precision", "negative_predictive_value", "f1", "balanced_accuracy", "mcc")  # need ill and well
MACRO = ("precision", "recall", "specificity", "f1", "auc_roc", "auc_pr")


class Decisions(NamedTuple):
    """What a model says of N images beside its probabilities.

    Attributes:
        decision: str, N: "suspicious", "not suspicious" or "uncertain".
        familiar: bool, N: whether they resemble the training images.
        usable: bool, N: whether they are fit to be judged.
        leukaemia: float, N, 0 to 1: its probability of leukaemia, which may rest on more than the classes'.
    """

    decision: np.ndarray
    familiar: np.ndarray
    usable: np.ndarray
    leukaemia: np.ndarray


def evaluate(
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    positive: Sequence[str],
    threshold: float,
    *,
    groups: np.ndarray | None = None,
    earlier: np.ndarray | None = None,
    verdicts: Decisions | None = None,
) -> dict[str, Any]:
    """All figures of some images, ready for JSON. A figure is `{"value", "low", "high"}`, all None if undefined.

    Args:
        probabilities: float, N × classes, rows sum to 1.
        truth: int, N.
        labels: class names in the order of the columns; of some there may be no image.
        positive: the names that mean leukaemia; may be empty, then there are no leukaemia figures.
        threshold: from which probability on an image counts as leukaemia.
        groups: N, which images belong together (patients, blocks of files); None: each stands alone.
        earlier: the probabilities before temperature scaling (`reliability.unscaled_probabilities`); None: they are the same.
        verdicts: the model's decisions; without them none are judged.

    Returns:
        `images`, `groups` (their number), `intervals` (how they were made), `warnings` (`leuko.stats.small_sample_intervals.small_sample_warnings`),
        `accuracy`, `balanced_accuracy`, `mcc`, macro means over the classes that have images (`MACRO`), `per_class`,
        `confusion` (rows are the truth),
        `calibration`, `risk_coverage`, `leukaemia` (two-way, at `threshold`) and `decisions`.
    """
    probabilities = np.asarray(probabilities, np.float64)
    resamples = Bootstrap(truth, groups, labels)
    answers = calibration_metrics.top_class_predictions(probabilities, truth)
    surest, classes = Ranking(answers.probability), _Classes(probabilities, truth)
    earlier = probabilities if earlier is None else np.asarray(earlier, np.float64)
    spoken = {"classes": (answers, calibration_metrics.top_class_predictions(earlier, truth))}
    ill = None
    if 0 < len(positive) < len(labels):
        ill = np.isin(truth, [labels.index(name) for name in positive])
        score, score_earlier = (leukaemia_probability(p, labels, positive) for p in (probabilities, earlier))
        if verdicts:  # where the network does not know such images, its scaling changes nothing
            score, score_earlier = verdicts.leukaemia, np.where(verdicts.familiar, score_earlier, verdicts.leukaemia)
        spoken["leukaemia"] = (
            calibration_metrics.leukaemia_predictions(score, ill),
            calibration_metrics.leukaemia_predictions(score_earlier, ill),
        )
        alarm = Ranking(score)

    def figures(weights: np.ndarray) -> Estimands:
        found = classes.figures(weights, labels)
        found[("risk_coverage", "aurc")] = Estimand.bounded(surest.aurc(weights, ~answers.so))
        found |= _under(("risk_coverage", "risk_at_intervals"), _risks_at(weights, answers))
        for kind, statements in spoken.items():
            for when, statement in zip(("after", "before"), statements, strict=True):
                found |= _under(("calibration", kind, when), calibration_metrics.estimands(statement, weights))
        if ill is not None:
            found |= _under(("leukaemia",), _two_way(weights, score >= threshold, ill))
            found[("leukaemia", "auc_roc")] = Estimand.auc(alarm.auc_roc(weights, ill), weights @ ill, weights @ ~ill)
            found[("leukaemia", "auc_pr")] = Estimand.bounded(alarm.auc_pr(weights, ill))
        if verdicts:
            found |= _under(("decisions",), _decisions(weights, verdicts, ill))
        return found

    report = {"images": len(truth), "groups": resamples.group_count, "intervals": resamples.description}
    report["warnings"] = small_sample_intervals.small_sample_warnings(
        labels, truth, np.arange(len(truth)) if groups is None else groups, "test images"
    )
    report |= _nested(resamples.intervals(figures))
    report["confusion"] = classes.confusion(np.ones((1, len(truth))))[0].astype(int).tolist()
    for number, name in enumerate(labels):
        report["per_class"][name]["images"] = int((truth == number).sum())
    report["calibration"]["how"] = calibration_metrics.HOW
    for kind, (after, before) in spoken.items():
        report["calibration"][kind]["perfect"] = calibration_metrics.simulate_perfect_calibration(after.probability)
        report["calibration"][kind]["diagram"] = {
            "after": calibration_metrics.reliability_diagram(after),
            "before": calibration_metrics.reliability_diagram(before),
        }
    report["risk_coverage"] |= _risks(*surest.risk_coverage(~answers.so))
    if ill is not None:
        report["leukaemia"] |= {"threshold": threshold, "images": int(ill.sum())}
    return report


class _Classes:
    """Figures of the classes; `present` are those that have images."""

    def __init__(self, probabilities: np.ndarray, truth: np.ndarray) -> None:
        self.number = probabilities.shape[1]
        self._cell = truth * self.number + probabilities.argmax(axis=1)
        self._belongs = truth[:, None] == np.arange(self.number)
        self._rankings = [Ranking(column) for column in probabilities.T]
        self.present = np.flatnonzero(self._belongs.any(axis=0))

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Confusion matrices, float, B × classes × classes, under weights, B × N; rows are the truth."""
        cells = np.eye(self.number**2, dtype=np.float32)[self._cell]
        return (weights @ cells).astype(np.float64).reshape(-1, self.number, self.number)

    def figures(self, weights: np.ndarray, labels: Sequence[str]) -> Estimands:
        """Of all classes together, and of each."""
        confusion = self.confusion(weights)
        right, said, were = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=1), confusion.sum(axis=2)
        total = were.sum(axis=1)
        each: dict[str, list[Estimand]] = {name: [] for name in MACRO}
        for c, ranking in enumerate(self._rankings):
            each["precision"].append(
                Estimand.proportion(right[:, c], np.maximum(said[:, c], 1))
            )  # 0 where nothing was said
            each["recall"].append(Estimand.proportion(right[:, c], were[:, c]))
            each["specificity"].append(
                Estimand.proportion(total - were[:, c] - said[:, c] + right[:, c], total - were[:, c])
            )
            each["f1"].append(Estimand.proportion(right[:, c], (said[:, c] + were[:, c]) / 2))
            each["auc_roc"].append(
                Estimand.auc(ranking.auc_roc(weights, self._belongs[:, c]), were[:, c], total - were[:, c])
            )
            each["auc_pr"].append(Estimand.bounded(ranking.auc_pr(weights, self._belongs[:, c])))
        found: dict[Any, Estimand] = {"accuracy": Estimand.proportion(right.sum(axis=1), total)}
        for name, values in each.items():
            mean = np.mean([values[c].values for c in self.present], axis=0)
            if len(self.present) == 1 and name in ("precision", "f1"):  # nothing could be taken for it
                mean = mean * np.nan
            found[name] = Estimand.bounded(mean)
            found |= {("per_class", label, name): value for label, value in zip(labels, values, strict=True)}
        rarest = self.present[self._belongs[:, self.present].sum(axis=0).argmin()]
        found["auc_roc"] = Estimand.auc(found["auc_roc"].values, were[:, rarest], total - were[:, rarest])
        found["balanced_accuracy"] = found["recall"]
        mcc = _mcc(right, said, were, total) if len(self.present) > 1 else np.full(len(total), np.nan)
        found["mcc"] = Estimand.bounded(mcc, -1.0, 1.0)
        return found


def _mcc(right: np.ndarray, said: np.ndarray, were: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Matthews correlation of several classes (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006), or 0."""
    together = right.sum(axis=1) * total - (said * were).sum(axis=1)
    spread = np.sqrt((total**2 - (said**2).sum(axis=1)) * (total**2 - (were**2).sum(axis=1)))
    return np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)


def _two_way(weights: np.ndarray, called: np.ndarray, ill: np.ndarray) -> Estimands:
    """Figures of the leukaemia alarm: `called` and `ill` are bool, N."""
    table = np.stack([called & ill, called & ~ill, ~called & ill, ~called & ~ill], axis=1)
    hit, false, missed, cleared = (weights @ table.astype(np.float32)).astype(np.float64).T
    total = hit + false + missed + cleared
    sensitivity, specificity = Estimand.proportion(hit, hit + missed), Estimand.proportion(cleared, cleared + false)
    right, said = np.stack([hit, cleared], axis=1), np.stack([hit + false, missed + cleared], axis=1)
    were = np.stack([hit + missed, false + cleared], axis=1)
    figures = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": Estimand.proportion(hit + cleared, total),
    }
    if not 0 < ill.sum() < len(ill):  # the rest would be 0 or 1 whatever the network says
        return figures | dict.fromkeys(_BOTH, Estimand.bounded(np.full(len(total), np.nan)))
    return figures | {
        "precision": Estimand.proportion(hit, hit + false),
        "negative_predictive_value": Estimand.proportion(cleared, cleared + missed),
        "f1": Estimand.proportion(hit, hit + (false + missed) / 2),
        "balanced_accuracy": Estimand.bounded((sensitivity.values + specificity.values) / 2),
        "mcc": Estimand.bounded(_mcc(right, said, were, total), -1.0, 1.0),
    }


def _decisions(weights: np.ndarray, verdicts: Decisions, ill: np.ndarray | None) -> Estimands:
    """Figures of the decisions; all but the first four are of the images that are decided."""

    def share(part: np.ndarray, whole: np.ndarray | None = None) -> Estimand:
        among = np.ones(len(part), bool) if whole is None else whole
        return Estimand.proportion(weights @ (part & among), weights @ among.astype(np.float32))

    suspicious = verdicts.decision == "suspicious"
    decided = verdicts.decision != "uncertain"
    found = {
        "coverage": share(decided),
        "suspicious": share(suspicious),
        "unfamiliar": share(~verdicts.familiar),
        "unusable": share(~verdicts.usable),
    }
    if ill is not None:
        found |= {
            "coverage_positive": share(decided, ill),
            "coverage_negative": share(decided, ~ill),
            "right": share(suspicious == ill, decided),
            "sensitivity": share(suspicious, decided & ill),
            "specificity": share(~suspicious, decided & ~ill),
        }
    return found


def _risks_at(weights: np.ndarray, answers: calibration_metrics.BinaryPredictions) -> Estimands:
    """The share of wrong answers among the surest images, at each of `COVERAGES`; of equally sure ones, all count."""
    found = {}
    for share in COVERAGES:
        last = max(int(np.ceil(share * len(answers.so) - 1e-9)), 1) - 1
        surest = answers.probability >= np.sort(answers.probability)[::-1][last]
        found[f"{share:.2f}"] = Estimand.proportion(weights @ (surest & ~answers.so), weights @ surest)
    return found


def _risks(coverage: np.ndarray, risk: np.ndarray) -> dict[str, Any]:
    """The curve, thinned, and the risk at `COVERAGES`: of the surest images, at least that share."""
    some = np.unique(np.linspace(0, len(coverage) - 1, CURVE).round().astype(int))
    at = {f"{c:.2f}": float(risk[np.searchsorted(coverage, c - 1e-9)]) for c in COVERAGES}
    return {"risk_at": at, "curve": {"coverage": coverage[some].tolist(), "risk": risk[some].tolist()}}


def _under(place: tuple[str, ...], figures: Estimands) -> dict[tuple[str, ...], Any]:
    return {(*place, name): figure for name, figure in figures.items()}


def _nested(flat: dict[Any, Interval]) -> dict[str, Any]:
    """Estimands by their path as dictionaries within dictionaries."""
    tree: dict[str, Any] = {}
    for path, figure in flat.items():
        *places, name = path if isinstance(path, tuple) else (path,)
        branch = tree
        for place in places:
            branch = branch.setdefault(place, {})
        branch[name] = figure
    return tree


def plot(
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    folder: Path,
    report: dict[str, Any] | None = None,
) -> None:
    """Write the plots as PNG files into an existing folder; see `leuko.reports.evaluation.plots.draw` for the arguments."""
    for name, png in plots.draw(probabilities, truth, labels, report).items():
        (folder / f"{name}.png").write_bytes(png)

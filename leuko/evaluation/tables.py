"""Figures as Markdown, for terminals, cards and pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leuko.evaluation.corruptions import CORRUPTIONS

MACRO = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision (macro)",
    "recall": "Recall (macro)",
    "specificity": "Specificity (macro)",
    "f1": "F1 (macro)",
    "mcc": "Matthews correlation",
    "auc_roc": "AUC-ROC (one against rest, macro)",
    "auc_pr": "AUC-PR (one against rest, macro)",
}
PER_CLASS = {
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "f1": "F1",
    "auc_roc": "AUC-ROC",
    "auc_pr": "AUC-PR",
}
LEUKAEMIA = {
    "auc_roc": "AUC-ROC",
    "auc_pr": "AUC-PR",
    "sensitivity": "sensitivity at {threshold:.3f}",
    "specificity": "specificity at {threshold:.3f}",
    "precision": "precision at {threshold:.3f}",
    "negative_predictive_value": "negative predictive value at {threshold:.3f}",
    "f1": "F1 at {threshold:.3f}",
    "accuracy": "accuracy at {threshold:.3f}",
    "balanced_accuracy": "balanced accuracy at {threshold:.3f}",
    "mcc": "Matthews correlation at {threshold:.3f}",
}
DECISIONS = {
    "coverage": 'decided (the others: "uncertain")',
    "coverage_positive": "decided, of those with leukaemia",
    "coverage_negative": "decided, of those without",
    "right": "right, of the decided",
    "sensitivity": "sensitivity among the decided",
    "specificity": "specificity among the decided",
    "suspicious": "called suspicious, of all",
    "unfamiliar": "unlike the training images, of all",
    "unusable": "unfit to be judged, of all",
}
CALIBRATION = {
    "ece": "Calibration error, bins of equal mass",
    "ece_equal_width": "Calibration error, bins of equal width",
    "brier": "Brier score",
}
SPOKEN = {"classes": "of the classes", "leukaemia": "of leukaemia"}

SHORTCUTS = (
    "The same images, with something taken away or in the colours of other laboratories. Nothing is trained anew: both "
    "the network and the nearest neighbours on colour statistics have learnt from the training images as they are. "
    "What is left above guessing without cells is a shortcut; what is lost in another stain was colour."
)
EXACT = (
    "Where resampling met no error, as when all answers are right, the interval is the exact one for as many groups or "
    "images (Clopper–Pearson; Newcombe for AUC-ROC)."
)
UNKNOWN = "not estimable"  # where there is nothing to estimate a figure or its interval from
DIGITS = range(3, 7)  # decimals of an interval: as few as keep its ends apart
MIDDLE = 3  # of five strengths: the one whose loss counts
STRENGTHS = range(1, 6)

Rows = list[tuple[str, ...]]


def number(value: float | None) -> str:
    """A figure to three decimals."""
    return UNKNOWN if value is None else f"{value:.3f}"


def span(figure: dict[str, float | None]) -> str:
    """The interval of a figure, with more decimals where it would seem to have no width."""
    if figure["low"] is None:
        return UNKNOWN
    for digits in DIGITS:
        low, high = (f"{figure[end]:.{digits}f}" for end in ("low", "high"))
        if low != high:
            break
    return f"{low} to {high}"


def in_full(figure: dict[str, float | None]) -> str:
    """A figure with its interval in brackets."""
    if figure["value"] is None:
        return UNKNOWN
    interval = "interval " * (figure["low"] is None) + span(figure)
    return f"{figure['value']:.3f} ({interval})"


def headline(report: dict[str, Any]) -> Rows:
    """Title, value and interval of the figures of all classes together and of leukaemia, as far as they are defined."""
    rows = [(title, report[name]) for name, title in MACRO.items()]
    ill = report.get("leukaemia")
    if ill:
        rows += [(f"Leukaemia: {title.format(threshold=ill['threshold'])}", ill[n]) for n, title in LEUKAEMIA.items()]
    return [(title, number(figure["value"]), span(figure)) for title, figure in rows if figure["value"] is not None]


def per_class(report: dict[str, Any]) -> Rows:
    """A line for each class, with intervals; the head first."""
    rows = [("class", "images", *PER_CLASS.values())]
    for name, figures in report["per_class"].items():
        rows.append((name, str(figures["images"]), *(in_full(figures[f]) for f in PER_CLASS)))
    return rows


def confusion(report: dict[str, Any]) -> Rows:
    """The confusion matrix; the head first."""
    labels = list(report["per_class"])
    lines = zip(labels, report["confusion"], strict=True)
    return [("truth ↓ answer →", *labels), *((name, *map(str, row)) for name, row in lines)]


def decisions(report: dict[str, Any]) -> Rows:
    """Title, value and interval of the decision figures that there are."""
    found = report.get("decisions", {})
    known = [(title, found[n]) for n, title in DECISIONS.items() if found.get(n, {}).get("value") is not None]
    return [(title, number(figure["value"]), span(figure)) for title, figure in known]


def calibration(report: dict[str, Any]) -> Rows:
    """Calibration before and after temperature scaling, and that of a perfect model; the head first."""
    rows = [("figure", "before scaling", "after scaling", "a perfectly calibrated model")]
    for kind, whose in SPOKEN.items():
        found = report["calibration"].get(kind)
        for name, title in CALIBRATION.items() if found else ():
            shown = chance(found["perfect"][name]) if name in found["perfect"] else ""
            rows.append((f"{title}, {whose}", in_full(found["before"][name]), in_full(found["after"][name]), shown))
    return rows


def chance(perfect: dict[str, float]) -> str:
    """The calibration error of a perfect model and the range of its simulations, if they differ at all."""
    same = number(perfect["low"]) == number(perfect["high"])
    return f"{number(perfect['value'])} in all simulations" if same else in_full(perfect)


def warnings(report: dict[str, Any]) -> str:
    """What forbids to rely on the figures, a line each."""
    return "\n".join(f"Beware: {line[0].lower()}{line[1:]}" for line in report.get("warnings", []))


def risks(report: dict[str, Any]) -> str:
    """The risk–coverage curve in a sentence."""
    found = report["risk_coverage"]
    each = found["risk_at_intervals"].items()
    at = ", ".join(f"{in_full(risk)} of the surest {float(c):.0%}" for c, risk in each)
    return f"Area under the risk–coverage curve: {in_full(found['aurc'])}. Wrong: {at.replace('%', ' %')}."


def robustness(found: dict[str, Any]) -> Rows:
    """Macro-F1 under each corruption (from `leuko.evaluation.shortcut_audit.evaluate_views`); the head first."""
    rows = [("corruption", *(f"strength {level}" for level in STRENGTHS), f"lost at strength {MIDDLE}")]
    for kind in CORRUPTIONS:
        each = [found[f"{kind} {level}"]["network"] for level in STRENGTHS]
        values = [number(figures["f1"]["value"]) for figures in each]
        rows.append((kind, *values, in_full(each[MIDDLE - 1]["lost"])))
    return rows


def shortcuts(found: dict[str, Any]) -> Rows:
    """Macro-F1 of changed images (from `leuko.evaluation.shortcut_audit.evaluate_views`); the head first."""
    rows = [("what is shown", "network: F1 (macro)", "colour statistics: F1 (macro)", "like the training images")]
    for name, view in found.items():
        colours = in_full(view["colour_baseline"]["f1"]) if "colour_baseline" in view else "–"
        rows.append((name, in_full(view["network"]["f1"]), colours, number(view["familiar"])))
    return rows


def table(rows: Rows) -> str:
    """Rows, the head first, as a Markdown table."""
    head, *lines = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *lines))


def summary(report: dict[str, Any]) -> str:
    """Decisions, calibration, the colour baseline and what was found on changed images, for a terminal."""
    lines = [f"{title}: {value} ({span})." for title, value, span in decisions(report)]
    ece = report["calibration"]["classes"]
    perfect = f"a perfectly calibrated model: {chance(ece['perfect']['ece'])}"
    lines.append(f"Calibration error: {in_full(ece['after']['ece'])}; {perfect}.")
    if baseline := report.get("colour_baseline"):
        figures = ", ".join(f"{name} {in_full(baseline['intervals'][name])}" for name in ("accuracy", "f1"))
        lines.append(f"Colour statistics alone, {baseline['how']}: {figures}.")
    said = "\n".join(line[0].upper() + line[1:] for line in lines)
    tables = [
        make(report[name]) for name, make in (("robustness", robustness), ("shortcuts", shortcuts)) if name in report
    ]
    return "\n\n".join([said, *map(table, tables)])


def as_text(report: dict[str, Any], labels: Sequence[str] | None = None) -> str:
    """The figures that matter most as lines for a terminal; `labels` of the confusion matrix, by default all."""
    rows = [(f"figure ({report['images']} test images)", "value", "95 % interval"), *headline(report)]
    matrix = confusion(report)
    recall = [
        "recall",
        *(number(report["per_class"][name]["recall"]["value"]) for name in labels or report["per_class"]),
    ]
    matrix = [(*row, value) for row, value in zip(matrix, recall, strict=True)]
    return "\n\n".join(part for part in (table(rows), table(matrix), warnings(report)) if part)

"""Tables of an evaluation's figures: rows of text, which become Markdown, HTML or lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leuko.evaluation.corruptions import CORRUPTIONS
from leuko.evaluation.interval_text import figure_text, interval_text, value_text

OVERALL = {
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
    "coverage": 'decided (all others: "uncertain")',
    "coverage_positive": "decided, of images with leukaemia",
    "coverage_negative": "decided, of images without leukaemia",
    "right": "correct, of the decided",
    "sensitivity": "sensitivity among the decided",
    "specificity": "specificity among the decided",
    "suspicious": "suspicious, of all images",
    "unfamiliar": "out of distribution, of all images",
    "unusable": "quality not sufficient, of all images",
}
CALIBRATION = {
    "ece": "Calibration error, bins of equal mass",
    "ece_equal_width": "Calibration error, bins of equal width",
    "brier": "Brier score",
}
CALIBRATED = {"classes": "of the classes", "leukaemia": "of leukaemia"}

SHORTCUTS = (
    "The same images with a part removed, or in the colours of other laboratories. Nothing is trained again: the "
    "network and the nearest neighbours on colour statistics learnt from the unchanged training images. A macro-F1 "
    "above chance without any cells shows a shortcut; a loss in another stain shows that the colours were used."
)
EXACT_INTERVALS = (
    "Where resampling finds no errors (for example, if all predictions are correct), the interval is the exact one for "
    "this number of groups or images (Clopper–Pearson; Newcombe for AUC-ROC)."
)
MIDDLE = 3  # of five strengths: the one whose loss is reported
STRENGTHS = range(1, 6)

Rows = list[tuple[str, ...]]
Report = dict[str, Any]  # `leuko.evaluation.metrics.Evaluation.as_json`, with `colour_baseline` and optional audits


def headline(report: Report) -> Rows:
    """Title, value and interval of each overall and leukaemia figure that is defined."""
    rows = [(title, report[name]) for name, title in OVERALL.items()]
    if leukaemia := report.get("leukaemia"):
        threshold = leukaemia["threshold"]
        rows += [(f"Leukaemia: {t.format(threshold=threshold)}", leukaemia[name]) for name, t in LEUKAEMIA.items()]
    return [
        (t, value_text(figure["value"]), interval_text(figure)) for t, figure in rows if figure["value"] is not None
    ]


def per_class(report: Report) -> Rows:
    """One row per class, with intervals; the first row is the header."""
    rows: Rows = [("class", "images", *PER_CLASS.values())]
    for name, figures in report["per_class"].items():
        rows.append((name, str(figures["images"]), *(figure_text(figures[f]) for f in PER_CLASS)))
    return rows


def confusion(report: Report) -> Rows:
    """The confusion matrix; the first row is the header."""
    labels = list(report["per_class"])
    lines = zip(labels, report["confusion"], strict=True)
    return [("true class ↓ predicted →", *labels), *((name, *map(str, row)) for name, row in lines)]


def decisions(report: Report) -> Rows:
    """Title, value and interval of each decision figure that is defined."""
    figures = report.get("decisions", {})
    defined = [(t, figures[n]) for n, t in DECISIONS.items() if figures.get(n, {}).get("value") is not None]
    return [(title, value_text(figure["value"]), interval_text(figure)) for title, figure in defined]


def calibration(report: Report) -> Rows:
    """Calibration before and after temperature scaling, and of a perfect model; the first row is the header."""
    rows: Rows = [("figure", "before scaling", "after scaling", "a perfectly calibrated model")]
    for kind, of_what in CALIBRATED.items():
        figures = report["calibration"].get(kind)
        for name, title in CALIBRATION.items() if figures else ():
            perfect = perfect_calibration(figures["perfect"][name]) if name in figures["perfect"] else ""
            before, after = figure_text(figures["before"][name]), figure_text(figures["after"][name])
            rows.append((f"{title}, {of_what}", before, after, perfect))
    return rows


def perfect_calibration(simulated: dict[str, float | None]) -> str:
    """The calibration error of a perfect model, with the range of its simulations if they differ."""
    if value_text(simulated["low"]) == value_text(simulated["high"]):
        return f"{value_text(simulated['value'])} in all simulations"
    return figure_text(simulated)


def warnings(report: Report) -> str:
    """Reasons not to rely on the figures, one line each."""
    return "\n".join(f"Warning: {line[0].lower()}{line[1:]}" for line in report.get("warnings", []))


def risk_coverage(report: Report) -> str:
    """The risk–coverage curve in a sentence."""
    curve = report["risk_coverage"]
    risks = [
        f"{figure_text(risk)} of the {float(coverage):.0%} most confident".replace("%", " %")
        for coverage, risk in curve["risk_at_intervals"].items()
    ]
    return f"Area under the risk–coverage curve: {figure_text(curve['aurc'])}. Error rate: {', '.join(risks)}."


def robustness(views: dict[str, Any]) -> Rows:
    """Macro-F1 under each corruption; the first row is the header.

    Args:
        views: from `leuko.evaluation.shortcut_audit.evaluate_views`.
    """
    rows: Rows = [("corruption", *(f"strength {level}" for level in STRENGTHS), f"lost at strength {MIDDLE}")]
    for kind in CORRUPTIONS:
        by_level = [views[f"{kind} {level}"]["network"] for level in STRENGTHS]
        values = [value_text(figures["f1"]["value"]) for figures in by_level]
        rows.append((kind, *values, figure_text(by_level[MIDDLE - 1]["lost"])))
    return rows


def shortcuts(views: dict[str, Any]) -> Rows:
    """Macro-F1 on changed images (see `robustness`); the first row is the header."""
    rows: Rows = [("images", "network: F1 (macro)", "colour statistics: F1 (macro)", "share in distribution")]
    for name, view in views.items():
        colours = figure_text(view["colour_baseline"]["f1"]) if "colour_baseline" in view else "–"
        rows.append((name, figure_text(view["network"]["f1"]), colours, value_text(view["familiar"])))
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table; the first row is the header."""
    header, *lines = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *lines))


def summary(report: Report) -> str:
    """Decisions, calibration, the colour baseline and the audits, for a terminal."""
    lines = [f"{title}: {value} ({interval})." for title, value, interval in decisions(report)]
    ece = report["calibration"]["classes"]
    perfect = f"a perfectly calibrated model: {perfect_calibration(ece['perfect']['ece'])}"
    lines.append(f"Calibration error: {figure_text(ece['after']['ece'])}; {perfect}.")
    if baseline := report.get("colour_baseline"):
        figures = ", ".join(f"{name} {figure_text(baseline['intervals'][name])}" for name in ("accuracy", "f1"))
        lines.append(f"Colour statistics alone, {baseline['how']}: {figures}.")
    text = "\n".join(line[0].upper() + line[1:] for line in lines)
    audits = [
        rows(report[name]) for name, rows in (("robustness", robustness), ("shortcuts", shortcuts)) if name in report
    ]
    return "\n\n".join([text, *map(markdown, audits)])


def as_text(report: Report, labels: Sequence[str] | None = None) -> str:
    """The main figures as lines for a terminal.

    Args:
        report: the evaluation.
        labels: rows of the confusion matrix whose recall is shown; all by default.
    """
    rows = [(f"figure ({report['images']} test images)", "value", "95 % interval"), *headline(report)]
    classes = labels or list(report["per_class"])
    recall = ["recall", *(value_text(report["per_class"][name]["recall"]["value"]) for name in classes)]
    matrix = [(*row, value) for row, value in zip(confusion(report), recall, strict=True)]
    return "\n\n".join(part for part in (markdown(rows), markdown(matrix), warnings(report)) if part)

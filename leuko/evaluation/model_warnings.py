"""Warnings for a model whose figures do not show that it is useful.

They are kept in `leuko.json` and shown on the model card and in the app. A model with warnings is published only with
--force.
"""

from __future__ import annotations

from typing import Any

from leuko.evaluation.interval_text import Figure, figure_text


def of_trained(report: dict[str, Any]) -> tuple[str, ...]:
    """Warnings of a trained model, from its figures on the test split.

    Args:
        report: `leuko.evaluation.metrics.Evaluation.as_json`, with the `colour_baseline` of
            `leuko.evaluation.shortcut_audit`.
    """
    present = [name for name, figures in report["per_class"].items() if figures["images"]]
    if len(present) < 2:
        return (f"It is not known whether this model can distinguish classes: all test images are of {present[0]}.",)
    warnings = []
    baseline = report["colour_baseline"]
    if not _above(baseline["network_above"], 0):
        warnings.append(
            "Not shown to be better than colour statistics, which contain no cell shapes: the macro-F1 is "
            f"{figure_text(report['f1'])}, that of five nearest neighbours on nine colour statistics "
            f"{figure_text(baseline['intervals']['f1'])} on the same test images."
        )
    warnings += _not_above_chance("balanced accuracy", report["balanced_accuracy"], 1 / len(present))
    area = report.get("leukaemia", {}).get("auc_roc")
    if area and area["value"] is not None:
        warnings += _not_above_chance("AUC-ROC of leukaemia against not", area, 0.5)
    return tuple(warnings)


def of_adapted(report: dict[str, Any]) -> tuple[str, ...]:
    """Warnings of an adapted model, from its cross-validated figures.

    Args:
        report: `leuko.adaptation.cross_validation.CrossValidation.as_json`.
    """
    warnings = []
    baseline = report["colour_baseline"]["accuracy"]["value"]
    if not _above(report["accuracy"], baseline):
        warnings.append(
            f"Colour statistics alone, which contain no cell shapes, are correct for {baseline:.1%} of the images; "
            "these do not show that the model uses more than colour."
        )
    warnings += _not_above_chance("AUC-ROC", report["auc_roc"], 0.5)
    return tuple(warnings)


def _above(figure: Figure, bound: float) -> bool:
    """Whether the whole interval of a figure lies above a bound."""
    low = figure["low"]
    return low is not None and low > bound


def _not_above_chance(name: str, figure: Figure, chance: float) -> list[str]:
    if _above(figure, chance):
        return []
    shown = f"{figure_text(figure)}, and chance gives {chance:.3f}"
    return [f"Not shown to be better than chance: the {name} is {shown}."]

"""Whether a model is worth anything: the warnings that go with it wherever it goes.

They stand in `leuko.json`, on the card and on the page, and a model that has any is only published with --force.
"""

from __future__ import annotations

from typing import Any

from leuko.evaluation import tables


def of_trained(report: dict[str, Any]) -> tuple[str, ...]:
    """Warnings of a trained model, from its figures on the test split.

    Args:
        report: from `leuko.evaluation.metrics.evaluate`, with the `colour_baseline` of `leuko.evaluation.shortcut_audit`.
    """
    present = [name for name, figures in report["per_class"].items() if figures["images"]]
    if len(present) < 2:
        return (f"Whether this model tells anything apart is not known: all test images are of {present[0]}.",)
    said = []
    baseline = report["colour_baseline"]
    if not _above(baseline["network_above"], 0):
        said.append(
            "Not shown to be better than colour statistics, which see no cell: the macro-F1 is "
            f"{tables.in_full(report['f1'])}, that of five nearest neighbours on nine colour statistics "
            f"{tables.in_full(baseline['intervals']['f1'])} on the same test images."
        )
    said += _by_chance("balanced accuracy", report["balanced_accuracy"], 1 / len(present))
    area = report.get("leukaemia", {}).get("auc_roc")
    if area and area["value"] is not None:
        said += _by_chance("AUC-ROC of leukaemia against not", area, 0.5)
    return tuple(said)


def of_adapted(report: dict[str, Any]) -> tuple[str, ...]:
    """Warnings of an adapted model, from its cross-validated figures (`CrossValidation.as_json`)."""
    said = []
    baseline = report["colour_baseline"]["accuracy"]["value"]
    if not _above(report["accuracy"], baseline):
        said.append(
            f"Colour statistics alone, which see no cell, are right for {baseline:.1%} of the images; these "
            "do not show that the model sees more than colour."
        )
    said += _by_chance("AUC-ROC", report["auc_roc"], 0.5)
    return tuple(said)


def _above(figure: dict[str, float | None], bound: float) -> bool:
    """Whether the whole interval of a figure lies above a bound."""
    return figure["low"] is not None and figure["low"] > bound


def _by_chance(name: str, figure: dict[str, float | None], guessing: float) -> list[str]:
    if _above(figure, guessing):
        return []
    shown = f"{tables.in_full(figure)}, and guessing gives {guessing:.3f}"
    return [f"Not shown to be better than chance: the {name} is {shown}."]

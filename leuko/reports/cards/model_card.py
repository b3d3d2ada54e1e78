"""The model card of trained, classical and adapted models, generated from the run: every figure was measured.

One template, `model_card.md.jinja`, serves all three.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import ModelCard, ModelCardData, eval_result_entries_to_yaml

from leuko.evaluation.interval_text import figure_text, interval_text, value_text
from leuko.networks.model_folder import RESULTS, ModelMetadata
from leuko.reports import tables
from leuko.reports.cards import front_matter
from leuko.reports.rendering import render

Kind = Literal["network", "classical", "adapted"]

NO_OPTIONS = ("dataset", "steps", "split", "images", "fingerprint")  # recorded for a run, but not options of train.py
CROSS_VALIDATED = {
    "accuracy": "Accuracy",
    "auc_roc": "AUC-ROC (one against rest, macro)",
    "leukaemia_auc_roc": "Leukaemia: AUC-ROC",
    "sensitivity": "Leukaemia: sensitivity at 0.5",
    "specificity": "Leukaemia: specificity at 0.5",
}
DATA_TERMS = """\
The weights were learnt from the images named above, and the terms of these images decide what may be done with them.
This card was written by a program that does not know these terms: before you publish, make sure that they allow it, and
name the source, its licence and its authors here. No image is part of the published files of this folder."""


def write_card(
    file: Path,
    metadata: ModelMetadata,
    backbone: str,
    labels: Sequence[str],
    report: dict[str, Any],
    *,
    command: str | None = None,
    own_architecture: str | None = None,
) -> None:
    """Write the card of a trained model, and `.eval_results` beside it.

    Args:
        file: where to write.
        metadata: the content of `leuko.json`.
        backbone: timm name, or the kind of classical classifier.
        labels: class names.
        report: from `leuko.evaluation.metrics.Evaluation.as_json`, with `colour_baseline`; may have `robustness` and
            `shortcuts` (see `leuko.evaluation.shortcut_audit.evaluate_views`).
        command: the command that makes such a model; None: the `train.py` command of the run.
        own_architecture: name of an architecture that timm and transformers do not know; None: they know it.
    """
    run = metadata.training
    kind: Kind = "classical" if "classifier" in run else "network"
    robustness, shortcuts = report.get("robustness"), report.get("shortcuts")
    _write(
        file,
        front_matter.trained_card_data(metadata, report, classical=kind == "classical"),
        kind,
        metadata,
        backbone=backbone,
        labels=labels,
        report=report,
        command=command
        or f"python train.py --dataset {run['dataset']} {_options(run, metadata.positive)} --output DIR",
        own_architecture=own_architecture,
        headline=tables.headline(report),
        per_class=tables.per_class(report),
        confusion=tables.confusion(report),
        calibration=tables.calibration(report),
        decisions=tables.decisions(report),
        risk_coverage=tables.risk_coverage(report),
        exact_intervals=tables.EXACT_INTERVALS,
        baseline={name: figure_text(value) for name, value in report["colour_baseline"]["intervals"].items()},
        robustness=tables.robustness(robustness) if robustness else None,
        shortcuts=tables.shortcuts(shortcuts) if shortcuts else None,
        shortcuts_text=tables.SHORTCUTS,
        needs_cell_size=metadata.scale is not None,
    )
    results = file.parent / RESULTS
    results.parent.mkdir(exist_ok=True)
    entries = eval_result_entries_to_yaml(front_matter.eval_result_entries(run["dataset"], report))
    results.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_adapted_card(
    file: Path, metadata: ModelMetadata, backbone: str, labels: Sequence[str], report: dict[str, Any]
) -> None:
    """Write the card of an adapted model.

    Args:
        file: where to write.
        metadata: the content of `leuko.json`.
        backbone: timm name.
        labels: class names.
        report: from `leuko.adaptation.adapt.adapt`.
    """
    run = metadata.training
    positive = shlex.join(["--positive", *(metadata.positive or ["none"])])
    header = ("true class ↓ predicted →", *labels)
    rows = [(name, *map(str, row)) for name, row in zip(labels, report["confusion"], strict=True)]
    _write(
        file,
        front_matter.adapted_card_data(metadata, report),
        "adapted",
        metadata,
        backbone=backbone,
        labels=labels,
        report=report,
        command=f"leuko adapt {run['dataset']} --model MODEL {positive} --seed {run['seed']} --output DIR",
        own_architecture=None,
        base=run["adapted_from"],
        images_per_class=", ".join(f"{number} {name}" for name, number in report["images_per_class"].items()),
        cross_validated=_cross_validated(report),
        confusion=[header, *rows],
    )


def cross_validation_table(report: dict[str, Any]) -> str:
    """The cross-validated figures, the colour baseline and the warnings of an adapted model, as Markdown."""
    return "\n\n".join(part for part in (tables.markdown(_cross_validated(report)), tables.warnings(report)) if part)


def _write(file: Path, data: ModelCardData, kind: Kind, metadata: ModelMetadata, **content: Any) -> None:
    run = metadata.training
    body = render(
        "model_card.md.jinja",
        kind=kind,
        name=metadata.name,
        positive=metadata.positive,
        warnings=metadata.warnings,
        temperature=metadata.temperature,
        point=metadata.operating_point,
        run=run,
        normalised_images=_normalised_images(run),
        figure_warnings=tables.warnings(content["report"]),
        data_terms=DATA_TERMS,
        **content,
    )
    # The body has its own strict environment; the Hub's template adds the front matter and checks it.
    card = ModelCard.from_template(data, template_str="---\n{{ card_data }}\n---\n{{ body }}\n", body=body.strip())
    file.write_text(str(card).rstrip() + "\n", encoding="utf-8")


def _cross_validated(report: dict[str, Any]) -> tables.Rows:
    """The figures and the baseline; the first row is the header."""
    figures = [(title, report[name]) for name, title in CROSS_VALIDATED.items() if name in report]
    figures.append(("Colour statistics alone: accuracy", report["colour_baseline"]["accuracy"]))
    header = (f"figure ({report['images']} images, cross-validated)", "value", "95 % interval")
    return [header, *((title, value_text(figure["value"]), interval_text(figure)) for title, figure in figures)]


def _normalised_images(run: dict[str, Any]) -> str:
    """Which images get the stain of the training images, as subject and verb; empty if none do."""
    if run.get("normalise_stain", "none") == "none":
        return ""
    foreign = run.get("normalise_images") == "foreign"
    return "images unlike the training images are" if foreign else "all images are"


def _options(run: dict[str, Any], positive: Sequence[str]) -> str:
    """The options of `train.py` that repeat the run."""
    options = [shlex.join(["--positive", *(positive or ["none"])])]
    for name, value in run.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            options.append(option if value else option.replace("--", "--no-", 1))
        elif name not in NO_OPTIONS and isinstance(value, (str, int, float)):
            options.append(shlex.join([option, str(value)]))
    return " ".join(options)

"""The model card of an adapted model, generated from the run: nothing in it that was not measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from leuko.evaluation import tables
from leuko.networks.model_folder import ModelMetadata
from leuko.reports.cards.model_card import TAGS, beware, how_to_use
from leuko.system.about import RESEARCH_NOTICE, VERSION

FIGURES = {
    "accuracy": "Accuracy",
    "auc_roc": "AUC-ROC (one against rest, macro)",
    "leukaemia_auc_roc": "Leukaemia: AUC-ROC",
    "sensitivity": "Leukaemia: sensitivity at 0.5",
    "specificity": "Leukaemia: specificity at 0.5",
}


def table(report: dict[str, Any]) -> str:
    """The cross-validated figures and the baseline as Markdown lines."""
    lines = [f"| figure ({report['images']} images, cross-validated) | value | 95 % interval |", "|---|---|---|"]
    rows = [(title, report[name]) for name, title in FIGURES.items() if name in report]
    rows.append(("Colour statistics alone: accuracy", report["colour_baseline"]["accuracy"]))
    lines += [f"| {title} | {tables.number(f['value'])} | {tables.span(f)} |" for title, f in rows]
    return "\n\n".join(part for part in ("\n".join(lines), tables.warnings(report)) if part)


def write(file: Path, metadata: ModelMetadata, backbone: str, labels: Sequence[str], report: dict[str, Any]) -> None:
    """Write a Hugging Face model card (YAML front matter and Markdown).

    Args:
        file: where to write.
        metadata: what goes into `leuko.json`.
        backbone: timm name.
        labels: class names.
        report: of `leuko.adaptation.adapt.adapt`.
    """
    run, base = metadata.training, metadata.training["adapted_from"]
    metrics = [
        {"type": kind, "value": round(report[name]["value"], 4)}
        for kind, name in (("accuracy", "accuracy"), ("roc_auc", "auc_roc"))
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": run["dataset"], "type": "image-folder", "split": "cross-validation"},
        "metrics": metrics,
    }
    front = {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": TAGS,
        "model-index": [{"name": metadata.name, "results": [result]}],
    }
    low, high = metadata.operating_point.abstain
    positive = f" {shlex.join(['--positive', *(metadata.positive or ['none'])])}"
    counts = ", ".join(f"{n} {name}" for name, n in report["images_per_class"].items())
    notes = "".join(f"- {note}\n" for note in report["notes"])
    confusion = [f"| truth ↓ answer → | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    confusion += [
        f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(labels, report["confusion"], strict=True)
    ]
    file.write_text(
        f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---
# {metadata.name}

**{RESEARCH_NOTICE}**

{base["name"]} (version `{base["version"]}`, {backbone}), adapted to one laboratory: its last layer was fitted anew to
{report["images"]} images ({counts}); the rest of the network is as it was. It sorts blood-smear images into
{", ".join(labels)}. Leukaemic classes: {", ".join(metadata.positive) or "none known"}.
Written by Deep Leuko {VERSION}.
{beware(metadata)}
## Use

{how_to_use(metadata)}

## Adapting

```
python -m leuko adapt {run["dataset"]} --model MODEL{positive} --seed {run["seed"]} --output DIR
```

MODEL is the one named above. Multinomial logistic regression on features of every image and of {run["views"]}
augmented views of it; the trunk, the size of its input ({run["image_size"]} pixels) and how strictly the regression
is held were chosen by cross-validation. Data fingerprint `{run["fingerprint"]}`; {report["left_out"]} images left out
by cleaning.

## Figures

{report["how"]}; {report["groups"]}. Every image was judged by models fitted without it and without those it
belongs to, and the choices were made without them too. Intervals count groups, not images.

{table(report)}

The last line of the table is what five nearest neighbours on nine colour statistics, which see no cell at all, reach
on the same folds: read the others against it.

{chr(10).join(confusion)}

{notes}
## Decision

Chosen as {metadata.operating_point.chosen}. In findings: leukaemia probability below {low:.3f} "not suspicious", from
{high:.3f} on "suspicious", between them "uncertain"; "uncertain" too for images of poor quality, and where the
cells say the opposite. Of images unlike those above the network's answer does not count, and
the cells decide where they are clear.

## Limits

- Not for patients: nobody has tested it in a clinic, and it knows only the classes listed above. "Not suspicious" says
  nothing about other diseases, nor about anything outside the image.
- It knows one laboratory, from few images. After a change of stain, camera, magnification or export, adapt again.
- The figures hold for images like these. Where images of one patient were not named as such, they may stand on both
  sides of a fold, and the figures are too good.
"""
    )

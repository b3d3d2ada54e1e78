"""The model card, generated from the run: nothing in it that was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from leuko import RESEARCH_NOTICE, __version__
from leuko.evaluation import metrics
from leuko.models.folder import Knowledge

OPTIONS = ("backbone", "weights", "finetune", "epochs", "batch_size", "lr", "schedule", "dropout", "loss")
OPTIONS += ("label_smoothing", "image_size", "input_scale", "augment", "normalise_stain", "balance", "seed")
_STAIN_NOTE = """

**The stain is normalised first.** In training and by `leuko.load`, every image is given the colours that `leuko.json`
describes under `stain`. timm and transformers load the network alone: they agree for the same tensor, but know nothing
of this step; make their input with `leuko.models.preprocessing.to_input`."""
LIMITS = """\
- Not for patients: nobody has tested it in a clinic, and it knows only the classes listed above. "Not suspicious" says
  nothing about other diseases, nor about anything outside the image.
- Networks learn the laboratory. On slides of another stain, scanner or magnification expect it to be wrong, and heed
  "unlike those the model was trained on".
- The intervals are bootstrapped over the images of one test split. Images of one patient resemble one another and
  patients are not named in most public data, so the true uncertainty is larger."""


def write_card(file: Path, knowledge: Knowledge, backbone: str, labels: Sequence[str], report: dict[str, Any]) -> None:
    """Write a Hugging Face model card (YAML front matter and Markdown).

    Args:
        file: where to write.
        knowledge: what goes into `leuko.json`.
        backbone: timm name.
        labels: class names.
        report: from `leuko.evaluation.metrics.evaluate`, with `colour_baseline`.
    """
    run = knowledge.training
    front = {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["timm", "transformers", "leuko", "medical", "leukemia", "blood-smear"],
        "model-index": [{"name": knowledge.name, "results": [_result(run["dataset"], report)]}],
    }
    low, high = knowledge.operating_point.abstain
    baseline = report["colour_baseline"]
    options = " ".join(f"--{name.replace('_', '-')} {run[name]}" for name in OPTIONS if name in run)
    stain = _STAIN_NOTE if run.get("normalise_stain", "none") != "none" else ""
    file.write_text(
        f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---
# {knowledge.name}

**{RESEARCH_NOTICE}**

A network ({backbone}) that sorts blood-smear images into {", ".join(labels)}. Leukaemic classes:
{", ".join(knowledge.positive) or "none"}. Written by Deep Leuko {__version__}.

## Use

```python
import leuko
from leuko.images.decode import decode

finding = leuko.load("DIR").classify(decode("smear.jpg"))
```

DIR is this folder; from the Hub, write the model's id (USER/NAME) instead.
`timm.create_model("local-dir:DIR", pretrained=True)` (for an id, `"hf-hub:ID"`) and
`transformers.pipeline("image-classification", model="DIR")` load the same and agree on the logits. The whole image is
used: non-square images are squashed to the input size, nothing is cropped. The temperature
({knowledge.temperature:.3f}) is already in the weights.{stain}

## Training

```
python train.py --dataset {run["dataset"]} {options} --output DIR
```

Images: {run["images"]["train"]} for training, {run["images"]["validation"]} for validation, {run["images"]["test"]} for
test; {run["split"]}. {run["steps"]} steps; data fingerprint `{run["fingerprint"]}`. Burned-in scale bars were removed
from the training images and drawn anew at random, so that they tell nothing of the class.

## Figures on the untouched test split

{metrics.as_text(report, labels)}

Five nearest neighbours on nine colour statistics, which see no cell at all, reach accuracy {baseline["accuracy"]:.3f}
and macro-F1 {baseline["f1"]:.3f} on the same split: read the figures above against these.

## Decision

Leukaemia probability of {knowledge.operating_point.threshold:.3f} or more: leukaemia, in the table above (chosen as
{knowledge.operating_point.chosen}). In findings: below {low:.3f} "not suspicious", from {high:.3f} on "suspicious",
between them "uncertain"; "uncertain" too for images of poor quality or unlike the training images.

## Limits

{LIMITS}
"""
    )


def _result(dataset: str, report: dict[str, Any]) -> dict[str, Any]:
    figures = {"accuracy": "accuracy", "f1": "f1", "precision": "precision", "recall": "recall", "auc_roc": "roc_auc"}
    return {
        "task": {"type": "image-classification"},
        "dataset": {"name": dataset, "type": "image-folder", "split": "test"},
        "metrics": [{"type": kind, "value": round(report[key]["value"], 4)} for key, kind in figures.items()],
    }

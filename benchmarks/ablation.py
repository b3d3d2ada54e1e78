"""Measure the effect of each part of training on Aria with `leuko ablate`, one training per core.

    python -m benchmarks.ablation ../shared/data

The stains come from three other laboratories (BCCD, PBC, JTSC). Networks start from ImageNet weights (see
`scripts.write_imagenet_weights`). Results are written to benchmarks/results/ablation.json.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks import side_by_side
from benchmarks.recipe import RECIPE, ROOT
from leuko.evaluation.stain_references import StainReference
from leuko.experiments import ablate
from leuko.reports.ablation import PAGE
from leuko.training.settings import Settings

FOREIGN = {"bccd": "bccd/JPEGImages/*.jpg", "pbc": "pbc/*/*.jpg", "jtsc": "jtsc/*.bmp"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="the folder of aria, bccd, pbc and jtsc")
    parser.add_argument("--images", type=int, default=400, help="to train on (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=160, help="images to measure on (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=160, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="grouped splits (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="(default: %(default)s)")
    given = parser.parse_args()
    base = Settings(
        dataset=(str(given.data / "aria"),),
        output=given.results,
        backbone=RECIPE["backbone"],
        weights=str(ROOT / RECIPE["weights"]),
        epochs=given.epochs,
        image_size=given.image_size,
        clean=False,
    )
    references = tuple(StainReference(lab, tuple(sorted(given.data.glob(pattern)))) for lab, pattern in FOREIGN.items())
    ablation = ablate.Ablation(base, given.images, given.validation, references)
    results = ablate.stored_results(given.results / ablate.RESULTS, ablation.options)
    jobs = {
        (name, str(seed)): partial(ablation.measure, name, seed)
        for seed, name in product(range(given.seeds), [ablate.BASELINE, *ablate.ROWS])
        if str(seed) not in results["rows"].get(name, {})
    }

    def keep(job: tuple[str, str], figures: ablate.Figures) -> None:
        name, seed = job
        results["rows"].setdefault(name, {})[seed] = figures
        ablate.write(given.results, results)

    side_by_side.work(jobs, keep)
    print((given.results / PAGE).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

"""Measure the spread of red-cell diameters and the platelets per 100 red cells against drawn truth.

    python -m benchmarks.red_cell_indices            write results/red_cell_indices.json

The fields have other seeds than those of any training and of `benchmarks.segmentation`; sizes of red cells vary by 3 to
15 %, stains and sharpness at random. The truth of the spread is that of the drawn cells that touch no other; the truth
of the ratio is the number of drawn cells, those cut by the right or lower border left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from leuko.cells.counting import count
from leuko.cells.red_cell_indices import PARAMETERS, measure, separate_diameters
from leuko.cells.segmentation import segment
from leuko.images.synthetic.red_forms import RedCellStyle
from leuko.images.synthetic.rendering import Smear, render
from leuko.images.synthetic.stains import random_stain
from leuko.stats.bootstrap import Bootstrap, Estimand, Interval
from leuko.stats.proportions import proportion_interval

RESULTS = Path(__file__).parent / "results" / "red_cell_indices.json"
FIELDS = 100
FIRST_SEED = 81_000


def field(seed: int) -> tuple[Smear, float]:
    """A drawn field, and the spread of sizes that it was drawn with."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.03, 0.15)
    smear = render(
        seed,
        um_per_px=0.16,
        white_cells={"neutrophil": 2},
        red_cover=rng.uniform(0.25, 0.55),
        platelets=int(rng.integers(0, 20)),
        red_style=RedCellStyle(forms={}, size_spread=spread),
        stain=random_stain(rng),
        blur_um=rng.uniform(0.1, 0.3),
    )
    return smear, spread


def main() -> None:
    """Measure all fields and write the figures."""
    errors, inside, ratios = [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + FIELDS):
        smear, drawn_with = field(seed)
        found = segment(smear.image)
        if not found.reliable:
            continue
        indices = measure(found, count(found))
        true = separate_diameters(smear.red_cells)
        if (spread := indices.diameter_spread) and len(true) >= PARAMETERS.min_diameters:
            errors.append(spread.value - true.std(ddof=1) / true.mean())
            inside.append(spread.low <= drawn_with <= spread.high)
        if ratio := indices.platelets_per_100_red_cells:
            cut = [np.unique(np.concatenate([cells[-1], cells[:, -1]])) for cells in (smear.platelets, smear.red_cells)]
            platelets, red_cells = (
                cells.max() - np.count_nonzero(ids)
                for cells, ids in zip((smear.platelets, smear.red_cells), cut, strict=True)
            )
            ratios.append(ratio.value - 100 * platelets / red_cells)
    figures = {
        "fields": FIELDS,
        "spread, fields": len(errors),
        "spread, mean absolute error": _mean(np.abs(errors)),
        "spread, mean error": _mean(np.array(errors)),
        "spread drawn with lies in the 95 % interval": proportion_interval(float(np.mean(inside)), len(inside)),
        "platelets per 100 red cells, fields": len(ratios),
        "platelets per 100 red cells, mean absolute error": _mean(np.abs(ratios)),
        "platelets per 100 red cells, mean error": _mean(np.array(ratios)),
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def _mean(values: np.ndarray) -> Interval:
    """The mean with its 95 % bootstrap interval over fields."""
    whole = Bootstrap(np.zeros(len(values), int))
    means = whole.intervals(lambda weights: {"mean": Estimand.bounded(weights @ values / weights.sum(axis=1), -1.0)})
    return means["mean"]


if __name__ == "__main__":
    main()

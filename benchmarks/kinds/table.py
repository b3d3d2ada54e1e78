"""The results as a Markdown table, as `docs/cells.md` holds it: python -m benchmarks.kinds.table"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = {"bccd": "BCCD", "raabin": "Raabin"}
RESULTS = Path(__file__).parents[1] / "results" / "kinds.json"


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    print("| `python -m benchmarks.kinds` | |\n|---|---|")
    for name, text in rows(results):
        print(f"| {name} | {text} |")


def rows(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of the table: what was measured, and the figure with its interval."""
    if home := results.get("home"):
        seven = home["among the seven normal kinds"]
        yield (
            f"PBC, {home['cells']} held-out cells: balanced accuracy among seven kinds",
            _span(seven["balanced_accuracy"]),
        )
        yield "… conformal sets at 95 %: the true kind is inside", _span(home["coverage"]["all"])
    if others := results.get("other laboratories"):
        for name, each in others.items():
            yield (
                f"{NAMES[name]}, odd-numbered images, {each['cells']} cells: balanced accuracy of five mature kinds",
                _span(each["among all kinds"]["balanced_accuracy"]),
            )
    if left := results.get("left out"):
        for name, each in left.items():
            yield (
                f"{NAMES[name]}, a network that has seen no image of it, {each['cells']} cells: five mature kinds",
                _span(each["among all kinds"]["balanced_accuracy"]),
            )
    if jhu := results.get("jhu"):
        for name in ("reported", "chosen by"):
            five = jhu[name]["among these five"]
            yield (
                f"JHU (AML, APL; never trained on), {jhu[name]['cells']} cells, patients that "
                f"{'did not choose' if name == 'reported' else 'chose'} the recipe: neutrophil, lymphocyte, monocyte, "
                "immature granulocyte, blast",
                _span(five["balanced_accuracy"]) + f"; ECE {_span(five['ece'])}",
            )
        mature = jhu["mature kinds"]
        yield (
            f"JHU, {mature['cells']} cells of the five mature kinds",
            _span(mature["among the five mature kinds"]["balanced_accuracy"]),
        )
        for other in ("lymphocyte", "monocyte", "immature_granulocyte"):
            yield f"JHU, blast against {other.replace('_', ' ')}: AUC-ROC", _span(jhu[f"blast against {other}"])
        yield "JHU, sets at 95 %: the true kind is inside", _span(jhu["coverage"]["all"])
        yield "… widened", _span(jhu["coverage widened"]["all"])
        yield (
            "… ten cells are noticed as unlike those of calibration",
            f"{100 * jhu['drift noticed in ten cells']:.0f} %",
        )
    if adapting := results.get("adapting"):
        before, after = adapting["before"], adapting["after"]
        yield (
            "JHU, adapted with up to 20 cells a kind, other patients tested: before, after (mean of ten splits, sd)",
            f"{before['mean']:.2f} ({before['sd']:.2f}), {after['mean']:.2f} ({after['sd']:.2f})",
        )
    if aria := results.get("aria"):
        for name in ("blast probabilities", "three figures of nuclei"):
            each = aria[name]
            yield f"Aria, {aria['fields']} fields by their cells, {name}: leukaemia, AUC-ROC", _span(each["auc"])
            yield "… sensitivity at a specificity of 0.95", _span(each["sensitivity at 0.95 specificity"])
            yield "… decided; wrong of these", f"{_span(each['decided'])}; {_span(each['wrong of decided'])}"
    if drawn := results.get("drawn"):
        yield (
            f"{drawn['fields']} drawn fields in 50 stains: the slide's share of blasts is in the interval",
            _span(drawn["interval holds the slide's share"]),
        )
        yield "… mean difference of the share", f"{drawn['mean difference of the share']:+.2f}"
    if audit := results.get("audit"):
        for name, figure in audit.items():
            if name != "cells":
                yield f"laboratory of a lymphocyte, told by {name}: balanced accuracy", _span(figure)
    if speed := results.get("speed"):
        yield (
            "time a cell on two cores: network; with cutting out; size",
            f"{speed['network alone, batch of 32']:.1f} ms; {speed['with cutting out']:.1f} ms; "
            f"{speed['network, MB']:.1f} MB",
        )


def _span(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


if __name__ == "__main__":
    main()

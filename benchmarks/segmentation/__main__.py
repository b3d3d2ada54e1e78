"""The table; see `benchmarks.segmentation`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.segmentation import all_folders, changed_fields, contact_sheets, drawn_fields, known_cells
from benchmarks.segmentation.run import Run, Segmenter
from benchmarks.segmentation.speed import speed
from leuko.cells.segmentation import METHODS

ROOT = Path(__file__).parents[2]
Figures = dict[str, dict[str, Any]]
SECTIONS: Mapping[str, Callable[[Run], Figures]] = {
    "jtsc": known_cells.jtsc,
    "bccd": known_cells.bccd,
    "recount": known_cells.recount,
    "raabin": known_cells.raabin,
    "chula": known_cells.chula,
    "changes": changed_fields.changes,
    "views": changed_fields.views,
    "scale": all_folders.scale,
    "singles": all_folders.singles,
    "elsewhere": all_folders.elsewhere,
    "drawn": drawn_fields.drawn,
    "speed": speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["fuzzy", "learned"])
    parser.add_argument("--network", type=Path, help="an ONNX file for the method learned, instead of the embedded one")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "segmentation.json")
    parser.add_argument("--overlays", type=Path, help="write pages with outlines into this folder and measure nothing")
    given = parser.parse_args()
    results: dict[str, dict[str, Figures]] = {}
    if given.output.is_file():
        results = json.loads(given.output.read_text(encoding="utf-8"))
    for method in given.methods:
        segmenter = Segmenter(method, given.network if method == "learned" else None)
        with Run(given.data, segmenter) as run:
            if given.overlays:
                contact_sheets.write(run, given.overlays)
                continue
            for name in given.only:
                began = time.perf_counter()
                results.setdefault(method, {})[name] = SECTIONS[name](run)
                print(f"{method}, {name}: {time.perf_counter() - began:.0f} s", flush=True)
                text = json.dumps(_in_order(results), indent=1, ensure_ascii=False)
                given.output.write_text(text + "\n", encoding="utf-8")
    if not given.overlays:
        print(table(results, given.methods, given.only))


def _in_order(results: dict[str, dict[str, Figures]]) -> dict[str, dict[str, Figures]]:
    """The sections of each method in the order of `SECTIONS`, whenever they were measured."""
    return {
        method: {name: sections[name] for name in SECTIONS if name in sections} for method, sections in results.items()
    }


def table(results: Mapping[str, Mapping[str, Figures]], methods: list[str], sections: list[str]) -> str:
    """All figures in Markdown, a column a method."""
    lines = ["| figure | images | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    for section in sections:
        found = [results.get(method, {}).get(section, {}) for method in methods]
        for name in dict.fromkeys(name for figures in found for name in figures):
            images = next(figures[name]["images"] for figures in found if name in figures)
            cells = " | ".join(_written(figures.get(name)) for figures in found)
            lines.append(f"| {name} | {images} | {cells} |")
    return "\n".join(lines)


def _written(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return str((figure or {}).get("text", "–"))
    if figure["low"] is None:
        return _number(figure["value"])
    return f"{_number(figure['value'])} ({_number(figure['low'])} to {_number(figure['high'])})"


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) > 1:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


if __name__ == "__main__":
    main()

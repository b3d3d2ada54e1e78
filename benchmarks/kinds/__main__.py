"""The table; see `benchmarks.kinds`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.kinds import audit, fields, galleries, single_cells, speed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "kinds.json"
SECTIONS: Mapping[str, Callable[[Path, Path], dict[str, Any]]] = {
    "home": single_cells.home,
    "jhu": single_cells.jhu,
    "other laboratories": single_cells.other_laboratories,
    "left out": single_cells.left_out,
    "adapting": single_cells.adapting,
    "aria": fields.aria,
    "drawn": fields.drawn,
    "audit": audit.audit,
    "speed": speed.speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder of leuko train-kinds")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="NAME")
    parser.add_argument("--galleries", type=Path, help="write pages of cells into this folder and measure nothing")
    given = parser.parse_args()
    if given.galleries:
        galleries.write(given.data, given.galleries)
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in given.only:
        began = time.perf_counter()
        results[name] = SECTIONS[name](given.data, given.run)
        print(f"{name}: {time.perf_counter() - began:.0f} s\n{json.dumps(results[name], indent=1)}", flush=True)
        ordered = {key: results[key] for key in SECTIONS if key in results}
        RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

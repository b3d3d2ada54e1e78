"""Measure time and memory of the data report for growing data sets: the same images repeated under new names.

python -m benchmarks.eda_scale ../shared/data/aria
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import count, islice
from pathlib import Path

from leuko.images.decode import SUFFIXES

SIZES = (2768, 8000, 20000)
RESULTS = Path(__file__).parent / "results" / "eda_scale.json"


def repeat(data: Path, folder: Path, wanted: int) -> None:
    """Fill `folder` with `wanted` files: those of `data`, in turn, each time under a new name, as links or copies."""
    files = sorted(file for file in data.rglob("*") if file.suffix.lower() in SUFFIXES)
    for turn, file in islice(((turn, file) for turn in count() for file in files), wanted):
        new = folder / file.parent.name / f"{turn:03d}-{file.name}"
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, new)
        except OSError:  # another file system
            new.write_bytes(file.read_bytes())


def main(data: Path) -> None:
    results = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            repeat(data, Path(folder) / data.name, size)
            command = [sys.executable, "-m", "leuko", "eda", str(Path(folder) / data.name)]
            began = time.monotonic()
            process = subprocess.Popen([*command, "--output", str(Path(folder) / "report")], stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"The report on {size} images failed.")
            results.append(_figures(size, time.monotonic() - began, used, Path(folder) / "report"))
            print(results[-1], flush=True)
    content = {"cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS"), "runs": results}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def _figures(size: int, seconds: float, used: resource.struct_rusage, report: Path) -> dict[str, float]:
    return {
        "images": size,
        "seconds": round(seconds),
        "cpu_seconds": round(used.ru_utime + used.ru_stime),
        "peak_mb": round(used.ru_maxrss / 1024),  # kilobytes on Linux
        "report_mb": round((report / "report.html").stat().st_size / 1e6, 1),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Time and memory of one segmentation on all cores; `python -m benchmarks.segmentation.speed` measures one image.

Each size is measured in a process of its own that does nothing else: 20 runs after three that do not count. The peak
memory (VmHWM) includes the interpreter and its packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from benchmarks.segmentation.run import Run, Segmenter

RUNS = 20
WARM = 3
ROOT = Path(__file__).parents[2]


def speed(run: Run) -> dict[str, dict[str, Any]]:
    """Median milliseconds and peak megabytes of three sizes."""
    from benchmarks.segmentation import estimators, truth  # imported here: they would count as memory of the process
    from leuko.images.synthetic import rendering

    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        drawn = Path(scratch) / "drawn.png"
        white_cells = {"blast": 20, "lymphocyte": 20, "neutrophil": 20}
        large = rendering.render(1, width=2592, height=1944, um_per_px=0.07, white_cells=white_cells).image
        cv2.imwrite(str(drawn), large[..., ::-1])
        for name, file in (
            ("224 × 224", truth.images(run.data, "aria")[0]),
            ("640 × 480", truth.images(run.data, "bccd")[0]),
            ("2592 × 1944, 60 white cells", drawn),
        ):
            given = [run.segmenter.method, str(file), *([str(run.segmenter.network)] if run.segmenter.network else [])]
            command = [sys.executable, "-m", "benchmarks.segmentation.speed", *given]
            output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            measured = json.loads(output)
            figures |= estimators.intervals(
                {f"{name}: median ms": estimators.median(measured["ms"], most=max(measured["ms"]))}, RUNS
            )
            figures[f"{name}: peak MB"] = {"value": measured["peak_mb"], "low": None, "high": None, "images": 1}
    return figures


def measure(segmenter: Segmenter, file: Path) -> dict[str, Any]:
    """Milliseconds of each run, and the peak memory of this process in MB."""
    from leuko.images.decode import decode

    image = decode(file)
    times = []
    for _ in range(WARM + RUNS):
        start = time.perf_counter()
        segmenter(image)
        times.append(1000 * (time.perf_counter() - start))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"ms": times[WARM:], "peak_mb": int(status["VmHWM"].split()[0]) // 1024}


if __name__ == "__main__":
    method, picture, *network = sys.argv[1:]
    print(json.dumps(measure(Segmenter(method, Path(network[0]) if network else None), Path(picture))))

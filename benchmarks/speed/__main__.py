"""The whole table; see `benchmarks.speed`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

from benchmarks.speed import over_http
from benchmarks.speed.models import NAMES, write
from leuko.images.synthetic import rendering

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"
TURNS = 2  # how often ours and the peer take turns
EXPLAIN = {"efficientnet_lite0": (6, 10), "resnet50": (4.5, 0), "densenet201": (5.5, 0), "vgg16": (4, 0)}
IMAGES = 256
WHITE = (5, 20, 80)  # white cells of a field of 5 megapixels

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="the folder with the Aria images")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "speed", help="where model folders are kept")
    given = parser.parse_args()
    given.models.mkdir(parents=True, exist_ok=True)
    write(given.models)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        setting = Setting(given.models, _pictures(given.data, place), place)
        for name in given.only:
            for row in SECTIONS[name](setting):
                rows[row["work"]] = row
                print(_line(row), flush=True)
                RESULTS.write_text(json.dumps({"machine": _machine(), "rows": rows}, indent=1) + "\n")
    print("\n".join(["", _machine(), "", "| work | ours | peer | ratio | target |", "|---|---|---|---|---|"]))
    print("\n".join(_line(row) for row in rows.values()))


class Setting:
    """What is measured with."""

    def __init__(self, models: Path, pictures: dict[str, Path], scratch: Path) -> None:
        self.models, self.pictures, self.scratch = models, pictures, scratch

    def model(self, name: str = NAMES[0]) -> Path:
        return self.models / name


def _pictures(data: Path, place: Path) -> dict[str, Path]:
    """Folders of images: one field, many, one of 640 × 480, a large one with 60 white cells."""
    found = {name: place / name for name in ("one", "many", "middle", "large")}
    for folder in found.values():
        folder.mkdir()
    files = sorted(data.rglob("aria/*/*.jpg"))
    for number, file in enumerate(files[:: len(files) // IMAGES][:IMAGES]):
        (found["many"] / f"{number:03}.jpg").write_bytes(file.read_bytes())
    (found["one"] / "field.jpg").write_bytes(files[1000].read_bytes())
    for name, (width, height), um, cells in (
        ("middle", (640, 480), 0.15, {"blast": 6, "lymphocyte": 2}),
        ("large", (2592, 1944), 0.1, {"blast": 35, "lymphocyte": 15, "neutrophil": 10}),
    ):
        _draw(found[name] / "field.jpg", width, height, um, cells)
    return found


def _draw(file: Path, width: int, height: int, um_per_px: float, white_cells: dict[str, int]) -> Path:
    """Write a drawn field."""
    drawn = rendering.render(1, width=width, height=height, um_per_px=um_per_px, white_cells=white_cells)
    cv2.imwrite(str(file), drawn.image[..., ::-1])
    return file


def explained(setting: Setting) -> Iterator[Row]:
    """Probabilities and overlay."""
    for name in NAMES:
        ours, peer = _both("explain", setting.model(name), setting.pictures["one"])
        _agree(ours["probabilities"], peer["probabilities"])
        likeness = np.corrcoef(ours["cam"], peer["cam"])[0, 1]
        assert likeness >= 0.999, f"the heat maps of {name} correlate by {likeness}"
        whole, network = EXPLAIN[name]
        yield _row(f"decoded image → probabilities and overlay, {name}", ours["seconds"], peer["seconds"], whole)
        yield _row(f"its network part, {name}", ours["network"], peer["network"], network)


def classified(setting: Setting) -> Iterator[Row]:
    """Probabilities alone."""
    for name in NAMES:
        ours, peer = _both("classify", setting.model(name), setting.pictures["one"])
        _agree(ours["probabilities"], peer["probabilities"])
        yield _row(f"decoded image → probabilities, {name}", ours["seconds"], peer["seconds"], 2)


def batches(setting: Setting) -> Iterator[Row]:
    """Many images."""
    ours, peer = _both("batch", setting.model(), setting.pictures["many"])
    _agree(ours["probabilities"], peer["probabilities"])
    work = f"{IMAGES} images, folder → CSV"
    yield _row(f"{work} (peer: batches of {peer['batch']})", ours["seconds"], peer["seconds"], 2.5)
    ours = _part("cells", "ours", setting.model(), setting.pictures["many"])
    yield _row(f"{work}, cells judged too", ours["seconds"], [], 0)


def started(setting: Setting) -> Iterator[Row]:
    """From nothing to the first answer, on the command line and over HTTP."""
    image, model = setting.pictures["one"] / "field.jpg", setting.model()
    commands = {
        "ours": ["-m", "leuko", "classify", image, "--model", model],
        "peer": [over_http.APPS / "script.py", model, image],
    }
    found: dict[str, list[tuple[float, float]]] = {who: [] for who in commands}
    for _ in range(5):
        for who, command in commands.items():
            found[who].append(_process(command))
    seconds, memory = ({who: [run[i] for run in found[who]] for who in found} for i in (0, 1))
    yield _row("process start → first finding, cells judged", seconds["ours"], seconds["peer"], 4)
    yield _row("its memory peak", memory["ours"], memory["peer"], 3, unit="MB")
    apps: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(5):
        apps["ours"].append(over_http.first_answer(image, "app.py", LEUKO_MODEL=str(model)))
        apps["peer"].append(over_http.first_answer(image, over_http.APPS / "peer.py", model, _threads()))
    yield _row("app start → first answer over HTTP", apps["ours"], apps["peer"], 2)


def served(setting: Setting) -> Iterator[Row]:
    """Requests over HTTP; the peer of the first rows is an app that answers at once, and ratios are of its time."""
    small, middle = (setting.pictures[name] / "field.jpg" for name in ("one", "middle"))
    with over_http.app("app.py", LEUKO_MODEL="") as (url, _), over_http.app(over_http.APPS / "idle.py") as (idle, _):
        ours, nothing = over_http.ready(url), over_http.ready(idle)
        for what, image, more, most in (
            ("224 px, cells judged", small, (), 1.5),
            ("224 px, network only", small, (False,), 1.25),
            ("640 × 480, cells judged", middle, (), 2.5),
        ):
            row = _row(f"/classify, median, {what}", over_http.answers(ours, image, more), [], 0)
            idle_seconds = float(np.median(over_http.answers(nothing, image)))
            yield row | {"peer": idle_seconds, "ratio": row["ours"] / idle_seconds, "target": f"≤ {most} ×"}
    many = sorted(setting.pictures["many"].iterdir())
    found: dict[str, dict[str, Any]] = {}
    with over_http.app("app.py", LEUKO_MODEL=str(setting.model())) as (url, _):
        found["cells judged"] = over_http.throughput(url, many)
        found["network only"] = over_http.throughput(url, many, (False,))
    with over_http.app(over_http.APPS / "peer.py", setting.model(), _threads()) as (url, _):
        peer = over_http.throughput(url, many)
    for what, target in (("network only", "≥ 3 ×, "), ("cells judged", "")):
        ours = found[what]
        for name in ours["probabilities"]:
            _agree(ours["probabilities"][name], peer["probabilities"][name])
        row = {"ours": ours["rate"], "peer": peer["rate"], "ratio": ours["rate"] / peer["rate"], "unit": "a second"}
        busy = f"{target}clients keep {ours['cores']:.2f} and {peer['cores']:.2f} cores busy"
        yield {"work": f"16 clients at once, {what}", **row, "target": busy}


def large(setting: Setting) -> Iterator[Row]:
    """A large field with many cells, everything."""
    found = _part("field", "ours", setting.model(), setting.pictures["large"])
    shares = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found["stages"].items())
    row = _row(f"2592 × 1944 with {found['cells']} white cells, everything", found["seconds"], [], 0)
    yield row | {"target": f"≤ 2.0 s; {shares}"}


def growth(setting: Setting) -> Iterator[Row]:
    """Time and memory of the command line for more images, for larger ones, and for more cells in one; and a plot."""
    files = sorted(setting.pictures["many"].iterdir())
    work = [("images", n, [files[i % len(files)] for i in range(n)]) for n in (1, 10, 100, 1000)]
    work += [("megapixels", size, [_field(setting.scratch, size, size * WHITE[1] / 5)]) for size in (0.3, 1.3, 5.0)]
    work += [("white cells", cells, [_field(setting.scratch, 5.0, cells)]) for cells in WHITE]
    series: dict[str, list[tuple[float, float, float]]] = {}
    for what, amount, images in work:
        command = ["-m", "leuko", "classify", *images, "--model", setting.model()]
        seconds, megabytes = _process([*command, "--json", setting.scratch / "out.jsonl"])
        series.setdefault(what, []).append((amount, seconds, megabytes))
        row = _row(f"leuko classify, cells judged: {amount} {what}", [seconds], [], 0)
        yield row | {"target": f"memory {megabytes:.0f} MB"}
    _plot(series)


def _field(place: Path, megapixels: float, cells: float) -> Path:
    """A drawn field of 4 by 3 with so many white cells."""
    width, blasts = round(1000 * (megapixels * 4 / 3) ** 0.5), max(round(cells), 1)
    return _draw(place / f"{megapixels}-{blasts}.jpg", width, width * 3 // 4, 0.1, {"blast": blasts})


def _plot(series: dict[str, list[tuple[float, float, float]]]) -> None:
    figure = Figure((9, 3), layout="constrained")
    for axes, (what, points) in zip(figure.subplots(1, len(series)), series.items(), strict=True):
        amounts, seconds, megabytes = zip(*points, strict=True)
        axes.plot(amounts, seconds, "o-", color="#0369a1")
        axes.set(xlabel=what, ylabel="seconds", ylim=(0, 1.1 * max(seconds)))
        memory = axes.twinx()
        memory.plot(amounts, megabytes, "s--", color="#b45309")
        memory.set(ylabel="MB (dashed)", ylim=(0, 1.1 * max(megabytes)))
    figure.savefig(ROOT / "docs" / "growth.webp", dpi=70, pil_kwargs={"quality": 40})


def _both(part: str, model: Path, images: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and the peer found, taking turns; their times together."""
    turns = [(_part(part, "ours", model, images), _part(part, "peer", model, images)) for _ in range(TURNS)]
    whole = []
    for who in zip(*turns, strict=True):
        times = {key: [s for turn in who for s in turn[key]] for key in ("seconds", "network") if key in who[0]}
        whole.append(who[0] | times)
    return whole[0], whole[1]


def _part(part: str, who: str, model: Path, images: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.speed.parts", part, who, model, images]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


# A process starts with the memory of the one that it is forked from; this one is small.
SMALL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def _process(command: list[object]) -> tuple[float, float]:
    """Seconds and the memory peak in MB of a process."""
    whole = [sys.executable, "-c", SMALL, sys.executable, *map(str, command)]
    start = time.perf_counter()
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout) / 1024


def _agree(ours: list[float], peer: list[float]) -> None:
    apart = float(np.abs(np.subtract(ours, peer)).max())
    assert apart <= 1e-3, f"the probabilities differ by {apart}"


def _row(work: str, ours: list[float], peer: list[float], target: float, unit: str = "s") -> Row:
    """A row of the table: medians, and how many times the peer needs what we do."""
    row = {"work": work, "ours": float(np.median(ours)), "unit": unit, "target": f"≥ {target} ×" if target else ""}
    return row | ({"peer": float(np.median(peer)), "ratio": float(np.median(peer) / np.median(ours))} if peer else {})


def _line(row: Row) -> str:
    def figure(value: float | None) -> str:
        if value is None:
            return "–"
        return f"{1000 * value:.1f} ms" if row["unit"] == "s" and value < 1 else f"{value:.2f} {row['unit']}"

    ratio = f"{row['ratio']:.2f} ×" if "ratio" in row else "–"
    return f"| {row['work']} | {figure(row['ours'])} | {figure(row.get('peer'))} | {ratio} | {row['target']} |"


def _threads() -> int:
    return len(os.sched_getaffinity(0))


def _machine() -> str:
    memory = resource.getpagesize() * os.sysconf("SC_PHYS_PAGES") / 1024**3
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{_threads()} cores of {model}, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"


SECTIONS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "explain": explained,
    "classify": classified,
    "batch": batches,
    "start": started,
    "serve": served,
    "large": large,
    "growth": growth,
}

if __name__ == "__main__":
    main()

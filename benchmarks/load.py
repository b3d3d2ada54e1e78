"""Load test with many clients: look for lost or wrong responses, server errors and growing memory.

    python -m benchmarks.load ../shared/data/aria [--clients 16] [--requests 400] [--in-all 2000]

Clients send requests to `/classify` and `/explain` by plain HTTP, with valid images of 224 × 224 pixels and with
invalid files. Every finding is compared with the result of the command line for the same file. Memory is the resident
set of the server, measured over all requests.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.serving import META, Served, call, served, upload, write
from leuko.images.decode import decode
from tests import bad_files

GOOD = 24


def main(data: Path, clients: int, requests: int, in_all: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        files = Path(place)
        images = sorted(data.rglob("*.jpg"))
        for number, file in enumerate(images[:: len(images) // GOOD][:GOOD]):
            shutil.copy(file, files / f"{number}.jpg")
        bad_files.write_all(files, decode(files / "0.jpg"))
        printed = command_line(files)
        with served() as app:
            figures: dict[str, Any] = {"clients": clients, "files": len(printed), "cores": os.cpu_count()}
            memory, done = {}, 0
            for until in sorted({200, requests, in_all}):
                begun = time.monotonic()
                counts, seconds = ask(app, files, printed, clients, range(done, until))
                minutes = round((time.monotonic() - begun) / 60, 2)
                memory[until] = round(psutil.Process(app.process.pid).memory_info().rss / 1024**2)
                figures[f"requests {done} to {until}"] = {
                    **counts,
                    "minutes": minutes,
                    "median seconds": round(float(np.median(seconds)), 2),
                    "95 % under seconds": round(float(np.quantile(seconds, 0.95)), 2),
                    "load average": round(os.getloadavg()[0], 1),
                }
                print(figures[f"requests {done} to {until}"], memory, file=sys.stderr, flush=True)
                done = until
            figures["memory in MB after requests"] = memory
            figures["growth after the first 200"] = round(memory[in_all] / memory[200] - 1, 3)
            figures["tracebacks in the log"] = app.log.read_text().count("Traceback")
        write("load", figures)


def command_line(files: Path) -> dict[str, dict[str, Any]]:
    """What `python -m leuko classify` says of every file, by name."""
    done = subprocess.run([sys.executable, "-m", "leuko", "classify", files], capture_output=True, text=True)
    return {said["image"]: said for said in map(json.loads, done.stdout.splitlines())}


def ask(
    app: Served, files: Path, printed: dict[str, dict[str, Any]], clients: int, numbers: range
) -> tuple[dict[str, int], list[float]]:
    """Ask once for each number; how often what happened, and how long each took in seconds."""
    names, counts, seconds = sorted(printed), Counter(answered=0, lost=0, wrong=0, server_errors=0), []
    local = threading.local()

    def one(number: int) -> None:
        if not hasattr(local, "client"):
            local.client = httpx.Client(base_url=app.url, timeout=300)
        name, endpoint = names[number % len(names)], "explain" if number % 4 == 3 else "classify"
        begun = time.monotonic()
        try:
            (path,) = upload(local.client, name, (files / name).read_bytes()).raise_for_status().json()
            more = ["", 0.5] if endpoint == "explain" else []
            answer = call(local.client, endpoint, {"path": path, "orig_name": name, "meta": META}, *more)
        except httpx.HTTPStatusError as error:
            counts["server_errors" if error.response.status_code >= 500 else "lost"] += 1
            print(error, file=sys.stderr)
            return
        except (httpx.HTTPError, ValueError) as error:
            counts["lost"] += 1
            print(repr(error), file=sys.stderr)
            return
        seconds.append(time.monotonic() - begun)
        counts["answered"] += 1
        if answer.get("error", "") is None:
            counts["server_errors"] += 1
        elif not right(answer, printed[name], endpoint):
            counts["wrong"] += 1
            print(answer, printed[name], file=sys.stderr)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, numbers))
    return dict(counts), seconds


def right(answer: dict[str, Any], printed: dict[str, Any], endpoint: str) -> bool:
    """The same finding to the fourth decimal, or the same refusal; of an overlay, that there is one."""
    if "error" in printed or "error" in answer:
        return answer.get("error") == printed.get("error")
    if endpoint == "explain":
        return answer["path"].endswith(".png")
    floats = ("probabilities", "leukaemia_probability", "evidence")
    same = all(answer[k] == printed[k] for k in printed if k not in floats)
    return same and np.allclose(numbers_of(answer), numbers_of(printed), atol=2e-4)


def numbers_of(finding: dict[str, Any]) -> list[float]:
    given = [*finding["probabilities"].values(), finding["leukaemia_probability"], *finding["evidence"].values()]
    return [-1.0 if value is None else value for value in given]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--in-all", type=int, default=2000)
    chosen = parser.parse_args()
    main(chosen.data, chosen.clients, chosen.requests, chosen.in_all)

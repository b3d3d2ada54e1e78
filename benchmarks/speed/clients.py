"""Many clients at once: `python -m benchmarks.speed.clients URL MORE IMAGE…` prints one JSON object.

Plain HTTP in the queue's protocol, over connections that are kept: what clients take of the same two cores, the app
does not have.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving import META, call, upload

CLIENTS = 16
REQUESTS = 160


def main() -> None:
    url, more, *images = sys.argv[1:]
    files = {Path(image).name: Path(image).read_bytes() for image in images}
    names = list(files)
    clients = [httpx.Client(base_url=url, timeout=300) for _ in range(CLIENTS)]
    found: dict[str, list[float]] = {}

    def ask(number: int, requests: int) -> None:
        for turn in range(requests):
            name = names[(number * requests + turn) % len(names)]
            (path,) = upload(clients[number], name, files[name]).raise_for_status().json()
            image = {"path": path, "orig_name": name, "meta": META}
            found[name] = _probabilities(call(clients[number], "classify", image, *json.loads(more)))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS), [1] * CLIENTS))  # warm
        start, busy = time.perf_counter(), time.process_time()
        list(pool.map(ask, range(CLIENTS), [REQUESTS // CLIENTS] * CLIENTS))
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(json.dumps({"rate": REQUESTS / seconds, "cores": busy / seconds, "probabilities": found}))


def _probabilities(answer: dict[str, Any]) -> list[float]:
    """Of an answer of ours, or of the peer's `gr.Label`, in the model's order."""
    if "confidences" in answer:
        by_number = {int(one["label"]): one["confidence"] for one in answer["confidences"]}
        return [by_number[number] for number in sorted(by_number)]
    return list(answer["probabilities"].values())


if __name__ == "__main__":
    main()

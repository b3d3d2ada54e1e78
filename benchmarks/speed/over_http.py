"""Apps in processes of their own, and clients that ask them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"


@contextmanager
def app(*command: object, **environment: str) -> Iterator[tuple[str, float]]:
    """The address of an app, and when it was started (`time.perf_counter`)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as uploads:
        own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": uploads, "GRADIO_ANALYTICS_ENABLED": "False"}
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=os.environ | own | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{port}", start
        finally:
            process.terminate()
            process.wait(20)


def ready(url: str, within: float = 120) -> Client:
    """A client, as soon as the app answers."""
    end = time.perf_counter() + within
    while time.perf_counter() < end:
        try:
            return Client(url, verbose=False)
        except Exception:  # nothing listens yet
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not start")


def first_answer(image: Path, *command: object, **environment: str) -> float:
    """Seconds from the start of an app to its first answer."""
    with app(*command, **environment) as (url, start):
        ready(url).predict(handle_file(image), api_name="/classify")
        return time.perf_counter() - start


def answers(client: Client, image: Path, more: tuple = (), runs: int = 30) -> list[float]:
    """Seconds of each of some requests, one after the other."""
    seconds = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        client.predict(handle_file(image), *more, api_name="/classify")
        seconds.append(time.perf_counter() - start)
    return seconds[5:]


def throughput(url: str, images: list[Path], more: tuple = ()) -> dict[str, Any]:
    """Requests a second of 16 clients at once, in a process of their own; see `benchmarks.speed.clients`.

    Returns:
        `rate`; `cores`, that the clients themselves keep busy; `probabilities` by file name.
    """
    ready(url)
    command = [sys.executable, "-m", "benchmarks.speed.clients", url, json.dumps(more), *map(str, images)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout)

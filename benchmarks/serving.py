"""Shared code of `load` and `hostile`: the real app in a separate process, and clients for plain HTTP."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

RESULTS = Path(__file__).parent / "results"
META = {"_type": "gradio.FileData"}


@dataclass(frozen=True)
class Served:
    """A running app: its address, its process, its log, and the folder its temporary files are in."""

    url: str
    process: subprocess.Popen
    log: Path
    folder: Path


@contextmanager
def served(**environment: str) -> Iterator[Served]:
    """The app of this checkout, with the embedded model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="leuko-bench-") as place:
        log = Path(place) / "app.log"
        known = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": place, "LEUKO_MODEL": ""}
        with log.open("w") as printed:
            process = subprocess.Popen(
                [sys.executable, "app.py"], env=os.environ | known | environment, stdout=printed, stderr=printed
            )
        try:
            url = f"http://127.0.0.1:{port}"
            while process.poll() is None:
                try:
                    httpx.get(url, timeout=10)
                    break
                except httpx.HTTPError:
                    time.sleep(0.5)
            yield Served(url, process, log, Path(place))
        finally:
            process.terminate()
            process.wait(60)


def upload(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    """The answer to an upload; its JSON is a list of one path."""
    return client.post("/gradio_api/upload", files={"files": (name, data)})


def call(client: httpx.Client, endpoint: str, *inputs: Any) -> Any:
    """What an endpoint answers, or a dictionary with `error`.

    Raises:
        httpx.HTTPStatusError: the server refuses the call itself.
    """
    joined = client.post(f"/gradio_api/call/{endpoint}", json={"data": inputs}).raise_for_status()
    said = client.get(f"/gradio_api/call/{endpoint}/{joined.json()['event_id']}").raise_for_status().text
    kind, _, data = said.rstrip().rpartition("data: ")
    answer = json.loads(data)
    return answer[0] if "event: complete" in kind else answer


def write(name: str, results: dict[str, Any]) -> None:
    """Keep results and print them."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(results, indent=2, ensure_ascii=False))

"""Client processes that start in half a second: forked from one that has imported torch.

Importing torch and torchvision takes seconds. The process that is forked has imported them, but nothing that looks at
the environment when it is imported as the Hub's client does, so that each client has its own Hub, home and token.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["torch", "torchvision", "torch._dynamo"])


def start() -> None:
    """Start the process that is forked: before any training, which would start the same with the Hub's client in it."""
    forkserver.ensure_running()


def run(environment: Mapping[str, str], *command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """What `python COMMAND` (a script, `-m MODULE` or `-c CODE`, and arguments) prints and ends with."""
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _FORKED.Process(target=_become, args=(words, dict(environment), cwd, printed))
        process.start()
        process.join(240)
        if process.is_alive():
            process.kill()
            process.join()
        return subprocess.CompletedProcess(words, process.exitcode, *(file.read_text() for file in printed))


def _become(words: list[str], environment: dict[str, str], cwd: Path, printed: list[Path]) -> None:
    assert "huggingface_hub" not in sys.modules, "its address would be another test's"
    for number, file in enumerate(printed, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    multiprocessing.set_start_method(None, force=True)  # the platform's, as in a new interpreter
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path.insert(0, str(cwd))
    kind, *rest = words
    sys.argv = words if kind not in ("-m", "-c") else rest if kind == "-m" else ["-c", *rest[1:]]
    if kind == "-c":
        exec(rest[0], {"__name__": "__main__"})
    elif kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(kind, run_name="__main__")

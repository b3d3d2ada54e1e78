"""Run trainings in parallel, one per core, and keep finished results."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch

from leuko.experiments import single_run
from leuko.system.threads import cores

Name = TypeVar("Name")


def work(jobs: Mapping[Name, Callable[[], Any]], keep: Callable[[Name, Any], None]) -> None:
    """Do all jobs, and keep the result of each as soon as it is there.

    Args:
        jobs: by name; they are sent to other processes.
        keep: receives a job's name and its result.

    Raises:
        Exception: what a job raised; those that ran beside it are kept, those not yet begun are left.
    """
    failed = None
    with ProcessPoolExecutor(cores(), get_context("spawn"), _one_core) as pool:
        running = {pool.submit(job): name for name, job in jobs.items()}
        for done in as_completed(running):
            if done.cancelled():
                continue
            if error := done.exception():
                failed = failed or error
                for other in running:
                    other.cancel()
            else:
                keep(running[done], done.result())
    if failed:
        raise failed


def kept(file: Path, asked: Any) -> dict[str, Any]:
    """The results that a file holds; none if there is no file.

    Raises:
        SystemExit: they are not those of what is `asked` for.
    """
    if not file.exists():
        return {}
    results = json.loads(file.read_text())
    if results["asked"] != json.loads(json.dumps(asked)):
        raise SystemExit(f"{file} holds results of {results['asked']}; move it away, or give another --results.")
    return results


def write(file: Path, results: Any) -> None:
    """Write results as JSON. They are hours of work: the file is there whole, or as it was."""
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(results, indent=1) + "\n")
    draft.replace(file)


def _one_core() -> None:
    single_run.quiet()
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    """Go when the process that asks is gone: nobody would hear what is found."""
    parent.join()
    os._exit(1)

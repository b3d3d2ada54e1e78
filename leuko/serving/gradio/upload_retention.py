"""How long uploads and answers are kept: old ones are deleted, unless a request still waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import gradio as gr

from leuko.serving.gradio import private_parts
from leuko.serving.gradio.upload_only_blocks import path_of_address
from leuko.system import memory

DEFAULT_SECONDS = 120  # long enough for a slow client to use its upload, short enough for medical images
CHECK_SECONDS = 10  # time between two checks for old files


def retention_seconds() -> int:
    """How long an upload may lie in the server's temporary folder before it is deleted.

    Raises:
        ValueError: LEUKO_KEPT_SECONDS is set, but is no whole number from 1.
    """
    seconds = os.environ.get("LEUKO_KEPT_SECONDS") or str(DEFAULT_SECONDS)
    if not seconds.isdecimal() or int(seconds) == 0:
        raise ValueError("LEUKO_KEPT_SECONDS takes a whole number of seconds from 1.")
    return int(seconds)


@contextlib.asynccontextmanager
async def delete_old_uploads(blocks: gr.Blocks, seconds: int) -> AsyncIterator[None]:
    """Delete uploads and answers that are older than this while the context lasts, and all uploads at its end."""
    unfetched_since: dict[str, float] = {}

    async def check_regularly() -> None:
        while True:
            await asyncio.sleep(min(CHECK_SECONDS, seconds))
            # In the event loop, where Gradio moves an upload into its place in one step: a file that was uploaded
            # again is not deleted by its old age.
            delete_files(blocks, seconds)
            forget_answers(private_parts.queue_of(blocks), unfetched_since, seconds)
            await asyncio.to_thread(memory.give_back)

    task = asyncio.create_task(check_regularly())
    try:
        yield
    finally:
        task.cancel()
        delete_files(blocks, 0)


def delete_files(blocks: gr.Blocks, seconds: float) -> None:
    """Delete files of the upload folder that are older, except those of the page and of waiting requests.

    Gradio's `delete_cache` does not know of waiting requests, parts of refused uploads, and files of its MCP server.

    Args:
        blocks: the app.
        seconds: the highest age; with 0, files of waiting requests are deleted too.
    """
    needed = private_parts.page_files(blocks)
    if seconds:
        needed |= _files_of_waiting_requests(blocks)
    upload_folder = private_parts.upload_folder()
    for folder, _, names in os.walk(upload_folder, topdown=False):
        for file in (Path(folder, name) for name in names):
            if str(file) not in needed:
                _delete_if_older(file, seconds)
        if folder != str(upload_folder):
            with contextlib.suppress(OSError):  # it is not empty
                Path(folder).rmdir()
    private_parts.forget_missing_files(blocks)


def forget_answers(queue: private_parts.Queue, unfetched_since: dict[str, float], seconds: float) -> None:
    """Delete answers that nobody has fetched for longer, and the names of finished calls.

    Gradio keeps the answers of 2,000 sessions, each call of a program being one, and the names of all calls.

    Args:
        queue: Gradio's queue; call this in the thread of its event loop.
        unfetched_since: for each call, the time (`time.monotonic`) since which its answer waits; changed in place.
        seconds: how long an answer may wait.
    """
    now, sessions = time.monotonic(), private_parts.session_calls(queue)
    finished = {call for calls in sessions.values() for call in calls} - private_parts.waiting_calls(queue).keys()
    for call in unfetched_since.keys() - finished:
        del unfetched_since[call]
    for call in finished:
        unfetched_since.setdefault(call, now)
    for session, calls in list(sessions.items()):
        old = {call for call in calls if now - unfetched_since.get(call, now) > seconds}
        private_parts.forget_calls(queue, session, old)


def _files_of_waiting_requests(blocks: gr.Blocks) -> set[str]:
    """The files of requests that run or wait; in a long queue they wait longer than files are kept."""
    files: set[str] = set()
    for inputs in private_parts.waiting_inputs(blocks):
        with contextlib.suppress(RecursionError, ValueError):  # nested too deeply, or no valid address
            private_parts.map_files(inputs, lambda file: files.add(path_of_address(file["path"])))
    return files


def _delete_if_older(file: Path, seconds: float) -> None:
    try:
        if time.time() - file.stat().st_ctime > seconds:
            file.unlink()
    except FileNotFoundError:
        pass  # deleted by its request in the meantime

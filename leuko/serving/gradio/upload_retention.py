"""Where uploads lie, and how long they and answers are kept: what is old goes, unless a request still waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.queueing import Queue
from gradio.utils import get_upload_folder
from gradio_client.utils import traverse

from leuko.system import memory

KEPT_SECONDS = 120
SWEEP_SECONDS = 10  # how often that is looked after
FILE = "/gradio_api/file="


def uploads() -> Path:
    """The folder that uploads go to."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def names_file(value: Any) -> bool:
    """Whether a value in a client's request stands for a file."""
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def path_of(address: str) -> str:
    """The path of an uploaded file whose address MCP clients give; other addresses are left as they are."""
    parts = urlsplit(address)
    at = parts.path.find(FILE)
    return unquote(parts.path[at + len(FILE) :]) if at >= 0 else address


def kept_seconds() -> int:
    """How long an upload may lie in the server's temporary folder before it is deleted.

    Raises:
        ValueError: LEUKO_KEPT_SECONDS is set, and is no time.
    """
    kept = os.environ.get("LEUKO_KEPT_SECONDS") or str(KEPT_SECONDS)
    if not kept.isdecimal() or int(kept) == 0:
        raise ValueError("LEUKO_KEPT_SECONDS takes a whole number of seconds from 1.")
    return int(kept)


@contextlib.asynccontextmanager
async def swept(app: Any, kept_seconds: int) -> AsyncIterator[None]:
    """While this lasts, files of the app's upload folder, and answers, go when they are old; after it all are gone."""
    unfetched: dict[str, float] = {}

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, kept_seconds))
            # Here, where uploads are put into their places in one go, so that none goes that has just come again.
            sweep(app.get_blocks(), kept_seconds)
            forget_answers(app.get_blocks()._queue, unfetched, kept_seconds)
            await asyncio.to_thread(memory.give_back)

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        sweep(app.get_blocks(), 0)


def sweep(blocks: gr.Blocks, seconds: float) -> None:
    """Delete what has lain in the upload folder for longer, but not what the page is made of or a request waits for.

    Gradio's own `delete_cache` knows nothing of requests that wait, of parts of refused uploads, and of what its MCP
    server puts there.
    """
    needed = {file for block in blocks.blocks.values() for file in getattr(block, "keep_in_cache", ())}
    needed |= _awaited(blocks) if seconds else set()
    for folder, _, names in os.walk(uploads(), topdown=False):
        for file in (Path(folder, name) for name in names):
            if str(file) not in needed:
                _delete(file, seconds)
        if folder != str(uploads()):
            with contextlib.suppress(OSError):  # something is in it
                Path(folder).rmdir()
    for known in blocks.temp_file_sets:
        known -= {file for file in set(known) if not Path(file).exists()}


def forget_answers(queue: Queue, unfetched: dict[str, float], seconds: float) -> None:
    """Let go of answers that nobody has fetched for longer, and of what Gradio keeps of calls that are over.

    Gradio's own queue keeps the answers of 2,000 sessions, each call of a program being one, and their names for good.

    Args:
        queue: Gradio's; to be called where its loop runs.
        unfetched: since when (by `time.monotonic`) the answers to calls have been seen to wait; changed in place.
        seconds: how long they may.
    """
    now, sessions = time.monotonic(), queue.pending_event_ids_session
    waiting = {call for calls in sessions.values() for call in calls} - queue.event_ids_to_events.keys()
    for call in unfetched.keys() - waiting:
        del unfetched[call]
    for call in waiting:
        unfetched.setdefault(call, now)
    for session, calls in list(sessions.items()):
        calls -= {call for call in calls if now - unfetched.get(call, now) > seconds}
        if not calls:
            del sessions[session]
            queue.pending_messages_per_session.pop(session, None)


def _awaited(blocks: gr.Blocks) -> set[str]:
    """The files of requests that wait for their turn or have it: in a long queue, longer than files are kept."""
    files: set[str] = set()
    for event in blocks._queue.event_ids_to_events.values():
        with contextlib.suppress(AttributeError, RecursionError, ValueError):  # no files, or none that can be named
            traverse(event.data.data, lambda file: files.add(path_of(file["path"])), names_file)
    return files


def _delete(file: Path, seconds: float) -> None:
    try:
        if time.time() - file.stat().st_ctime > seconds:
            file.unlink()
    except FileNotFoundError:
        pass  # somebody else was faster

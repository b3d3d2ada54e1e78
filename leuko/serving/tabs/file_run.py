"""The files of an upload, worked through one after the other while the page shows how far they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from leuko.cells.blast_share import with_count
from leuko.images.file_types import InputFile
from leuko.serving import batch
from leuko.serving.gradio.upload_components import SmearFiles, Upload
from leuko.serving.tabs.rendering import render, status_card

MAX_RUNS = 8  # that may run or wait
UPDATE_SECONDS = 1.0  # between two updates of the page, which gets all results each time
CANCELLING = "() => ({__type__: 'update', value: 'Cancelling …', interactive: false})"
TURN = threading.Semaphore(1)  # one run at a time, so that a core stays free for single images


@dataclass(frozen=True)
class Step:
    """How far a run is.

    Attributes:
        state: `queued` once at the beginning, `waiting` for another run to end, `working`, `cancelled` or `done`.
        results: of all files that are done.
        done, total: files.
        seconds: since work began.
    """

    state: Literal["queued", "waiting", "working", "cancelled", "done"]
    results: list[dict[str, Any]]
    done: int
    total: int
    seconds: float

    @property
    def progress(self) -> str:
        """The card that says how far it is."""
        left = self.seconds / self.done * (self.total - self.done)
        words = f"{left / 60:.0f} minutes" if left >= 90 else with_count(max(1, round(left)), "second")
        return render(
            "status_card",
            title=f"{self.done} of {self.total} images analysed",
            text=f"About {words} left.",
            items=(),
            progress=self,
        )


class FileRun:
    """The runs of one tab, at most one for each session."""

    def __init__(self) -> None:
        self._cancelled: set[str] = set()  # sessions whose run is to stop

    def cancel(self, session: str) -> None:
        """End a session's run before its next file."""
        self._cancelled.add(session)

    def steps(
        self, uploads: list[Upload], session: str, read: Callable[[InputFile], list[dict[str, Any]]]
    ) -> Iterator[Step]:
        """Work through uploads.

        Args:
            uploads: images and zips.
            session: that may cancel the run.
            read: the results for the pictures of one file.

        Raises:
            leuko.data.sources.archive.ArchiveError: see `batch.open_batch`.
        """
        self._cancelled.discard(session)
        results: list[dict[str, Any]] = []
        done, start = 0, time.monotonic()
        try:
            with batch.open_batch(uploads) as files:
                total = len(files.items)
                yield Step("queued", [], 0, total, 0.0)
                while not TURN.acquire(timeout=UPDATE_SECONDS):
                    if session in self._cancelled:
                        yield Step("cancelled", [], 0, total, 0.0)
                        return
                    yield Step("waiting", [], 0, total, 0.0)
                try:
                    start = last_update = time.monotonic()
                    for item in files.items:
                        if session in self._cancelled:
                            break
                        results += read(item)
                        done += 1
                        if time.monotonic() - last_update >= UPDATE_SECONDS:
                            last_update = time.monotonic()
                            yield Step("working", results, done, total, last_update - start)
                finally:
                    TURN.release()
            yield Step("done" if done == total else "cancelled", results, done, total, time.monotonic() - start)
        finally:
            self._cancelled.discard(session)


@dataclass(frozen=True)
class Parts:
    """What both tabs of many files show: the files, the button, how far a run is, and its result."""

    files: SmearFiles
    stop: gr.Button
    state: gr.HTML
    content: gr.HTML


def add_parts(name: str, content: str, label: str, start: str) -> Parts:
    """Add these parts to the block that is being built.

    Args:
        name: what their ids begin with.
        content: what the id of the result ends with.
        label: of the files.
        start: what happens when files are chosen, a sentence.
    """
    with gr.Row():
        files = SmearFiles(label=label, file_count="multiple", height=160, elem_id=f"{name}-files", scale=3)
        stop = gr.Button("Cancel", interactive=False, scale=1, elem_id=f"{name}-stop")
    nothing = status_card("Nothing chosen yet", start)
    state = gr.HTML(nothing, apply_default_css=False, elem_id=f"{name}-state")
    return Parts(files, stop, state, gr.HTML(apply_default_css=False, elem_id=f"{name}-{content}"))


def add_events(
    parts: Parts, runs: FileRun, run: Callable[..., Iterator[tuple]], choices: Sequence[gr.components.Component] = ()
) -> None:
    """Let a run begin when files are chosen, and end when the button is pressed.

    Args:
        parts: of the tab.
        runs: of the tab.
        run: takes the uploads, the values of `choices` and the request; yields values for the four parts.
        choices: of the user.
    """
    files, stop = parts.files, parts.stop
    inputs, outputs = [files, *choices], [files, parts.state, parts.content, stop]

    def cancel(request: gr.Request) -> None:
        runs.cancel(session_of(request))

    files.upload(run, inputs, outputs, api_visibility="private", concurrency_limit=MAX_RUNS, show_progress="hidden")
    # The browser changes the button: an answer of the server could come after the end of the run and would stay.
    stop.click(None, None, stop, js=CANCELLING, api_visibility="private")
    stop.click(cancel, None, None, api_visibility="private", queue=False, show_progress="hidden")


def session_of(request: gr.Request) -> str:
    """The session that a request belongs to."""
    return request.session_hash or ""


def inactive_button() -> dict[str, Any]:
    """The button when there is nothing to cancel; a new object each time, since Gradio empties it."""
    return gr.update(value="Cancel", interactive=False)

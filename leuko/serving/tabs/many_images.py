"""The tab in which many images are analysed one after the other."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from leuko.data.sources.archive import MAX_FILES, MAX_ZIP_BYTES, ArchiveError
from leuko.inference.classifier import Classifier
from leuko.serving import batch
from leuko.serving.gradio.upload_components import SmearFiles, Upload
from leuko.serving.tabs.adapted_models import AdaptedModels
from leuko.serving.tabs.rendering import render, status_card

MAX_BATCHES = 8  # that may run or wait
UPDATE_SECONDS = 1.0  # between two updates of the table, which is sent as a whole each time

_INTRODUCTION = f"""\
Choose up to {MAX_FILES} smear images, or zips of them (folders inside are fine; {MAX_ZIP_BYTES // 1024**2} MB at
most). They are analysed one after the other, each page of a TIFF too, and deleted soon after. A file that cannot be
read gets an error and does not stop the others. The table and its CSV exist on this page only."""
_CANCELLING = "() => ({__type__: 'update', value: 'Cancelling …', interactive: false})"

Row = tuple[str, ...]  # a text for each of `batch.COLUMNS`


@dataclass(frozen=True)
class _Progress:
    total: int
    done: int


def add(classifier: Classifier, adapted_models: AdaptedModels) -> None:
    """Add the tab's content to the block that is being built."""
    turn = threading.Semaphore(1)  # one batch at a time, so that a core stays free for single images
    cancelled: set[str] = set()  # sessions whose batch is to stop
    gr.Markdown(_INTRODUCTION)
    with gr.Row():
        files = SmearFiles(
            label="Smear images, or a zip", file_count="multiple", height=160, elem_id="batch-files", scale=3
        )
        stop = gr.Button("Cancel", interactive=False, scale=1, elem_id="batch-stop")
    state = gr.HTML(
        status_card("Nothing chosen yet", "The analysis begins as soon as files are chosen."),
        apply_default_css=False,
        elem_id="batch-state",
    )
    table = gr.HTML(apply_default_css=False, elem_id="batch-table")

    def run(uploads: list[Upload], request: gr.Request) -> Iterator[tuple]:
        session = request.session_hash or ""
        cancelled.discard(session)
        try:
            yield from analyse(adapted_models.classifier_of(request) or classifier, uploads, session)
        except ArchiveError as error:
            yield None, status_card("Not analysed", str(error)), "", _inactive_button()
        finally:
            cancelled.discard(session)

    def analyse(model: Classifier, uploads: list[Upload], session: str) -> Iterator[tuple]:
        rows: list[Row] = []
        done = 0
        with batch.open_batch(uploads) as files:
            # The table of an earlier batch stays until there is a new one.
            waiting = status_card("Waiting", "Your images are next; a table below is still that of the earlier ones.")
            yield None, waiting, gr.skip(), gr.update(interactive=True)
            while not turn.acquire(timeout=UPDATE_SECONDS):
                if session in cancelled:
                    yield None, status_card("Cancelled", "No image was analysed."), "", _inactive_button()
                    return
                yield (gr.skip(),) * 4
            try:
                start = last_update = time.monotonic()
                for item in files.items:
                    if session in cancelled:
                        break
                    rows += map(batch.table_row, batch.classify_file(model, item))
                    done += 1
                    if time.monotonic() - last_update >= UPDATE_SECONDS:
                        last_update = time.monotonic()
                        progress = _progress(done, len(files.items), last_update - start)
                        yield gr.skip(), progress, _table(rows), gr.skip()
            finally:
                turn.release()
        yield None, _summary(rows, done, len(files.items)), _table(rows, finished=True), _inactive_button()

    def cancel(request: gr.Request) -> None:
        cancelled.add(request.session_hash or "")

    files.upload(
        run,
        files,
        [files, state, table, stop],
        api_visibility="private",
        concurrency_limit=MAX_BATCHES,
        show_progress="hidden",
    )
    # The browser changes the button: an answer of the server could come after the end of the batch and would stay.
    stop.click(None, None, stop, js=_CANCELLING, api_visibility="private")
    stop.click(cancel, None, None, api_visibility="private", queue=False, show_progress="hidden")


def _inactive_button() -> dict[str, Any]:
    """The button when there is nothing to cancel; a new object each time, since Gradio empties it."""
    return gr.update(value="Cancel", interactive=False)


def _progress(done: int, total: int, seconds: float) -> str:
    left = seconds / done * (total - done)
    words = f"{left / 60:.0f} minutes" if left >= 90 else f"{max(1, round(left))} seconds"
    return render(
        "status_card",
        title=f"{done} of {total} images analysed",
        text=f"About {words} left.",
        items=(),
        progress=_Progress(total, done),
    )


def _summary(rows: Sequence[Row], done: int, total: int) -> str:
    """How many images had which decision; a file of several pages has several rows.

    Args:
        rows: of all files that are done.
        done: how many these are.
        total: files of the batch.
    """
    analysed, skipped = _split(rows)
    decisions = [row[1] for row in analysed]
    order = ("suspicious", "uncertain", "not suspicious", batch.LOW_QUALITY, batch.NOT_ANALYSED)
    text = ", ".join(f"{decisions.count(word)} {word}" for word in order if word in decisions) + "."
    if skipped:
        text += f" {len(skipped)} skipped, listed below the table and in the CSV."
    if done < total:
        return status_card(f"Cancelled after {done} of {total} files", text)
    return status_card(f"Done: {len(analysed)} image{'' if len(analysed) == 1 else 's'}", text)


def _table(rows: Sequence[Row], finished: bool = False) -> str:
    """The rows as HTML; a finished table contains its CSV, so that no file of it is on the server."""
    if not rows:
        return ""
    analysed, skipped = _split(rows)
    model = batch.COLUMNS.index("model")
    return render(
        "batch_table",
        columns=batch.COLUMNS,
        rows=analysed,
        skipped=skipped if finished else (),
        models=sorted({row[model] for row in rows} - {""}),
        csv=base64.b64encode(batch.as_csv(rows)).decode() if finished else None,
    )


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of files that are images or should be, and those of skipped files."""
    analysed = [row for row in rows if row[1] != batch.SKIPPED]
    skipped = [row for row in rows if row[1] == batch.SKIPPED]
    return analysed, skipped

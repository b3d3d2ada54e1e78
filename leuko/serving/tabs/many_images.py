"""The tab in which many images are analysed one after the other."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial

import gradio as gr

from leuko.data.sources.archive import MAX_FILES, MAX_ZIP_BYTES, ArchiveError
from leuko.inference.classifier import Classifier
from leuko.serving import batch
from leuko.serving.gradio.upload_components import Upload
from leuko.serving.tabs.adapted_models import AdaptedModels
from leuko.serving.tabs.file_run import FileRun, Step, add_events, add_parts, inactive_button, session_of
from leuko.serving.tabs.rendering import render, status_card

_INTRODUCTION = f"""\
Choose up to {MAX_FILES} smear images, or zips of them (folders inside are fine; {MAX_ZIP_BYTES // 1024**2} MB at
most). They are analysed one after the other, each page of a TIFF too, and deleted soon after. A file that cannot be
read gets an error and does not stop the others. The table and its CSV exist on this page only."""

Row = tuple[str, ...]  # a text for each of `batch.COLUMNS`


def add(classifier: Classifier, adapted_models: AdaptedModels) -> None:
    """Add the tab's content to the block that is being built."""
    runs = FileRun()
    gr.Markdown(_INTRODUCTION)
    start = "The analysis begins as soon as files are chosen."
    parts = add_parts("batch", "table", "Smear images, or a zip", start)

    def run(uploads: list[Upload], request: gr.Request) -> Iterator[tuple]:
        model = adapted_models.classifier_of(request) or classifier
        try:
            for step in runs.steps(uploads, session_of(request), partial(batch.classify_file, model)):
                yield shown(step)
        except ArchiveError as error:
            yield None, status_card("Not analysed", str(error)), "", inactive_button()

    def shown(step: Step) -> tuple:
        """What the page shows: the files, the state, the table and the button."""
        rows = [batch.table_row(result) for result in step.results]
        if step.state == "queued":  # the table of an earlier batch stays until there is a new one
            waiting = status_card("Waiting", "Your images are next; a table below is still that of the earlier ones.")
            return None, waiting, gr.skip(), gr.update(interactive=True)
        if step.state == "waiting":
            return (gr.skip(),) * 4
        if step.state == "working":
            return gr.skip(), step.progress, _table(rows), gr.skip()
        if not step.done:
            return None, status_card("Cancelled", "No image was analysed."), "", inactive_button()
        return None, _summary(rows, step.done, step.total), _table(rows, finished=True), inactive_button()

    add_events(parts, runs, run)


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

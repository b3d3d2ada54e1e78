"""The tab in which many images are judged one after the other."""

from __future__ import annotations

import base64
import html
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from leuko.data.sources.archive import MAX_FILES, MAX_ZIP_BYTES, ArchiveError
from leuko.inference.classifier import Classifier
from leuko.serving import batch
from leuko.serving.gradio.upload_components import SmearFiles, Upload
from leuko.serving.tabs.adapt import Sessions

AT_ONCE = 8  # batches that may wait for their turn or take it
DRAWN_EVERY = 1.0  # seconds between two tables; each is sent as a whole

_INVITATION = f"""\
Choose up to {MAX_FILES} smear images, or zips of them (folders inside are fine; {MAX_ZIP_BYTES // 1024**2} MB at
most). They are judged one after the other as they arrive, each page of a TIFF too, and deleted soon after; a file that
cannot be judged says why and stops nothing. The table and its CSV exist on this page alone."""
_STATE = """\
<div class="card verdict none" role="status"><h2>{title}</h2>{bar}<p>{text}</p></div>"""
_BAR = '<progress max="{of}" value="{done}" aria-label="Images judged"></progress>'
_TABLE = (
    '<div class="card rows">{link}<p class="hint">{models}</p><div class="scroll" tabindex="0" role="region" '
    'aria-label="Findings"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{skipped}</div>'
)
_CSV = (
    '<a class="download" download="deep-leuko.csv" href="data:text/csv;charset=utf-8;base64,{data}">'
    "Download the table as CSV</a>"
)
_CANCELLING = "() => ({__type__: 'update', value: 'Cancelling …', interactive: false})"


def add(classifier: Classifier, sessions: Sessions) -> None:
    """Put the tab's content into the block that is open."""
    turn = threading.Semaphore(1)  # of two batches one waits, so that single images find a core free
    stopped: set[str] = set()
    gr.Markdown(_INVITATION)
    with gr.Row():
        files = SmearFiles(
            label="Smear images, or a zip", file_count="multiple", height=160, elem_id="batch-files", scale=3
        )
        stop = gr.Button("Cancel", interactive=False, scale=1, elem_id="batch-stop")
    state = gr.HTML(
        _say("Nothing chosen yet", "Judging begins as soon as files are chosen."),
        apply_default_css=False,
        elem_id="batch-state",
    )
    table = gr.HTML(apply_default_css=False, elem_id="batch-table")

    def run(uploads: list[Upload], request: gr.Request) -> Iterator[tuple]:
        own = sessions.of(request)
        stopped.discard(request.session_hash)
        try:
            yield from _run(own.classifier if own else classifier, uploads, request.session_hash)
        except ArchiveError as error:
            yield None, _say("Not judged", str(error)), "", _idle()
        finally:
            stopped.discard(request.session_hash)

    def _run(judge: Classifier, uploads: list[Upload], session: str) -> Iterator[tuple]:
        rows: list[tuple[str, ...]] = []
        done = 0
        with batch.taken(uploads) as given:
            # The earlier table stays until there is a new one.
            ready = _say("Waiting", "Your images are next in line; a table below is still that of the earlier ones.")
            yield None, ready, gr.skip(), gr.update(interactive=True)
            while not turn.acquire(timeout=DRAWN_EVERY):
                if session in stopped:
                    yield None, _say("Cancelled", "None of the images was judged."), "", _idle()
                    return
                yield (gr.skip(),) * 4
            try:
                begun = drawn = time.monotonic()
                for item in given.items:
                    if session in stopped:
                        break
                    rows += map(batch.row, batch.judge(judge, item))
                    done += 1
                    if time.monotonic() - drawn >= DRAWN_EVERY:
                        drawn = time.monotonic()
                        yield (
                            gr.skip(),
                            _progress(done, len(given.items), drawn - begun),
                            _table(rows),
                            gr.skip(),
                        )
            finally:
                turn.release()
        yield None, _summary(rows, done, len(given.items)), _table(rows, done=True), _idle()

    def cancel(request: gr.Request) -> None:
        stopped.add(request.session_hash)

    files.upload(
        run,
        files,
        [files, state, table, stop],
        api_visibility="private",
        concurrency_limit=AT_ONCE,
        show_progress="hidden",
    )
    # The browser changes the button: the server's answer could come after the batch has ended, and would stay.
    stop.click(None, None, stop, js=_CANCELLING, api_visibility="private")
    stop.click(cancel, None, None, api_visibility="private", queue=False, show_progress="hidden")


def _idle() -> dict[str, Any]:
    """The button when there is nothing to cancel; Gradio uses up what it is given."""
    return gr.update(value="Cancel", interactive=False)


def _progress(done: int, of: int, seconds: float) -> str:
    left = seconds / done * (of - done)
    words = f"about {left / 60:.0f} minutes left" if left >= 90 else f"about {max(1, round(left))} seconds left"
    return _say(f"{done} of {of} images judged", f"{words}.".capitalize(), _BAR.format(of=of, done=done))


def _summary(rows: Sequence[tuple[str, ...]], done: int, files: int) -> str:
    """What was judged of so many files, of which so many are done; a file of several pages has several rows."""
    judged, skipped = _apart(rows)
    decisions = [row[1] for row in judged]
    words = ("suspicious", "uncertain", "not suspicious", batch.NOT_FIT, batch.NOT_JUDGED)
    text = ", ".join(f"{decisions.count(word)} {word}" for word in words if word in decisions) + "."
    if skipped:
        text += f" {len(skipped)} skipped, named below the table and in the CSV."
    if done < files:
        return _say(f"Cancelled after {done} of {files} files", text)
    return _say(f"Done: {len(judged)} image{'' if len(judged) == 1 else 's'}", text)


def _table(rows: Sequence[tuple[str, ...]], done: bool = False) -> str:
    """The rows as HTML; a finished table carries its CSV with it, so that no file of it lies on the server."""
    if not rows:
        return ""
    judged, skipped = _apart(rows)
    head = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in batch.COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in judged)
    link = _CSV.format(data=base64.b64encode(batch.as_csv(rows)).decode()) if done else ""
    models = sorted({dict(zip(batch.COLUMNS, row, strict=True))["model"] for row in rows} - {""})
    judged = f"Judged by {html.escape('; '.join(models))}." if models else ""
    left_out = _skipped(skipped) if done else ""
    return _TABLE.format(link=link, models=judged, head=head, body=body, skipped=left_out)


def _apart(rows: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The rows of files that were judged or could not be, and those of files that were skipped."""
    kinds: tuple[list[tuple[str, ...]], list[tuple[str, ...]]] = ([], [])
    for row in rows:
        kinds[row[1] == batch.SKIPPED].append(row)
    return kinds


def _skipped(rows: Sequence[tuple[str, ...]]) -> str:
    """A line that names the files that were skipped, and why."""
    if not rows:
        return ""
    named = ", ".join(html.escape(f"{row[0]} ({row[-1]})") for row in rows)
    return f"<p>Skipped {len(rows)} file{'' if len(rows) == 1 else 's'}: {named}.</p>"


def _say(title: str, text: str, bar: str = "") -> str:
    return _STATE.format(title=html.escape(title), text=html.escape(text), bar=bar)

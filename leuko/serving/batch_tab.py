"""The tab in which many images are judged one after the other."""

from __future__ import annotations

import base64
import html
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from leuko.models.classifier import Classifier
from leuko.serving import batch
from leuko.serving.adapt_tab import Sessions
from leuko.serving.archive import MAX_FILES, MAX_ZIP_BYTES, ArchiveError
from leuko.serving.upload import SmearFiles, Upload

AT_ONCE = 8  # batches that may wait for their turn or take it
DRAWN_EVERY = 1.0  # seconds between two tables; each is sent as a whole

_INVITATION = f"""\
Choose up to {MAX_FILES} smear images, or one zip of them (folders inside are fine; {MAX_ZIP_BYTES // 1024**2} MB at
most). They are judged one after the other as they arrive, and deleted once they have been looked at; a file that cannot
be judged says why and stops nothing. The table and its CSV exist on this page alone."""
_STATE = """\
<div class="card verdict none" role="status"><h2>{title}</h2>{bar}<p>{text}</p></div>"""
_BAR = '<progress max="{of}" value="{done}" aria-label="Images judged"></progress>'
_TABLE = (
    '<div class="rows" tabindex="0" role="region" aria-label="Findings"><table>'
    "<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
)
_LOOK = """
.rows {overflow: auto; max-height: 32rem}
.rows table {width: 100%; border-collapse: collapse; font-size: .9rem}
.rows th, .rows td {border: 0; border-bottom: 1px solid var(--border-color-primary); padding: .4rem .6rem;
                    text-align: left; vertical-align: top}
.rows th {position: sticky; top: 0; background: var(--background-fill-secondary)}
.rows td:first-child {overflow-wrap: anywhere; min-width: 8rem}
.rows td:last-child {min-width: 18rem; color: var(--body-text-color-subdued)}
"""
_CSV = (
    '<p><a download="deep-leuko.csv" href="data:text/csv;charset=utf-8;base64,{data}">Download the table as CSV</a></p>'
)


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
        elem_id="batch-state",
        css_template="progress {width: 100%; accent-color: #0072B2}",
    )
    table = gr.HTML(elem_id="batch-table", css_template=_LOOK)

    def run(uploads: list[Upload], request: gr.Request) -> Iterator[tuple]:
        own = sessions.of(request)
        stopped.discard(request.session_hash)
        try:
            yield from _run(own.classifier if own else classifier, uploads, request.session_hash)
        except ArchiveError as error:
            yield None, _say("Not judged", str(error)), "", gr.update(interactive=False)
        finally:
            stopped.discard(request.session_hash)

    def _run(judge: Classifier, uploads: list[Upload], session: str) -> Iterator[tuple]:
        rows: list[tuple[str, ...]] = []
        with batch.taken(uploads) as given:
            ready = _say("Waiting", "Another batch is being judged; yours is next in line.")
            yield None, ready, "", gr.update(interactive=True)
            while not turn.acquire(timeout=DRAWN_EVERY):
                if session in stopped:
                    yield None, _say("Cancelled", "None of the images was judged."), "", gr.update(interactive=False)
                    return
                yield (gr.skip(),) * 4
            try:
                begun = drawn = time.monotonic()
                for upload in given.uploads:
                    if session in stopped:
                        break
                    rows.append(batch.row(batch.judge(judge, upload)))
                    if time.monotonic() - drawn >= DRAWN_EVERY:
                        drawn = time.monotonic()
                        yield (
                            gr.skip(),
                            _progress(len(rows), len(given.uploads), drawn - begun),
                            _table(rows),
                            gr.skip(),
                        )
            finally:
                turn.release()
        yield None, _summary(rows, given), _table(rows, done=True), gr.update(interactive=False)

    def cancel(request: gr.Request) -> Any:
        stopped.add(request.session_hash)
        return gr.update(interactive=False)

    files.upload(
        run,
        files,
        [files, state, table, stop],
        api_visibility="private",
        concurrency_limit=AT_ONCE,
        show_progress="hidden",
    )
    stop.click(cancel, None, stop, api_visibility="private", queue=False, show_progress="hidden")


def _progress(done: int, of: int, seconds: float) -> str:
    left = seconds / done * (of - done)
    words = f"about {left / 60:.0f} minutes left" if left >= 90 else f"about {max(1, round(left))} seconds left"
    return _say(f"{done} of {of} images judged", f"{words}.".capitalize(), _BAR.format(of=of, done=done))


def _summary(rows: Sequence[tuple[str, ...]], given: batch.Batch) -> str:
    decisions = [row[1] for row in rows]
    said = [f"{decisions.count(word)} {word}" for word in ("suspicious", "uncertain", "not suspicious")]
    text = f"{', '.join(said)}; {decisions.count(batch.NOT_JUDGED)} could not be judged."
    if given.left_out:
        text += f" Left out, as they are not named as images: {', '.join(given.left_out[:5])}"
        text += f" and {len(given.left_out) - 5} more." if len(given.left_out) > 5 else "."
    if len(rows) < len(given.uploads):
        return _say(f"Cancelled after {len(rows)} of {len(given.uploads)} images", text)
    return _say(f"{len(rows)} image{'' if len(rows) == 1 else 's'} judged", text)


def _table(rows: Sequence[tuple[str, ...]], done: bool = False) -> str:
    """The rows as HTML; a finished table carries its CSV with it, so that no file of it lies on the server."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in batch.COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    link = _CSV.format(data=base64.b64encode(batch.as_csv(rows)).decode()) if done else ""
    return link + _TABLE.format(head=head, body=body)


def _say(title: str, text: str, bar: str = "") -> str:
    return _STATE.format(title=html.escape(title), text=html.escape(text), bar=bar)

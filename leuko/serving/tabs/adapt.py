"""The tab in which a laboratory's own images become a model for this session."""

from __future__ import annotations

import html
import io
import multiprocessing
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gradio as gr

from leuko.adaptation.zip_contents import IMAGES, Class, Survey, survey
from leuko.data.sources.archive import ArchiveError, unpack
from leuko.data.sources.folders import DataError
from leuko.inference.classifier import Classifier
from leuko.networks.model_folder import ModelFolderError
from leuko.reports.cards import adapted_card

MOST = 8  # sessions with a model of their own, about 40 MB each; the oldest gives way
LINES = 7  # that `adapt` says at least, as far as progress can be told
NAME = "adapted-model.zip"
_MODEL = "model"
_MEANS, _MEANS_NOT = "leukaemia", "no leukaemia"

_INVITATION = """\
Networks learn the laboratory. Here the model is fitted to **your** stain, camera and scale: bring 10 to 200 images as a
zip with one folder for each class (`lab.zip`: `leukaemia/…jpg`, `healthy/…jpg`; patients as folders inside the classes
are kept together). First you are told what the zip holds, and asked what its classes mean where their names do not say
it for certain. In about a minute you then get an honest estimate, cross-validated on your images, and the adapted
model: for you alone, until this page is closed, and as a download. The images are deleted once the model is fitted."""
_STATE = '<div class="card verdict none" role="status"><h2>{title}</h2>{text}</div>'


@dataclass(frozen=True)
class Own:
    """A session's own model: in use, and packed for download."""

    classifier: Classifier
    packed: bytes


class Sessions:
    """The models of open pages, in memory alone; a model goes with its page."""

    def __init__(self) -> None:
        self._own: dict[str, Own] = {}
        self._open: set[str] = set()  # that have asked for a model and have not ended since
        self._lock = threading.Lock()

    def of(self, request: gr.Request | None) -> Own | None:
        """The own model of the session that asks, if it has one."""
        return self._own.get(_session(request))

    def expect(self, request: gr.Request) -> None:
        """A session waits for its own model."""
        with self._lock:
            self._open.add(_session(request))

    def keep(self, request: gr.Request, own: Own) -> None:
        """Give a session its own model, if it has not ended while it waited."""
        with self._lock:
            if _session(request) not in self._open:
                return
            self._own.pop(_session(request), None)
            self._own[_session(request)] = own
            for oldest in list(self._own)[:-MOST]:
                del self._own[oldest]

    def drop(self, request: gr.Request) -> None:
        """Forget the model of a session that wants the common model back."""
        with self._lock:
            self._own.pop(_session(request), None)

    def end(self, request: gr.Request) -> None:
        """Forget a session whose page is closed, and the model it waits for."""
        with self._lock:
            self._open.discard(_session(request))
            self._own.pop(_session(request), None)


def add(classifier: Classifier, sessions: Sessions) -> None:
    """Put the tab's content into the block that is open; what is adapted is the classifier's model."""
    model = str(Path(classifier.model.origin).resolve())
    gr.Markdown(_INVITATION)
    with gr.Row():
        with gr.Column():
            archive = gr.File(label="Zip of labelled images", file_types=[".zip"], height=160, elem_id="lab-zip")
            seen = gr.State(None)

            @gr.render(inputs=[seen], show_progress="hidden")
            def ask(found: Survey | None) -> None:
                answers = [_question(each) for each in found.classes] if found else []
                start = gr.Button("Adapt", variant="primary")
                start.click(
                    run,
                    [archive, seen, *answers],
                    [archive, seen, state, figures, *shown],
                    api_visibility="private",
                    concurrency_limit=1,
                    show_progress="full",
                    show_progress_on=[state],
                )

        with gr.Column():
            state = gr.HTML(_say("No adapted model", "The model that everybody gets is in use."), elem_id="adapt-state")
            figures = gr.Markdown(elem_id="adapt-figures")
            with gr.Row(visible=False) as choices:
                pack = gr.Button("Prepare the download")
                download = gr.DownloadButton("Download the adapted model", visible=False, elem_id="adapt-download")
                back = gr.Button("Use the common model again")

    def see(path: str) -> tuple:
        try:
            found = survey(path)
        except (ArchiveError, DataError) as error:
            Path(path).unlink(missing_ok=True)
            return None, None, _say("Not adapted", str(error))
        counts = ", ".join(f"{each.images} {each.name}" for each in found.classes)
        unknown = ", ".join(each.name for each in found.classes if each.leukaemia is None)
        todo = f"Say whether {unknown} means leukaemia" if unknown else "Check what the classes mean"
        return (
            gr.skip(),
            found,
            _say("Before adapting", f"The zip holds {counts}. {todo}, then press Adapt.", *found.notes),
        )

    def run(
        path: str | None,
        found: Survey | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
        *answers: str | None,
    ) -> tuple:
        lines: list[str] = []

        def on_message(line: str) -> None:
            lines.append(line)
            progress(min(len(lines) / LINES, 0.95), desc=line.splitlines()[0][:100])

        def refuse(title: str, text: str, *items: str, zip_stays: bool = False) -> tuple:
            zip_and_classes = (gr.skip(), gr.skip()) if zip_stays else (None, None)
            if sessions.of(request) is None:
                return *zip_and_classes, _say(title, text, *items), "", *_shown(False)
            items = (*items, "The model that was adapted before stays in use.")
            return *zip_and_classes, _say(title, text, *items), *(gr.skip(),) * (1 + len(shown))

        if path is None:
            return refuse("No zip yet", "Choose a zip with one folder for each class.")
        if found is None or found.archive != path or len(answers) != len(found.classes):
            text = "The zip is still being looked at; press Adapt once its classes are listed."
            return refuse("Not yet", text, zip_stays=True)
        if open_ := [each.name for each, answer in zip(found.classes, answers, strict=True) if answer is None]:
            text = f"Say for each class whether it means leukaemia; not answered: {', '.join(open_)}."
            return refuse("Not adapted yet", text, zip_stays=True)
        positive = [each.name for each, answer in zip(found.classes, answers, strict=True) if answer == _MEANS]
        try:
            sessions.expect(request)
            progress(0, desc="Unpacking the zip.")
            own, report = _adapted(Path(path), model, positive, on_message)
        except (ArchiveError, DataError, ModelFolderError) as error:
            return refuse("Not adapted", str(error), *(line for line in lines if line.startswith("Left out")))
        finally:
            Path(path).unlink(missing_ok=True)
        sessions.keep(request, own)
        said = [line for line in lines if line.startswith(("Left out", "Look at"))]
        state = _say(
            "Adapted model in use",
            "On this page alone, until it is closed. Images you upload in the other tabs are judged by it.",
            *report["notes"],
            *said,
        )
        return None, None, state, adapted_card.table(report), *_shown(True)

    def prepare(request: gr.Request) -> tuple:
        own = sessions.of(request)
        if own is None:
            return gr.update(visible=False), gr.update(visible=True)
        folder = Path(tempfile.mkdtemp(prefix="leuko-adapted-", dir=download.GRADIO_CACHE))
        (folder / NAME).write_bytes(own.packed)
        download.temp_files.add(str(folder / NAME))  # from here on it ages like an upload and is deleted like one
        return gr.update(visible=True, value=str(folder / NAME)), gr.update(visible=False)

    def forget(request: gr.Request) -> tuple:
        sessions.drop(request)
        return _say("No adapted model", "The model that everybody gets is in use again."), "", *_shown(False)

    def _shown(whether: bool) -> tuple:
        return gr.update(visible=whether), gr.update(visible=False, value=None), gr.update(visible=True)

    shown = [choices, download, pack]
    archive.upload(see, archive, [archive, seen, state], api_visibility="private", show_progress_on=[state])
    archive.clear(lambda: None, None, seen, api_visibility="private", show_progress="hidden")

    pack.click(prepare, None, [download, pack], api_visibility="private", show_progress="hidden")
    back.click(forget, None, [state, figures, *shown], api_visibility="private", show_progress="hidden")


def _question(each: Class) -> gr.Radio:
    """Asks what a class means; answered already where its name says it for certain."""
    known = {True: _MEANS, False: _MEANS_NOT, None: None}[each.leukaemia]
    return gr.Radio(
        [_MEANS, _MEANS_NOT],
        value=known,
        label=f"{each.name} ({each.images} images)",
        info=None if known else "Its name does not say for certain whether it means leukaemia.",
    )


def _adapted(
    archive: Path, base: str, positive: list[str], on_message: Callable[[str], None]
) -> tuple[Own, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="leuko-lab-") as place:
        images, model = Path(place) / IMAGES, Path(place) / _MODEL
        images.mkdir()
        unpack(archive, images)
        report = _apart(place, base, positive, on_message)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as written:
            for file in sorted(file for file in model.rglob("*") if file.is_file()):
                written.write(file, file.relative_to(model))
        return Own(Classifier.load(model), packed.getvalue()), report


def _apart(place: str, base: str, positive: list[str], on_message: Callable[[str], None]) -> dict[str, Any]:
    """Adapt in a process of its own: what training needs in memory goes with it, and a crash takes nothing else along.

    Raises:
        DataError, ModelFolderError: as `leuko.adaptation.adapt.adapt`, or the process is gone without an answer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_fit, args=(place, base, positive, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while isinstance(told := ours.recv(), str):
            on_message(told)
    except EOFError as gone:
        process.join()
        if process.exitcode < 0:  # killed
            why = "Adapting broke off, perhaps for lack of memory; try it with fewer images."
        else:
            why = "Adapting broke off by a fault of this program; nothing was kept. Try it with other images."
        raise DataError(why) from gone
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(told, Exception):
        raise told
    return told


def _fit(place: str, base: str, positive: list[str], tell: Connection) -> None:
    """In that process: every line of `adapt` is told, then its report or what it refuses."""
    os.chdir(place)  # so that no sentence for the user holds a path of the server
    from leuko.adaptation.adapt import adapt

    try:
        tell.send(adapt(IMAGES, Path(_MODEL), model=base, positive=positive, on_message=tell.send))
    except (DataError, ModelFolderError) as error:
        tell.send(error)


def _say(title: str, text: str, *items: str) -> str:
    listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return _STATE.format(title=html.escape(title), text=f"<p>{html.escape(text)}</p><ul>{listed}</ul>")


def _session(request: gr.Request | None) -> str:
    return (request.session_hash if request else None) or ""

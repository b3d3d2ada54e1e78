"""The tab in which a laboratory's own images become a model for this session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

from leuko.adaptation.zip_summary import ZipClass, ZipContents, read_zip
from leuko.data.errors import DataError
from leuko.data.sources.archive import ArchiveError
from leuko.inference.classifier import Classifier
from leuko.networks.model_folder import ModelFolderError
from leuko.reports.cards import model_card
from leuko.serving.adaptation_process import adapt_to_zip
from leuko.serving.gradio import private_parts
from leuko.serving.tabs.adapted_models import AdaptedModel, AdaptedModels
from leuko.serving.tabs.rendering import status_card

MESSAGES = 7  # that `adapt` sends at least; the progress bar counts them
DOWNLOAD_NAME = "adapted-model.zip"
LEUKAEMIA, NO_LEUKAEMIA = "leukaemia", "no leukaemia"
_LEFT_OUT = "Left out"  # how messages about unused images begin
_SHOWN_MESSAGES = (_LEFT_OUT, "Look at", "Possible label errors")  # how the messages begin that stay on the page

_INTRODUCTION = """\
Networks depend on the laboratory whose images they learnt from. Here the model is fitted to **your** stain, camera and
scale. Bring 10 to 200 images as a zip with one folder for each class (`lab.zip`: `leukaemia/…jpg`, `healthy/…jpg`;
folders of patients inside the classes are kept together). First the page lists what the zip contains, and asks what
its classes mean if their names do not say so. After about a minute you get an accuracy estimate, cross-validated on
your images, and the adapted model: for this page only, until it is closed, and as a download. The images are deleted
as soon as the model is fitted."""


def add(classifier: Classifier, adapted_models: AdaptedModels) -> None:
    """Add the tab's content to the block that is being built; it adapts the classifier's model."""
    assert classifier.model.folder  # a model that is served was loaded from a folder
    base = str(classifier.model.folder.resolve())
    gr.Markdown(_INTRODUCTION)
    with gr.Row():
        with gr.Column():
            archive = gr.File(label="Zip of labelled images", file_types=[".zip"], height=160, elem_id="lab-zip")
            contents_state = gr.State(None)

            @gr.render(inputs=[contents_state], show_progress="hidden")
            def ask(contents: ZipContents | None) -> None:
                answers = [_question(each) for each in contents.classes] if contents else []
                start = gr.Button("Adapt", variant="primary")
                start.click(
                    run,
                    [archive, contents_state, *answers],
                    [archive, contents_state, state, figures, *download_parts],
                    api_visibility="private",
                    concurrency_limit=1,
                    show_progress="full",
                    show_progress_on=[state],
                )

        with gr.Column():
            state = gr.HTML(
                status_card("No adapted model", "The common model is in use, the same for all visitors."),
                elem_id="adapt-state",
            )
            figures = gr.Markdown(elem_id="adapt-figures")
            with gr.Row(visible=False) as choices:
                pack = gr.Button("Prepare the download")
                download = gr.DownloadButton("Download the adapted model", visible=False, elem_id="adapt-download")
                back = gr.Button("Use the common model again")
    download_parts = [choices, download, pack]

    def inspect(path: str) -> tuple:
        try:
            contents = read_zip(path)
        except (ArchiveError, DataError) as error:
            Path(path).unlink(missing_ok=True)
            return None, None, status_card("Not adapted", str(error))
        return gr.skip(), contents, _contents_card(contents)

    def run(
        path: str | None,
        contents: ZipContents | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
        *answers: str | None,
    ) -> tuple:
        messages: list[str] = []

        def on_message(message: str) -> None:
            messages.append(message)
            progress(min(len(messages) / MESSAGES, 0.95), desc=message.splitlines()[0][:100])

        def refuse(title: str, text: str, *items: str, keep_zip: bool = False) -> tuple:
            zip_and_contents = (gr.skip(), gr.skip()) if keep_zip else (None, None)
            if adapted_models.of(request) is None:
                return *zip_and_contents, status_card(title, text, *items), "", *_download_updates(False)
            items = (*items, "The model that was adapted before stays in use.")
            unchanged = (gr.skip(),) * (1 + len(download_parts))
            return *zip_and_contents, status_card(title, text, *items), *unchanged

        if path is None:
            return refuse("No zip yet", "Choose a zip with one folder for each class.")
        if contents is None or contents.archive != path or len(answers) != len(contents.classes):
            text = "The zip is still being inspected; press Adapt once its classes are listed."
            return refuse("Not yet", text, keep_zip=True)
        if unanswered := [each.name for each, answer in zip(contents.classes, answers, strict=True) if answer is None]:
            text = f"Say for each class whether it means leukaemia; not answered: {', '.join(unanswered)}."
            return refuse("Not adapted yet", text, keep_zip=True)
        positive = [each.name for each, answer in zip(contents.classes, answers, strict=True) if answer == LEUKAEMIA]
        try:
            adapted_models.expect(request)
            progress(0, desc="Unpacking the zip.")
            adaptation = adapt_to_zip(Path(path), base, positive, on_message)
        except (ArchiveError, DataError, ModelFolderError) as error:
            return refuse("Not adapted", str(error), *_beginning(messages, _LEFT_OUT))
        finally:
            Path(path).unlink(missing_ok=True)
        adaptation.classifier.kind_model = classifier.kind_model  # kinds of cells stay those that are served
        adapted_models.keep(request, AdaptedModel(adaptation.classifier, adaptation.zip_file))
        card = status_card(
            "Adapted model in use",
            "On this page only, until it is closed. Images that you upload in the other tabs are analysed with it.",
            *adaptation.report["notes"],
            *_beginning(messages, *_SHOWN_MESSAGES),
        )
        return None, None, card, model_card.cross_validation_table(adaptation.report), *_download_updates(True)

    def prepare_download(request: gr.Request) -> tuple:
        model = adapted_models.of(request)
        if model is None:
            return gr.update(visible=False), gr.update(visible=True)

        def write(folder: Path) -> Path:
            file = Path(mkdtemp(prefix="leuko-adapted-", dir=folder)) / DOWNLOAD_NAME
            file.write_bytes(model.zip_file)
            return file

        path = private_parts.hand_to_retention(download, write)
        return gr.update(visible=True, value=path), gr.update(visible=False)

    def use_common_model(request: gr.Request) -> tuple:
        adapted_models.drop(request)
        card = status_card("No adapted model", "The common model is in use again, the same for all visitors.")
        return card, "", *_download_updates(False)

    archive.upload(
        inspect, archive, [archive, contents_state, state], api_visibility="private", show_progress_on=[state]
    )
    archive.clear(lambda: None, None, contents_state, api_visibility="private", show_progress="hidden")
    pack.click(prepare_download, None, [download, pack], api_visibility="private", show_progress="hidden")
    back.click(
        use_common_model, None, [state, figures, *download_parts], api_visibility="private", show_progress="hidden"
    )


def _question(each: ZipClass) -> gr.Radio:
    """The question what a class means; answered already if its name says so."""
    answer = {True: LEUKAEMIA, False: NO_LEUKAEMIA, None: None}[each.leukaemia]
    return gr.Radio(
        [LEUKAEMIA, NO_LEUKAEMIA],
        value=answer,
        interactive=True,  # a name may mislead; Gradio would lock an answered question
        label=f"{each.name} ({each.images} images)",
        info=None if answer else "Its name does not say for certain whether it means leukaemia.",
    )


def _contents_card(contents: ZipContents) -> str:
    counts = ", ".join(f"{each.images} {each.name}" for each in contents.classes)
    unknown = ", ".join(each.name for each in contents.classes if each.leukaemia is None)
    task = f"Say whether {unknown} means leukaemia" if unknown else "Check what the classes mean"
    return status_card("Before adapting", f"The zip contains {counts}. {task}, then press Adapt.", *contents.notes)


def _beginning(messages: Sequence[str], *beginnings: str) -> list[str]:
    return [message for message in messages if message.startswith(beginnings)]


def _download_updates(visible: bool) -> tuple[dict[str, Any], ...]:
    """Updates of the row of buttons, the download and the button that prepares it."""
    return gr.update(visible=visible), gr.update(visible=False, value=None), gr.update(visible=True)

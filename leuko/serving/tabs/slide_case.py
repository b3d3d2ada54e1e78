"""The tab in which the fields of one slide are read as one case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from leuko.cases import reading
from leuko.cases.case import SPECIMENS, Specimen
from leuko.cases.case_file import CaseFile
from leuko.cells.blast_share import with_count
from leuko.data.sources.archive import MAX_FILES, ArchiveError
from leuko.images.file_types import InputFile
from leuko.inference.classifier import Classifier
from leuko.serving import batch
from leuko.serving.gradio.upload_components import Upload
from leuko.serving.tabs import case_view
from leuko.serving.tabs.adapted_models import AdaptedModels
from leuko.serving.tabs.file_run import FileRun, Step, add_events, add_parts, inactive_button, session_of
from leuko.serving.tabs.rendering import status_card

_INTRODUCTION = f"""\
Say whether blood or marrow was smeared, and choose the fields of **one** slide: up to {MAX_FILES} images, or a zip of
them. They may overlap, since every cell is counted once. The images are deleted soon after; the case exists on this
page only."""


def add(classifier: Classifier, adapted_models: AdaptedModels) -> None:
    """Add the tab's content to the block that is being built."""
    runs = FileRun()
    gr.Markdown(_INTRODUCTION)
    specimen = gr.Radio(list(SPECIMENS), value=SPECIMENS[0], label="Specimen", elem_id="case-specimen")
    start = "The fields are read as soon as they are chosen."
    parts = add_parts("case", "content", "Fields of one slide, or a zip", start)

    def run(uploads: list[Upload], specimen: Specimen, request: gr.Request) -> Iterator[tuple]:
        model = adapted_models.classifier_of(request) or classifier

        def read(item: InputFile) -> list[dict[str, Any]]:
            return reading.read_file(model, item, batch.log_fault, case_view.thumbnail)

        try:
            for step in runs.steps(uploads, session_of(request), read):
                yield shown(step, model, specimen)
        except ArchiveError as error:
            yield None, status_card("Not analysed", str(error)), "", inactive_button()

    def shown(step: Step, model: Classifier, specimen: Specimen) -> tuple:
        """What the page shows: the files, the state, the case and the button."""
        if step.state == "queued":  # an earlier case must not be taken for that of these fields
            return None, status_card("Waiting", "Your fields are next."), "", gr.update(interactive=True)
        if step.state == "waiting":
            return (gr.skip(),) * 4
        if step.state == "working":
            return gr.skip(), step.progress, gr.skip(), gr.skip()
        if not step.done:
            return None, status_card("Cancelled", "No field was read."), "", inactive_button()
        fields = sum(reading.RECORD in result for result in step.results)
        read = f"{with_count(fields, 'field')} read"
        if others := len(step.results) - fields:
            read += f", {with_count(others, 'file')} not, for the reasons below the table"
        title = "Done" if step.state == "done" else f"Cancelled after {step.done} of {step.total} files"
        return None, status_card(title, f"{read}."), _case(step.results, model, specimen), inactive_button()

    add_events(parts, runs, run, [specimen])


def _case(results: list[dict[str, Any]], model: Classifier, specimen: Specimen) -> str:
    stored = CaseFile.new(reading.case_of(model, results, specimen), reading.models(model))
    pictures = [result[reading.PICTURE] for result in results if reading.PICTURE in result]
    return case_view.view(stored, pictures, reading.no_fields(results))

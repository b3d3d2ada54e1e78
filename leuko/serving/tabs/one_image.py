"""The tab in which one image is analysed: a field or a single cell, on the same page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from leuko.cells.segmentation import DEFAULT_METHOD, METHODS
from leuko.images.decode import ImageError
from leuko.inference.classifier import Classifier
from leuko.inference.field import Field
from leuko.inference.field_json import why_no_cells
from leuko.networks import grad_cam
from leuko.serving.analysis import Analysis, analyse
from leuko.serving.gradio.errors import refusal
from leuko.serving.gradio.upload_components import SmearImage, Upload
from leuko.serving.tabs import decision_card, examples, field_view, heat_map
from leuko.serving.tabs.adapted_models import AdaptedModels
from leuko.serving.tabs.rendering import sections

_DETAILS_SCRIPT = (Path(__file__).parent / "one_image.js").read_text("utf-8")
# A new answer is scrolled into view: on a phone the card is below the examples. If the button that had the focus has
# disappeared (to remove the picture, or to choose one), the next one gets it. After another method of segmentation was
# chosen, the page stays where it is: at the cells.
_SCROLL_SCRIPT = """
watch("value", () => {
  if ("stay" in document.body.dataset) return;
  element.scrollIntoView({behavior: "smooth", block: "nearest"});
  if (document.activeElement === document.body) document.querySelector(".picture button")?.focus({preventScroll: true});
});
"""
# Tells the server that the earlier result is to be removed.
_REMOVE_SCRIPT = """
element.addEventListener("click", (event) => {
  if (event.target.closest(".remove-result")) trigger("select", {});
});
"""
# A result stays until there is a new one. Meanwhile it names its own file, so that nobody takes it for the new one's.
_MARK_AS_EARLIER = """() => {
  delete document.body.dataset.stay;
  document.querySelectorAll(".earlier").forEach((note) => note.remove());
  const card = document.querySelector("#card .verdict"), sections = document.querySelector("#details .sections");
  if (!card?.dataset.file) return;
  for (const [place, words] of [[card, "WORDS"], [sections, ""]]) {
    const note = Object.assign(document.createElement("p"), {className: "earlier"});
    note.append(`Earlier result, of ${card.dataset.file}. ${words}`);
    place?.prepend(note);
  }
  MORE
}"""
_MARK_WHILE_WAITING = _MARK_AS_EARLIER.replace("WORDS", "The new picture is being analysed.").replace("MORE", "")
_MARK_AFTER_REMOVAL = _MARK_AS_EARLIER.replace("WORDS", "No image yet in its place. ").replace(
    "MORE",
    """
  const remove = {type: "button", className: "remove-result", textContent: "Remove this result"};
  card.querySelector(".earlier").append(Object.assign(document.createElement("button"), remove));
  setTimeout(() => {  // by then the button that had the focus has disappeared
    const lost = document.activeElement === document.body;
    if (lost) document.querySelector(".picture button")?.focus({preventScroll: true});
  }, 100);""",
)
_UNMARK = """() => document.querySelectorAll(".earlier").forEach((note) => note.remove())"""
# A choice that was refused shows the method of the result again.
_UNCHOOSE = """() => {
  const choice = document.querySelector(".method select");
  if (choice) choice.value = choice.querySelector("option[selected]").value;
}"""
_SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
_LIVE_REGION = '<div aria-live="polite">${value}</div>'  # a template of Gradio, filled in the browser


def add(classifier: Classifier, adapted_models: AdaptedModels, offered: Mapping[str, examples.Example]) -> None:
    """Add the tab's content, with these examples by file name, to the block that is being built."""
    with gr.Row(elem_classes="first"):
        with gr.Column(scale=5, min_width=300):
            image = SmearImage(
                label="Smear image",
                sources=["upload", "clipboard"],
                height=360,
                buttons=[],
                placeholder="Drop a smear image here, or click to choose one",
                elem_classes="picture",
            )
            example = gr.HTML(
                examples.gallery(offered), apply_default_css=False, js_on_load=examples.SCRIPT, elem_id="examples"
            )
        with gr.Column(scale=6, min_width=300):
            card = gr.HTML(
                decision_card.welcome(),
                apply_default_css=False,
                html_template=_LIVE_REGION,
                js_on_load=_SCROLL_SCRIPT + _REMOVE_SCRIPT,
                elem_id="card",
            )
    details = gr.HTML("", apply_default_css=False, js_on_load=_DETAILS_SCRIPT, elem_id="details")
    analysed = gr.State()  # the upload whose result is shown: the image component may hold a smaller copy of it
    chosen_method = gr.State(DEFAULT_METHOD)  # of segmentation, on this page
    empty = None, decision_card.welcome(), "", None

    def analyse_upload(upload: Upload | None, method: str, request: gr.Request) -> tuple:
        if upload is None:
            return empty
        try:
            analysis = analyse(adapted_models.classifier_of(request) or classifier, upload.path, method)
        except ImageError as error:  # also removes the result of an earlier image
            return None, decision_card.refused(str(error), upload.name), "", None
        is_shown = upload.path.suffix.lower() in _SHOWN_BY_BROWSERS
        return gr.skip() if is_shown else grad_cam.shrink(analysis.image), *_result(analysis, upload.name), upload

    def analyse_example(method: str, event: gr.EventData, request: gr.Request) -> tuple:
        chosen = offered.get(event.name)
        if chosen is None:
            raise refusal("There is no such example.")
        return str(chosen.path), *analyse_upload(Upload(chosen.path, chosen.path.name), method, request)[1:]

    def analyse_anew(shown: Upload | None, upload: Upload | None, event: gr.EventData, request: gr.Request) -> tuple:
        if event.method not in METHODS:
            raise refusal("There is no such method of segmentation.")
        if shown is None or upload is None or not upload.path.exists():
            raise refusal("This picture is no longer here; choose it again to segment it by another method.")
        return *analyse_upload(upload, event.method, request)[1:3], event.method

    results = [image, card, details, analysed]
    options: dict[str, Any] = {"api_visibility": "private", "show_progress": "full", "show_progress_on": [card]}
    for event, function, inputs in (
        (image.upload, analyse_upload, [image, chosen_method]),
        (example.select, analyse_example, chosen_method),
    ):
        event(None, None, None, js=_MARK_WHILE_WAITING, api_visibility="private")
        # A result equal to the earlier one is not drawn again, so the mark has to be removed.
        event(function, inputs, results, **options).success(None, None, None, js=_UNMARK, api_visibility="private")
    details.select(analyse_anew, [image, analysed], [card, details, chosen_method], **options).failure(
        None, None, None, js=_UNCHOOSE, api_visibility="private"
    )
    image.clear(None, None, None, js=_MARK_AFTER_REMOVAL, api_visibility="private")
    card.select(lambda: empty, None, results, api_visibility="private", show_progress="hidden")


def _result(analysis: Analysis, name: str) -> tuple[str, str]:
    """The card, and the sections below it; of an image of low quality only the finding as JSON."""
    result, finding = analysis.result, analysis.finding
    parts, content = [], "not analysed"
    if finding.quality.usable:
        parts, content = [heat_map.view(analysis)], "cells not found"
        why_none = why_no_cells(finding.quality, result.segmentation)
        if result.segmentation and why_none:
            parts.append(field_view.without_cells(why_none, result.segmentation))
        elif result.segmentation:
            field = Field.of(analysis.image, result.segmentation, result.measurements, result.kinds)
            parts.append(field_view.view(analysis.image, field, name, finding))
            content = "a single cell" if field.close_up else "a field"
    parts.append(decision_card.finding_json(finding, name))
    return decision_card.decision(result, name, content), sections(*parts)

"""The tab in which one image is read: a field or a single cell, one page for both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr

from leuko.images.decode import ImageError
from leuko.inference.classifier import Classifier
from leuko.inference.field import Field
from leuko.inference.field_json import why_no_cells
from leuko.networks import grad_cam
from leuko.serving.analysis import Analysis, analyse
from leuko.serving.gradio.upload_components import SmearImage, Upload
from leuko.serving.tabs import decision_card, examples, field_view, heat_map
from leuko.serving.tabs.adapt import Sessions

_SCRIPT = (Path(__file__).parent / "one_image.js").read_text("utf-8")
# An answer below the window's edge is brought into it: on a phone the card lies under the examples. Where the button
# that had the focus is gone (to remove the picture, to choose one), the next one takes it.
_SHOW = """
watch("value", () => {
  element.scrollIntoView({behavior: "smooth", block: "nearest"});
  if (document.activeElement === document.body) document.querySelector(".picture button")?.focus({preventScroll: true});
});
"""
# Tells the server that an earlier result is not wanted any more.
_REMOVE = """
element.addEventListener("click", (event) => {
  if (event.target.closest(".remove-result")) trigger("select", {});
});
"""
# A result stays until there is a new one, and says meanwhile whose it is: it must not be taken for the new picture's.
_MARK = """() => {
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
_WAITING = _MARK.replace("WORDS", "The new picture is being judged.").replace("MORE", "")
_REMOVED = _MARK.replace("WORDS", "No image yet in its place. ").replace(
    "MORE",
    """
  const remove = {type: "button", className: "remove-result", textContent: "Remove this result"};
  card.querySelector(".earlier").append(Object.assign(document.createElement("button"), remove));
  setTimeout(() => {  // the button that had the focus is gone by then
    const lost = document.activeElement === document.body;
    if (lost) document.querySelector(".picture button")?.focus({preventScroll: true});
  }, 100);""",
)
_UNMARK = """() => document.querySelectorAll(".earlier").forEach((note) => note.remove())"""
_SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
_LIVE = '<div aria-live="polite">${value}</div>'


def add(classifier: Classifier, sessions: Sessions, offered: Mapping[str, examples.Example]) -> None:
    """Put the tab's content, with the examples offered, into the block that is open."""
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
                examples.gallery(offered), apply_default_css=False, js_on_load=examples.JS, elem_id="examples"
            )
        with gr.Column(scale=6, min_width=300):
            card = gr.HTML(
                decision_card.empty(),
                apply_default_css=False,
                html_template=_LIVE,
                js_on_load=_SHOW + _REMOVE,
                elem_id="card",
            )
    details = gr.HTML("", apply_default_css=False, js_on_load=_SCRIPT, elem_id="details")

    def judge(upload: Upload | None, request: gr.Request) -> tuple:
        if upload is None:
            return nothing
        own = sessions.of(request)
        try:
            analysis = analyse(own.classifier if own else classifier, upload.path)
        except ImageError as error:  # the answer to an earlier image must not stay beside this one
            return None, decision_card.refused(str(error), upload.name), ""
        seen = gr.skip() if upload.path.suffix.lower() in _SHOWN_BY_BROWSERS else grad_cam.shrink(analysis.image)
        return seen, *_shown(analysis, upload.name)

    def try_example(chosen: gr.EventData, request: gr.Request) -> tuple:
        picked = offered.get(chosen.name)
        if picked is None:
            raise gr.Error("There is no such example.", title="Not possible", print_exception=False)
        return str(picked.path), *judge(Upload(picked.path, picked.path.name), request)[1:]

    nothing = None, decision_card.empty(), ""
    results = [image, card, details]
    how = {"api_visibility": "private", "show_progress": "full", "show_progress_on": [card]}
    for event, answer, given in ((image.upload, judge, image), (example.select, try_example, None)):
        event(None, None, None, js=_WAITING, api_visibility="private")
        # The same result as before is not drawn anew, so that its mark has to be taken away.
        event(answer, given, results, **how).success(None, None, None, js=_UNMARK, api_visibility="private")
    image.clear(None, None, None, js=_REMOVED, api_visibility="private")
    card.select(lambda: nothing, None, results, api_visibility="private", show_progress="hidden")


def _shown(analysis: Analysis, name: str) -> tuple[str, str]:
    """The decision, and all that it rests on; of an image that is not fit to be judged no more than the finding."""
    reading, sections, what = analysis.reading, [], "not judged"
    finding, found = reading.finding, reading.found
    if finding.quality.usable:
        sections, what = [heat_map.view(analysis)], "cells not found"
        if found and not why_no_cells(finding.quality, found):
            field = Field.of(analysis.image, found)
            sections.append(field_view.view(analysis.image, field, name, finding))
            what = "a single cell" if field.close_up else "a field"
    sections.append(decision_card.raw(finding, name))
    return decision_card.decision(reading, name, what), f'<div class="sections">{"".join(sections)}</div>'

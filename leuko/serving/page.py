"""The tab in which one image is read."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from leuko.images import synthetic
from leuko.images.decode import ImageError
from leuko.models.classifier import Classifier, Finding
from leuko.models.verdict import percent
from leuko.serving.adapt_tab import Sessions
from leuko.serving.analysis import Analysis, analyse, headline
from leuko.serving.upload import SmearImage, Upload

STATE_SECONDS = 900  # how long an open page can redraw its overlay without a new upload

# Okabe & Ito's colours, told apart with any colour vision; the words say the same.
TONES = {"suspicious": "#D55E00", "not suspicious": "#0072B2", "uncertain": "#8A8A8A"}

EXAMPLES = {
    "many blasts (drawn).png": {
        "seed": 3,
        "stain": "blue",
        "white_cells": {"blast": 10},
        "touching": 0.4,
        "rouleaux": 0.4,
    },
    "mixed cells (drawn).png": {
        "seed": 5,
        "stain": "neutral",
        "white_cells": {"lymphocyte": 4, "neutrophil": 2, "monocyte": 1, "blast": 2},
    },
    "pale stain (drawn).png": {
        "seed": 8,
        "stain": "pink",
        "white_cells": {"blast": 3, "lymphocyte": 1},
        "red_cover": 0.3,
    },
}


def add(classifier: Classifier, sessions: Sessions) -> None:
    """Put the tab's content into the block that is open."""
    labels = list(classifier.labels)
    kept = gr.State(None, time_to_live=STATE_SECONDS)
    with gr.Row():
        with gr.Column():
            image = SmearImage(
                label="Smear image",
                sources=["upload", "clipboard"],
                height=420,
                buttons=[],
                placeholder="Drop a smear image here, or click to choose one",
                elem_classes="picture",
            )
            verdict = gr.HTML(_verdict())
        with gr.Column():
            overlay = gr.Image(
                label="Where the network looked",
                interactive=False,
                height=420,
                format="png",
                buttons=["download", "fullscreen"],
                elem_classes="picture",
                elem_id="overlay",
            )
            with gr.Row():
                shown = gr.Radio(labels, label="Evidence for", interactive=True, scale=2)
                opacity = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity", buttons=[], scale=1)
            bars = gr.Label(label="Probability of each class", show_heading=False)
    examples = gr.Row()
    with gr.Accordion("The finding as JSON", open=False):
        as_json = gr.JSON(show_label=False)

    def judge(upload: Upload | None, request: gr.Request | None) -> tuple:
        if upload is None:
            return _verdict(), None, None, None, None, None
        own = sessions.of(request)
        try:
            analysis = analyse(own.classifier if own else classifier, upload.path)
        except ImageError as error:
            # The answer to an earlier image must not stay beside this one.
            return _verdict(refusal=str(error)), None, None, None, None, None
        finding = analysis.finding
        overlay = analysis.overlay(finding.label)
        answer = finding.as_json(upload.name)
        shown = gr.update(choices=list(finding.probabilities), value=finding.label)
        return _verdict(finding), finding.probabilities, shown, overlay, answer, analysis

    def redraw(analysis: Analysis | None, label: str | None, strength: float) -> Any:
        if analysis is None or label is None:
            return gr.skip()
        return analysis.overlay(label, strength)

    results = [verdict, bars, shown, overlay, as_json, kept]
    image.upload(judge, image, results, api_visibility="private")
    image.clear(lambda: judge(None, None), None, results, api_visibility="private")
    with examples:
        gr.Examples(
            _draw_examples(),
            image,
            outputs=results,
            fn=judge,
            run_on_click=True,
            cache_examples=False,
            label="Examples, drawn by this project",
            api_visibility="private",
        )
    for changed in (shown.input, opacity.input):
        changed(
            redraw,
            [kept, shown, opacity],
            overlay,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )


def _verdict(finding: Finding | None = None, refusal: str = "") -> str:
    """The card that says the decision in words, why an image was refused, or that there is none yet."""
    tone, items = TONES["uncertain"], ""
    if refusal:
        title, text = "This file cannot be judged", html.escape(refusal)
    elif finding is None:
        title, text = "No image yet", "Upload a smear image, or choose an example below."
    else:
        tone = TONES[finding.decision]
        title, advice = headline(finding)
        said = {name: "nothing" if p is None else percent(p) for name, p in finding.evidence.items()}
        text = (
            f"Leukaemia probability <strong>{percent(finding.leukaemia_probability)}</strong> "
            f"(network: {said['network']}; cells: {said['cells']}), pattern "
            f"<strong>{html.escape(finding.label)}</strong> ({percent(finding.probabilities[finding.label])}). {advice}"
        )
        items = "".join(f"<li>{html.escape(reason)}</li>" for reason in finding.reasons)
    return (
        f'<div class="verdict" style="--tone:{tone}" role="status"><h2>{title}</h2><p>{text}</p><ul>{items}</ul></div>'
    )


def _draw_examples() -> list[str]:
    """Render the example images into a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="leuko-examples-"))
    for name, how in EXAMPLES.items():
        smear = synthetic.render(width=224, height=224, um_per_px=0.42, blur_um=0.3, **how)
        Image.fromarray(smear.image).save(folder / name)
    return [str(folder / name) for name in EXAMPLES]

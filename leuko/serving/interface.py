"""The page and its endpoints."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData
from PIL import Image

from leuko import RESEARCH_NOTICE
from leuko.images import synthetic
from leuko.images.decode import MAX_BYTES, ImageError
from leuko.models.classifier import Classifier, Finding
from leuko.models.verdict import percent
from leuko.serving import adapt_tab
from leuko.serving.analysis import Analysis, analyse, headline
from leuko.serving.archive import MAX_ZIP_BYTES

KEPT_SECONDS = 120  # how long uploads and overlays may lie in the server's temporary folder
STATE_SECONDS = 900  # how long an open page can redraw its overlay without a new upload

CSS = """
.notice {border-left: 4px solid #E69F00; padding: .4rem .8rem; background: var(--background-fill-secondary)}
.picture img {width: 100%; height: 100%; object-fit: contain}
.verdict {border-left: 6px solid var(--tone); padding: .6rem 1rem; background: var(--background-fill-secondary);
          min-height: 9rem}
.verdict h2 {margin: 0 0 .3rem 0}
.verdict ul {margin: .3rem 0 0 0; padding-left: 1.2rem}
"""
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


@dataclass(frozen=True)
class Upload:
    """An uploaded file: where it lies, and what its owner calls it."""

    path: Path
    name: str


class SmearImage(gr.Image):
    """An image component that hands over the file, not the picture.

    Gradio's own would decode it before any limit of ours; `leuko.images.decode` is the only door for bytes.
    """

    is_template = True

    def preprocess(self, payload: ImageData | None) -> Upload | None:
        """The uploaded file, not opened."""
        if payload is None or not payload.path:
            return None
        return Upload(Path(payload.path), payload.orig_name or Path(payload.path).name)


def build(classifier: Classifier) -> gr.Blocks:
    """The app for a classifier: one page and the endpoints `/classify`, `/explain` and `/model_info`."""
    with gr.Blocks(title="Deep Leuko", analytics_enabled=False, delete_cache=(30, KEPT_SECONDS)) as app:
        sessions = adapt_tab.Sessions()
        _heading()
        with gr.Tab("Read a smear"):
            _page(classifier, sessions)
        with gr.Tab("Adapt to your laboratory"):
            adapt_tab.add(sessions)
        _endpoints(classifier)
        app.unload(sessions.drop)
    app.queue(default_concurrency_limit=2, max_size=64)
    return app


def launch_options() -> dict[str, Any]:
    """How the app is to be launched: limits, privacy and look."""
    return {
        "max_file_size": max(MAX_BYTES, MAX_ZIP_BYTES),  # images are held to their own limit when decoded
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "footer_links": ["api"],
        "css": CSS,
        "theme": gr.themes.Soft(
            primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
    }


def _heading() -> None:
    gr.Markdown(
        "# Deep Leuko\nReads blood-smear images for signs of acute lymphoblastic leukaemia (ALL) and shows where the "
        "network looked."
    )
    gr.HTML(
        f'<p class="notice" role="note"><strong>{RESEARCH_NOTICE}</strong> Images are judged on this server, '
        f"deleted within minutes and sent nowhere.</p>"
    )


def _page(classifier: Classifier, sessions: adapt_tab.Sessions) -> None:
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


def _endpoints(classifier: Classifier) -> None:
    labels = list(classifier.labels)
    image = SmearImage(visible=False, label="Smear image")
    finding = gr.JSON(visible=False, label="Finding")
    overlay = gr.Image(visible=False, label="Overlay", format="png")
    information = gr.JSON(visible=False, label="Model")
    class_name = gr.Dropdown(["", *labels], value="", allow_custom_value=True, visible=False, label="Class")
    opacity = gr.Slider(0, 1, 0.5, visible=False, label="Opacity")

    def classify(image: Upload | None) -> dict[str, Any]:
        """Judge one smear image. Returns the finding: label, probabilities, decision, reasons, quality."""
        return _analyse(classifier, image).finding.as_json(image.name)

    def explain(image: Upload | None, class_name: str = "", opacity: float = 0.5) -> np.ndarray:
        """Grad-CAM of a class (empty: the most probable one), laid over the image."""
        analysis = _analyse(classifier, image)
        label = class_name or analysis.finding.label
        try:
            classifier.index(label)
        except ValueError as error:
            raise _refusal(error) from error
        return analysis.overlay(label, opacity)

    def model_info() -> dict[str, Any]:
        """Which model answers here: name, version, backbone, classes, operating point, training."""
        return classifier.describe()

    triggers = gr.Button(visible=False)
    triggers.click(classify, image, finding, api_name="classify")
    triggers.click(explain, [image, class_name, opacity], overlay, api_name="explain")
    triggers.click(model_info, None, information, api_name="model_info")


def _analyse(classifier: Classifier, upload: Upload | None) -> Analysis:
    if upload is None:
        raise _refusal("No image was given; choose one first.")
    try:
        return analyse(classifier, upload.path)
    except ImageError as error:
        raise _refusal(error) from error


def _refusal(reason: object) -> gr.Error:
    return gr.Error(str(reason), title="Not possible", print_exception=False)


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

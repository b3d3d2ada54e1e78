"""The app: its tabs, its endpoints, its look, and how it is launched."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from leuko import RESEARCH_NOTICE
from leuko.inference.classifier import Classifier
from leuko.serving import theme
from leuko.serving.api import endpoints, one_call
from leuko.serving.gradio import launch, upload_retention
from leuko.serving.tabs import adapt, many_images, one_image
from leuko.serving.tabs.examples import Example

# A sheet of paper says when it was printed; its colours are the light ones, whichever the page has.
_PRINTED = """
const today = () => new Date().toLocaleString("en-GB", {dateStyle: "long", timeStyle: "short"});
const write = () => { element.querySelector(".printed").textContent = `Printed on ${today()}.`; };
addEventListener("beforeprint", write);
"""


def build(classifier: Classifier, offered: Mapping[str, Example]) -> gr.Blocks:
    """The app for a classifier: its page with the examples offered, and the endpoints of `leuko.serving.api.endpoints`."""
    with launch.App(title="Deep Leuko", analytics_enabled=False) as app:
        sessions = adapt.Sessions()
        _heading(classifier.describe()["warnings"])
        with gr.Tab("One image"):
            one_image.add(classifier, sessions, offered)
        with gr.Tab("Many images"):
            many_images.add(classifier, sessions)
        with gr.Tab("Adapt"):
            adapt.add(classifier, sessions)
        endpoints.add(classifier)
        app.routes = [one_call.OneCall(classifier).route]
        app.unload(sessions.end)
    app.queue(default_concurrency_limit=2, max_size=endpoints.MAX_WAITING, api_open=False)
    return app


def launch_options() -> dict[str, Any]:
    """How the app is to be launched: limits, privacy and look."""
    return {
        **launch.options(),
        "footer_links": ["api"],
        "css": theme.CSS,
        "head": theme.HEAD,
        "theme": theme.theme(),
    }


def _heading(warnings: Sequence[str]) -> None:
    """Title and notice, what is to be known of the model, and on paper the date."""
    told = "".join(f"<li>{html.escape(warning)}</li>" for warning in warnings)
    banner = f'<div class="notice warnings" role="note"><strong>About this model:</strong><ul>{told}</ul></div>'
    gr.HTML(
        '<header class="masthead"><h1>Deep Leuko</h1><p>Reads blood-smear images for signs of acute lymphoblastic '
        "leukaemia (ALL), cell by cell, and shows where the network looked.</p>"
        f'<p class="notice" role="note"><strong>{RESEARCH_NOTICE}</strong> <span class="screen">Images stay on this '
        f"server and are deleted within {upload_retention.kept_seconds() + upload_retention.SWEEP_SECONDS} seconds, or after their "
        f'turn when many wait.</span></p>{banner if warnings else ""}<p class="printed"></p></header>',
        apply_default_css=False,
        js_on_load=_PRINTED,
        elem_id="masthead",
    )

"""The app: its tabs, its endpoints, its theme, and the options it is launched with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from leuko.inference.classifier import Classifier
from leuko.serving import theme
from leuko.serving.api import endpoints
from leuko.serving.api.one_call import OneCall
from leuko.serving.api.openapi import OpenApiMiddleware
from leuko.serving.gradio import launch, upload_retention
from leuko.serving.gradio.upload_only_blocks import UploadOnlyBlocks
from leuko.serving.tabs import adapt, many_images, one_image, slide_case
from leuko.serving.tabs.adapted_models import AdaptedModels
from leuko.serving.tabs.examples import Example
from leuko.serving.tabs.rendering import render
from leuko.system.about import RESEARCH_NOTICE

# Writes the date of printing, which is shown on paper only.
_DATE_SCRIPT = """
const today = () => new Date().toLocaleString("en-GB", {dateStyle: "long", timeStyle: "short"});
const write = () => { element.querySelector(".printed").textContent = `Printed on ${today()}.`; };
addEventListener("beforeprint", write);
"""


def build(classifier: Classifier, examples: Mapping[str, Example]) -> gr.Blocks:
    """The app for a classifier: its page, with examples by file name, and the endpoints of `leuko.serving.api`."""
    with UploadOnlyBlocks(title="Deep Leuko", analytics_enabled=False) as app:
        adapted_models = AdaptedModels()
        gr.HTML(
            render(
                "page_header",
                notice=RESEARCH_NOTICE,
                seconds=upload_retention.retention_seconds() + upload_retention.CHECK_SECONDS,
                warnings=classifier.describe()["warnings"],
            ),
            apply_default_css=False,
            js_on_load=_DATE_SCRIPT,
            elem_id="masthead",
        )
        with gr.Tab("One image"):
            one_image.add(classifier, adapted_models, examples)
        with gr.Tab("Case"):
            slide_case.add(classifier, adapted_models)
        with gr.Tab("Many images"):
            many_images.add(classifier, adapted_models)
        with gr.Tab("Adapt"):
            adapt.add(classifier, adapted_models)
        endpoints.add(classifier)
        app.routes = [OneCall(classifier).route]
        app.unload(adapted_models.end_session)
    app.queue(default_concurrency_limit=2, max_size=endpoints.MAX_WAITING, api_open=False)
    return app


def launch_options() -> dict[str, Any]:
    """The arguments of `gr.Blocks.launch`: limits, privacy and theme.

    Raises:
        ValueError: see `leuko.serving.gradio.launch.options`.
    """
    return {
        **launch.options([Middleware(OpenApiMiddleware)]),
        "footer_links": ["api"],
        "css": theme.CSS,
        "head": theme.HEAD,
        "theme": theme.theme(),
    }

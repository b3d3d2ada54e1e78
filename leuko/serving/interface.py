"""The app: its tabs, its endpoints, its look, and how it is launched."""

from __future__ import annotations

from typing import Any

import gradio as gr

from leuko import RESEARCH_NOTICE
from leuko.images.decode import MAX_BYTES
from leuko.models.classifier import Classifier
from leuko.serving import adapt_tab, endpoints, look, page
from leuko.serving.archive import MAX_ZIP_BYTES

KEPT_SECONDS = 120  # how long uploads and overlays may lie in the server's temporary folder
SWEPT_SECONDS = 30  # how often that is looked at


def build(classifier: Classifier) -> gr.Blocks:
    """The app for a classifier: one page and the endpoints `/classify`, `/explain` and `/model_info`."""
    with gr.Blocks(title="Deep Leuko", analytics_enabled=False, delete_cache=(SWEPT_SECONDS, KEPT_SECONDS)) as app:
        sessions = adapt_tab.Sessions()
        _heading()
        with gr.Tab("Read a smear"):
            page.add(classifier, sessions)
        with gr.Tab("Adapt to your laboratory"):
            adapt_tab.add(sessions)
        endpoints.add(classifier)
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
        "css": look.CSS,
        "theme": look.theme(),
    }


def _heading() -> None:
    gr.HTML(
        '<header class="masthead"><h1>Deep Leuko</h1><p>Reads blood-smear images for signs of acute lymphoblastic '
        "leukaemia (ALL), cell by cell, and shows where the network looked.</p>"
        f'<p class="notice" role="note"><strong>{RESEARCH_NOTICE}</strong> Images are judged on this server, sent '
        f"nowhere, and deleted within {KEPT_SECONDS + SWEPT_SECONDS} seconds.</p></header>",
        apply_default_css=False,
        elem_id="masthead",
    )

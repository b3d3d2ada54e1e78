"""The app: its tabs, its endpoints, its look, and how it is launched."""

from __future__ import annotations

from typing import Any

import gradio as gr

from leuko import RESEARCH_NOTICE
from leuko.models.classifier import Classifier
from leuko.serving import adapt_tab, batch_tab, endpoints, page, server

CSS = """
.notice {border-left: 4px solid #E69F00; padding: .4rem .8rem; background: var(--background-fill-secondary)}
.picture img {width: 100%; height: 100%; object-fit: contain}
.verdict {border-left: 6px solid var(--tone); padding: .6rem 1rem; background: var(--background-fill-secondary);
          min-height: 9rem}
.verdict h2 {margin: 0 0 .3rem 0}
.verdict ul {margin: .3rem 0 0 0; padding-left: 1.2rem}
"""


def build(classifier: Classifier) -> gr.Blocks:
    """The app for a classifier: its page, and the endpoints of `leuko.serving.endpoints`."""
    with server.App(title="Deep Leuko", analytics_enabled=False) as app:
        sessions = adapt_tab.Sessions()
        _heading()
        with gr.Tab("Read a smear"):
            page.add(classifier, sessions)
        with gr.Tab("Many images"):
            batch_tab.add(classifier, sessions)
        with gr.Tab("Adapt to your laboratory"):
            adapt_tab.add(sessions)
        endpoints.add(classifier)
        app.unload(sessions.drop)
    app.queue(default_concurrency_limit=2, max_size=64, api_open=False)
    return app


def launch_options() -> dict[str, Any]:
    """How the app is to be launched: limits, privacy and look."""
    return {
        **server.options(),
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

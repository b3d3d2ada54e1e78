"""How a request is refused: as an error of Gradio, or as a plain HTTP response."""

from __future__ import annotations

import gradio as gr
from starlette.responses import JSONResponse

TITLE = "Not possible"  # also tells a refusal from a fault of the server, see `middleware`


def refusal(reason: object) -> gr.Error:
    """The error that ends a Gradio request with one sentence for the user; it is not logged."""
    return gr.Error(str(reason), title=TITLE, print_exception=False)


def error_response(sentence: str, status: int, **headers: str) -> JSONResponse:
    """The HTTP response that tells a program in one sentence why its request is refused."""
    return JSONResponse({"error": sentence}, status, headers)

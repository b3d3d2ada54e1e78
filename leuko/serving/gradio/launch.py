"""How the app is launched, and which files it takes from whoever asks.

Gradio 6 serves files of its upload folder alone, but it also fetches addresses that are sent in place of files, passes
on what lies at other addresses, and leaves parts of refused uploads behind. All of that ends here, in
`leuko.serving.gradio.middleware` and in `leuko.serving.gradio.upload_retention`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.processing_utils import save_base64_to_cache
from gradio.state_holder import SessionState, StateHolder
from gradio_client.utils import is_http_url_like, traverse
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from leuko.data.sources.archive import MAX_ZIP_BYTES
from leuko.images.decode import MAX_BYTES
from leuko.serving.api.openapi import Described
from leuko.serving.gradio import reverse_proxy
from leuko.serving.gradio.middleware import Guard
from leuko.serving.gradio.upload_retention import kept_seconds, names_file, path_of, swept, uploads

MAX_SESSIONS = 100  # whose state Gradio keeps; one that is dropped is made anew when it is needed
_META = {"_type": "gradio.FileData"}

log = logging.getLogger(__name__)


class App(gr.Blocks):
    """Blocks that take files from nowhere but their upload folder.

    Gradio's own fetch an address given in a file's place, and do not look at an image's path if the client leaves its
    `meta` away, so that any image of the server's disk could be asked for.
    """

    routes: Sequence[BaseRoute] = ()  # of our own, beside Gradio's

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **more: Any) -> list[Any]:
        """Gradio's own, once every file among the inputs is one that was uploaded."""
        if block_fn.fn is None:  # what happens in the browser alone; Gradio's own ends in a fault of the server
            raise refusal("There is nothing to call here; the API page lists all endpoints.")
        try:
            # What is left away at the end is what it is on the page, as with Gradio's own clients.
            inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
            inputs = [
                _files(value) if isinstance(block, gr.File) else value
                for block, value in zip(block_fn.inputs, inputs, strict=True)
            ]
            return await super().preprocess_data(block_fn, traverse(inputs, _uploaded, names_file), *rest, **more)
        except gr.Error:
            raise
        except Exception as error:
            log.warning("Inputs refused: %s", error)
            raise refusal("The inputs are not what this endpoint takes; its page says what is expected.") from error


class _StateHolder(StateHolder):
    """Sessions that remember nothing for deep links, which are shut here.

    Gradio's own describe every block of the page for each new one, and each call of a program is one: a sixth of all
    the work under load.
    """

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            nothing = SimpleNamespace(default_config=self.blocks.default_config, blocks={})
            self.session_data[session_id] = SessionState(nothing)
        return super().__getitem__(session_id)


def _files(value: Any) -> Any:
    """Files that MCP clients list as texts (Gradio itself translates lone ones only), as files."""
    if not isinstance(value, list):
        return value
    return [
        {"path": _saved(item, i) if item.startswith("data:") else item, "meta": dict(_META)}
        if isinstance(item, str)
        else item
        for i, item in enumerate(value, start=1)
    ]


def _saved(data: str, number: int) -> str:
    return save_base64_to_cache(data, str(uploads()), f"image-{number}")


def _uploaded(file: dict[str, Any]) -> dict[str, Any]:
    """A file as a client describes it, by its path here; its address is neither asked nor believed."""
    path = path_of(file["path"]) if is_http_url_like(file["path"]) else file["path"]
    if is_http_url_like(path):
        raise refusal("Addresses are not fetched; upload the file to this server and give its path.")
    if not Path(path).resolve().is_relative_to(uploads().resolve()):
        raise refusal("This file was not uploaded to this server; upload it and give the path that is answered.")
    return {**file, "path": path, "url": None, "meta": dict(_META)}


def refusal(reason: object) -> gr.Error:
    """What ends a request with one sentence for the user, and nothing in the log."""
    return gr.Error(str(reason), title="Not possible", print_exception=False)


def options() -> dict[str, Any]:
    """How the app is to be launched: limits and privacy, as the environment asks.

    Raises:
        ValueError: a password without a user, a user without a password, a time that is none, or a root path that is
            none.
    """
    user, password = os.environ.get("LEUKO_USER"), os.environ.get("LEUKO_PASSWORD")
    if bool(user) != bool(password):
        raise ValueError("LEUKO_USER and LEUKO_PASSWORD belong together; set both or neither.")
    return {
        "auth": (user, password) if user and password else None,
        "auth_message": "This copy of Deep Leuko is for invited people.",
        "mcp_server": not password,  # Gradio's tools cannot log in
        "root_path": reverse_proxy.root_path(),
        "max_file_size": max(MAX_BYTES, MAX_ZIP_BYTES),  # images are held to their own limit when decoded
        "allowed_paths": [],
        "state_session_capacity": MAX_SESSIONS,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(Guard), Middleware(Described)], "lifespan": _lifespan(kept_seconds())},
    }


def _lifespan(kept_seconds: int) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def while_served(app: Any) -> AsyncIterator[None]:
        app.router.routes[:0] = app.get_blocks().routes
        app.state_holder = _StateHolder()
        app.state_holder.set_blocks(app.get_blocks())
        async with swept(app, kept_seconds):
            yield

    return while_served

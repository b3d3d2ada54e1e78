"""The only module that uses parts of Gradio that are not documented, or replaces them.

Gradio gives no promise to keep them, so requirements pin its minor version, and `tests/serving/test_gradio_contract.py`
checks each part used here. When a test there fails after an update of Gradio, the function or class named in its
message is what has to be adapted.

`import_patch` is the one exception: it works while Gradio is imported, so it cannot be in a module that imports Gradio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import component_meta
from gradio.blocks import BlockFunction
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio.processing_utils import save_base64_to_cache
from gradio.queueing import Queue
from gradio.route_utils import FnIndexInferError, compare_passwords_securely, get_root_url
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like, traverse
from starlette.requests import Request

__all__ = [
    "BlockFunction",
    "FileData",
    "ImageData",
    "LightStateHolder",
    "ListFiles",
    "Queue",
    "UnknownEndpointError",
    "forget_calls",
    "forget_missing_files",
    "hand_to_retention",
    "has_login",
    "is_address",
    "is_known_call",
    "is_logged_in",
    "keep_light_sessions",
    "map_files",
    "page_files",
    "password_matches",
    "queue_of",
    "replace_missing_inputs",
    "root_url",
    "save_data_url",
    "session_calls",
    "upload_folder",
    "waiting_calls",
    "waiting_inputs",
]

# Gradio writes a type stub beside the components of this project too, which type checkers would read in their place.
component_meta.create_or_modify_pyi = lambda *_: None

UnknownEndpointError = FnIndexInferError  # Gradio raises it where a request names an endpoint that does not exist


# Files


def upload_folder() -> Path:
    """The folder for uploads; it is created if it does not exist."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_data_url(data: str, name: str) -> str:
    """Save a `data:` address in the upload folder and return the file's path."""
    return save_base64_to_cache(data, str(upload_folder()), name)


def is_address(text: str) -> bool:
    """Whether a text is an http or https address."""
    return is_http_url_like(text)


def map_files(value: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    """Replace each file within a value of a client's request by what `change` returns for it.

    Files are objects with a text `path`. Raises ValueError or RecursionError for values that are nested too deeply.
    """
    return traverse(value, change, lambda part: isinstance(part, dict) and isinstance(part.get("path"), str))


def page_files(blocks: gr.Blocks) -> set[str]:
    """Paths of the files that the page itself consists of."""
    return {file for block in blocks.blocks.values() for file in getattr(block, "keep_in_cache", ())}


def forget_missing_files(blocks: gr.Blocks) -> None:
    """Drop files that no longer exist from Gradio's lists of temporary files, which otherwise only grow."""
    for files in blocks.temp_file_sets:
        files -= {file for file in set(files) if not Path(file).exists()}


def hand_to_retention(component: gr.DownloadButton, write: Callable[[Path], Path]) -> str:
    """Write a file where a component may serve it from; it is deleted when it is as old as an upload may become.

    Args:
        component: the button that offers the file.
        write: takes an existing folder, writes the file below it and returns its path.
    """
    folder = Path(component.GRADIO_CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    file = str(write(folder))
    component.temp_files.add(file)
    return file


# Calls


def replace_missing_inputs(block_fn: BlockFunction, inputs: list[Any]) -> list[Any]:
    """Inputs of an endpoint where those left out at the end have their value on the page, as in Gradio's clients."""
    return [*inputs, *(getattr(block, "value", None) for block in block_fn.inputs[len(inputs) :])]


def queue_of(blocks: gr.Blocks) -> Queue:
    """The queue of an app."""
    return blocks._queue


def is_known_call(blocks: gr.Blocks, call: str) -> bool:
    """Whether a call is running or waiting, or its answer was not fetched yet."""
    queue = queue_of(blocks)
    return call in waiting_calls(queue) or any(call in calls for calls in session_calls(queue).values())


def waiting_calls(queue: Queue) -> Mapping[str, Any]:
    """The calls that run or wait for their turn, by their ids."""
    return queue.event_ids_to_events


def waiting_inputs(blocks: gr.Blocks) -> list[Any]:
    """The inputs of all calls that run or wait for their turn."""
    events = list(waiting_calls(queue_of(blocks)).values())
    return [event.data.data for event in events if event.data is not None]


def session_calls(queue: Queue) -> dict[str, set[str]]:
    """The ids of all calls whose answers were not fetched yet, by session."""
    return queue.pending_event_ids_session


def forget_calls(queue: Queue, session: str, calls: Iterable[str]) -> None:
    """Delete the answers to calls of a session, and the session itself if no call of it is left."""
    known = queue.pending_event_ids_session[session]
    known -= set(calls)
    if not known:
        del queue.pending_event_ids_session[session]
        queue.pending_messages_per_session.pop(session, None)


# Sessions and login


class LightStateHolder(StateHolder):
    """Sessions without the state that Gradio keeps for deep links, which are closed in this app.

    Gradio copies the description of every block of the page for each new session, and each call of a program is a
    session: a sixth of all work under load.
    """

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            without_blocks: Any = SimpleNamespace(default_config=self.blocks.default_config, blocks={})
            self.session_data[session_id] = SessionState(without_blocks)
        return super().__getitem__(session_id)


def keep_light_sessions(app: Any) -> None:
    """Let an app that is served use `LightStateHolder`; before its first session."""
    app.state_holder = LightStateHolder()
    app.state_holder.set_blocks(app.get_blocks())


def has_login(app: Any) -> bool:
    """Whether visitors have to log in."""
    return app.auth is not None


def is_logged_in(app: Any, cookies: Mapping[str, str]) -> bool:
    """Whether a request carries the cookie that the page's login sets."""
    names = (f"access-token-{kind}{app.cookie_id}" for kind in ("", "unsecure-"))
    return any(cookies.get(name) in app.tokens for name in names)


def password_matches(app: Any, user: str, password: str) -> bool:
    """Whether a user's password is right."""
    return user in app.auth and compare_passwords_securely(password.strip(), app.auth[user])


# Addresses


def root_url(request: Request, path: str, root_path: str) -> str:
    """The address of the app as the sender of a request for a path sees it, behind a reverse proxy too."""
    return get_root_url(request, path, root_path)

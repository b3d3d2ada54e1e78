"""What stands between the app and the world: limits, headers, what is refused, and how long files live.

Gradio 6 serves files of its upload folder alone, but it also fetches addresses that are sent in place of files, passes
on what lies at other addresses, and leaves parts of refused uploads behind. All of that ends here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.processing_utils import save_base64_to_cache
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like, traverse
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leuko.images.decode import MAX_BYTES
from leuko.serving.archive import MAX_UNPACKED_BYTES, MAX_ZIP_BYTES

KEPT_SECONDS = 120
SWEEP_SECONDS = 10  # how often that is looked after
MAX_BODY = {  # bytes of a request, by the beginning of its path
    "/gradio_api/upload": MAX_UNPACKED_BYTES,
    "/gradio_api/mcp": 2 * MAX_BYTES,  # images in base64
}
MAX_OTHER_BODY = 2 * 1024**2
MIN_FREE_BYTES = 2 * 1024**3  # of the disk that uploads go to, below which none is taken
MAX_SESSIONS = 100  # whose state Gradio keeps, 100 kB each; one that is dropped is made anew when it is needed
SHUT = (  # what Gradio can do and this app does not need
    "/gradio_api/file=http",
    "/gradio_api/file/http",
    "/gradio_api/proxy=",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/gradio_api/component_server",
    "/gradio_api/vibe-",
    "/gradio_api/undo-vibe-",
    "/gradio_api/run-history",
    "/gradio_api/runs",
    "/monitoring",
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # Spaces show the app in a frame of huggingface.co.
    "Content-Security-Policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space; "
    "object-src 'none'; base-uri 'self'; form-action 'self'",
}
_FILE = "/gradio_api/file="
_META = {"_type": "gradio.FileData"}

log = logging.getLogger(__name__)


class App(gr.Blocks):
    """Blocks that take files from nowhere but their upload folder.

    Gradio's own fetch an address given in a file's place, and do not look at an image's path if the client leaves its
    `meta` away, so that any image of the server's disk could be asked for.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **more: Any) -> list[Any]:
        """Gradio's own, once every file among the inputs is one that was uploaded."""
        try:
            # What is left away at the end is what it is on the page, as with Gradio's own clients.
            inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
            inputs = [
                _files(value) if isinstance(block, gr.File) else value
                for block, value in zip(block_fn.inputs, inputs, strict=True)
            ]
            return await super().preprocess_data(block_fn, traverse(inputs, _uploaded, _names_file), *rest, **more)
        except gr.Error:
            raise
        except Exception as error:
            log.warning("Inputs refused: %s", error)
            raise refusal("The inputs are not what this endpoint takes; its page says what is expected.") from error


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
    return save_base64_to_cache(data, str(_folder()), f"image-{number}")


def _names_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def _uploaded(file: dict[str, Any]) -> dict[str, Any]:
    """A file as a client describes it, by its path here; its address is neither asked nor believed."""
    path = _path_of(file["path"]) if is_http_url_like(file["path"]) else file["path"]
    if is_http_url_like(path):
        raise refusal("Addresses are not fetched; upload the file to this server and give its path.")
    if not Path(path).resolve().is_relative_to(_folder().resolve()):
        raise refusal("This file was not uploaded to this server; upload it and give the path that is answered.")
    return {**file, "path": path, "url": None, "meta": dict(_META)}


def _path_of(address: str) -> str:
    """The path of an uploaded file whose address MCP clients give; other addresses are left as they are."""
    parts = urlsplit(address)
    at = parts.path.find(_FILE)
    return unquote(parts.path[at + len(_FILE) :]) if at >= 0 else address


def refusal(reason: object) -> gr.Error:
    """What ends a request with one sentence for the user, and nothing in the log."""
    return gr.Error(str(reason), title="Not possible", print_exception=False)


def kept_seconds() -> int:
    """How long an upload may lie in the server's temporary folder before it is deleted.

    Raises:
        ValueError: LEUKO_KEPT_SECONDS is set, and is no time.
    """
    kept = os.environ.get("LEUKO_KEPT_SECONDS") or str(KEPT_SECONDS)
    if not kept.isdecimal() or int(kept) == 0:
        raise ValueError("LEUKO_KEPT_SECONDS takes a whole number of seconds from 1.")
    return int(kept)


def options() -> dict[str, Any]:
    """How the app is to be launched: limits and privacy, as the environment asks.

    Raises:
        ValueError: a password without a user, a user without a password, or a time that is none.
    """
    user, password = os.environ.get("LEUKO_USER"), os.environ.get("LEUKO_PASSWORD")
    if bool(user) != bool(password):
        raise ValueError("LEUKO_USER and LEUKO_PASSWORD belong together; set both or neither.")
    return {
        "auth": (user, password) if user and password else None,
        "auth_message": "This copy of Deep Leuko is for invited people.",
        "mcp_server": not password,  # Gradio's tools cannot log in
        "max_file_size": max(MAX_BYTES, MAX_ZIP_BYTES),  # images are held to their own limit when decoded
        "allowed_paths": [],
        "state_session_capacity": MAX_SESSIONS,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(Guard)], "lifespan": _sweeping(kept_seconds())},
    }


class Guard:
    """Middleware: headers on every answer, limits on every request, and no fault without an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, scope["path"])
        try:
            problem = _problem(scope)
            if problem is None:
                await self.app(scope, _limited(receive, _limit(scope["path"])), answer)
            else:
                await problem(scope, receive, answer)
        except _TooMuchError:
            if not answer.begun:
                await _says("The request is larger than is taken here.", 413)(scope, receive, answer)
        except Exception as error:
            if answer.begun:
                raise
            # Gradio looks into requests without checking their form first; nothing else is so near the door.
            if isinstance(error, (KeyError, TypeError, ValueError)):
                log.warning("A request for %.100r cannot be understood: %.200r", scope["path"], error)
                await _says("The request cannot be understood.", 400)(scope, receive, answer)
            else:
                log.exception("A request failed")
                await _says("Something went wrong on the server.", 500)(scope, receive, answer)


class _TooMuchError(Exception):
    """A request's body is over its limit."""


class _Answer:
    """Passes an answer on, with `HEADERS`; images of uploads are kept by no cache."""

    def __init__(self, send: Send, path: str) -> None:
        self.send, self.path, self.begun = send, path, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            more = dict(HEADERS)
            if self.path.startswith(_FILE):
                more["Cache-Control"] = "private, no-store"
            replaced = {name.lower().encode() for name in more}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in replaced]
            message["headers"] = kept + [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await self.send(message)


def _problem(scope: Scope) -> JSONResponse | None:
    """The answer to a request that goes no further."""
    path = scope["path"].lower()
    if path.startswith(SHUT):
        return _says("There is nothing here.", 404)
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > _limit(path):
        return _says("The request is larger than is taken here.", 413)
    if path.startswith("/gradio_api/upload") and shutil.disk_usage(_folder()).free < MIN_FREE_BYTES:
        return _says("The server is full; try again in a few minutes.", 507)
    return None


def _limit(path: str) -> int:
    return next((limit for start, limit in MAX_BODY.items() if path.startswith(start)), MAX_OTHER_BODY)


def _limited(receive: Receive, limit: int) -> Receive:
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooMuchError
        return message

    return counted


def _says(sentence: str, status: int) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


def _sweeping(kept_seconds: int) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    """A lifespan during which files of the upload folder go when they are old, and after which all are gone."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async def again_and_again() -> None:
            while True:
                await asyncio.sleep(min(SWEEP_SECONDS, kept_seconds))
                # Here, where uploads are put into their places in one go, so that none goes that has just come again.
                sweep(app.get_blocks(), kept_seconds)
                await asyncio.to_thread(return_memory)

        task = asyncio.create_task(again_and_again())
        try:
            yield
        finally:
            task.cancel()
            sweep(app.get_blocks(), 0)

    return lifespan


def sweep(blocks: gr.Blocks, seconds: float) -> None:
    """Delete what has lain in the upload folder for longer, but not what the page is made of or a request waits for.

    Gradio's own `delete_cache` knows nothing of requests that wait, of parts of refused uploads, and of what its MCP
    server puts there.
    """
    needed = {file for block in blocks.blocks.values() for file in getattr(block, "keep_in_cache", ())}
    needed |= _awaited(blocks)
    for folder, _, names in os.walk(_folder(), topdown=False):
        for file in (Path(folder, name) for name in names):
            if str(file) not in needed:
                _delete(file, seconds)
        if folder != str(_folder()):
            with contextlib.suppress(OSError):  # something is in it
                Path(folder).rmdir()
    for known in blocks.temp_file_sets:
        known -= {file for file in set(known) if not Path(file).exists()}


def _awaited(blocks: gr.Blocks) -> set[str]:
    """The files of requests that wait for their turn or have it: in a long queue, longer than files are kept."""
    files: set[str] = set()
    for event in blocks._queue.event_ids_to_events.values():
        with contextlib.suppress(AttributeError, RecursionError, ValueError):  # no files, or none that can be named
            traverse(event.data.data, lambda file: files.add(_path_of(file["path"])), _names_file)
    return files


def return_memory() -> None:
    """Give freed memory back to the system: glibc keeps it, for each of many threads, as if it were needed again."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim:
        trim(0)


def _delete(file: Path, seconds: float) -> None:
    try:
        if time.time() - file.stat().st_ctime > seconds:
            file.unlink()
    except FileNotFoundError:
        pass  # somebody else was faster


def _folder() -> Path:
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""The app's door: limits on every request, headers on every answer, and what Gradio offers that is not needed here."""

from __future__ import annotations

import logging
import shutil

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leuko.images.decode import MAX_BYTES
from leuko.serving.archive import MAX_UNPACKED_BYTES
from leuko.serving.sweeping import FILE, uploads

MAX_BODY = {  # bytes of a request, by the beginning of its path
    "/gradio_api/upload": MAX_UNPACKED_BYTES,
    "/gradio_api/mcp": 2 * MAX_BYTES,  # images in base64
}
MAX_OTHER_BODY = 2 * 1024**2
MIN_FREE_BYTES = 2 * 1024**3  # of the disk that uploads go to, below which none is taken
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

log = logging.getLogger(__name__)


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
            if self.path.startswith(FILE):
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
    if path.startswith("/gradio_api/upload") and shutil.disk_usage(uploads()).free < MIN_FREE_BYTES:
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

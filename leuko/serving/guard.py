"""The app's door: limits on every request, headers on every answer, and what Gradio offers that is not needed here."""

from __future__ import annotations

import json
import logging
import re
import shutil

from gradio.route_utils import FnIndexInferError
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
DIRECT = ("/gradio_api/run/", "/gradio_api/api/")  # calls past the queue, where Gradio answers all errors with 500
EVENT = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)")  # where the answer to a call is fetched
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
        except FnIndexInferError:
            await _says("There is no endpoint of this name; the API page lists them all.", 404)(scope, receive, answer)
        except Exception as error:
            if answer.begun:
                log.warning("The answer to a request for %.100r broke off: %.200r", scope["path"], error)
                await answer.end()
                return
            # Gradio looks into requests without checking their form first; nothing else is so near the door.
            if isinstance(error, (AttributeError, KeyError, TypeError, ValueError)):
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
        self.send, self.path, self.begun, self.streams = send, path, False, False
        self.failed: Message | None = None

    async def __call__(self, message: Message) -> None:
        if self.failed:
            # What Gradio makes of a refusal has a title; a fault, also one that is told of here, has none.
            if json.loads(message["body"]).get("title"):
                self.failed["status"] = 400
            await self.send(self.failed)
            self.failed = None
        elif message["type"] == "http.response.start":
            self.begun = True
            more = dict(HEADERS)
            if self.path.startswith(FILE):
                more["Cache-Control"] = "private, no-store"
            replaced = {name.lower().encode() for name in more}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in replaced]
            message["headers"] = kept + [(name.lower().encode(), value.encode()) for name, value in more.items()]
            self.streams = Headers(raw=kept).get("content-type", "").startswith("text/event-stream")
            if message["status"] == 500 and self.path.startswith(DIRECT):
                self.failed = message
                return
        await self.send(message)

    async def end(self) -> None:
        """End a stream whose last event tells of its fault, as Gradio's do; any other answer is seen to be cut."""
        if self.streams:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def _problem(scope: Scope) -> JSONResponse | None:
    """The answer to a request that goes no further."""
    path = scope["path"].lower()
    if path.startswith(SHUT):
        return _says("There is nothing here.", 404)
    event = EVENT.fullmatch(scope["path"]) if scope["method"] == "GET" else None
    if event and not _known(scope, event[1]):
        return _says("There is no such call, or its answer was fetched before; call again.", 404)
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > _limit(path):
        return _says("The request is larger than is taken here.", 413)
    if path.startswith("/gradio_api/upload") and shutil.disk_usage(uploads()).free < MIN_FREE_BYTES:
        return _says("The server is full; try again in a few minutes.", 507)
    return None


def _known(scope: Scope, event: str) -> bool:
    """Whether the answer to a call is still to come or to be fetched; of another, Gradio's stream breaks off."""
    queue = scope["app"].get_blocks()._queue
    return event in queue.event_ids_to_events or any(event in ids for ids in queue.pending_event_ids_session.values())


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

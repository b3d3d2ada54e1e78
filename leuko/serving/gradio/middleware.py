"""The app's door: limits on every request, headers on every answer, and what Gradio offers that is not needed here."""

from __future__ import annotations

import json
import logging
import re
import shutil
from urllib.parse import urlsplit

import httpx
from gradio.route_utils import FnIndexInferError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leuko.data.sources.archive import MAX_UNPACKED_BYTES
from leuko.images.decode import MAX_BYTES
from leuko.serving.gradio import reverse_proxy
from leuko.serving.gradio.upload_retention import FILE, uploads

ONE_CALL = "/api/classify"  # `leuko.serving.api.one_call`
MAX_BODY = {  # bytes of a request, by the beginning of its path
    "/gradio_api/upload": MAX_UNPACKED_BYTES,
    "/gradio_api/mcp": 2 * MAX_BYTES,  # images in base64
    ONE_CALL: MAX_BYTES + 1024**2,  # an image, and the form around it
}
TO_DISK = ("/gradio_api/upload", ONE_CALL)  # where bodies go to the disk
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
        scope = reverse_proxy.resolved(scope)
        answer = _Answer(send, scope)
        try:
            problem = _problem(scope)
            if problem is None:
                await self.app(scope, _limited(receive, _limit(reverse_proxy.route_path(scope))), answer)
            else:
                await problem(scope, receive, answer)
        except _TooMuchError:
            if not answer.begun:
                await _too_large(reverse_proxy.route_path(scope))(scope, receive, answer)
        except FnIndexInferError:
            await says("There is no endpoint of this name; the API page lists them all.", 404)(scope, receive, answer)
        except Exception as error:
            if answer.begun:
                log.warning("The answer to a request for %.100r broke off: %.200r", scope["path"], error)
                await answer.end()
                return
            # Gradio looks into requests without checking their form first; nothing else is so near the door.
            if isinstance(error, (AttributeError, KeyError, TypeError, ValueError, httpx.InvalidURL)):
                log.warning("A request for %.100r cannot be understood: %.200r", scope["path"], error)
                await says("The request cannot be understood.", 400)(scope, receive, answer)
            else:
                log.exception("A request failed")
                await says("Something went wrong on the server.", 500)(scope, receive, answer)


def says(sentence: str, status: int, **headers: str) -> JSONResponse:
    """What tells a program in one sentence why its request is not answered."""
    return JSONResponse({"error": sentence}, status, headers)


class _TooMuchError(Exception):
    """A request's body is over its limit."""


class _Answer:
    """Passes an answer on, with `HEADERS`; images of uploads are kept by no cache."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self.send, self.path, self.begun, self.streams = send, reverse_proxy.route_path(scope), False, False
        self.own = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}".encode("latin-1")
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
            kept = [self._near(*pair) for pair in message.get("headers", []) if pair[0].lower() not in replaced]
            message["headers"] = kept + [(name.lower().encode(), value.encode()) for name, value in more.items()]
            self.streams = Headers(raw=kept).get("content-type", "").startswith("text/event-stream")
            if message["status"] == 500 and self.path.startswith(DIRECT):
                self.failed = message
                return
        await self.send(message)

    def _near(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """A header; a redirect within the app names no host, since a proxy may have changed the one that is asked."""
        path = value.removeprefix(self.own)
        within = name.lower() == b"location" and path.startswith(b"/") and not path.startswith(b"//")
        return name, path if within else value

    async def end(self) -> None:
        """End a stream whose last event tells of its fault, as Gradio's do; any other answer is seen to be cut."""
        if self.streams:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def _problem(scope: Scope) -> Response | None:
    """The answer to a request that goes no further."""
    path = reverse_proxy.route_path(scope)
    if not path:  # the prefix alone: what the page names relative to itself would lie beside it
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"{scope['root_path']}/{'?' if query else ''}{query}")
    if path.lower().startswith(SHUT):
        return says("There is nothing here.", 404)
    if _foreign(scope):
        return says(
            "Another web page sent this request, and may not use a visitor's login. If it was this app's own page, "
            "set GRADIO_ROOT_PATH to the full address of the app.",
            403,
        )
    event = EVENT.fullmatch(path) if scope["method"] == "GET" else None
    if event and not _known(scope, event[1]):
        return says("There is no such call, or its answer was fetched before; call again.", 404)
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > _limit(path):
        return _too_large(path)
    if path.lower().startswith(TO_DISK) and shutil.disk_usage(uploads()).free < MIN_FREE_BYTES:
        return says("The server is full; try again in a few minutes.", 507)
    return None


def _foreign(scope: Scope) -> bool:
    """Whether a page of another site sent the request, where there is a login that it could use.

    Gradio allows all sites to send requests with the cookies of a visitor, and to read the answers, even `/token`.
    Browsers say where a request comes from; other clients do not, and have no login but their own.
    """
    headers, app = Headers(scope=scope), scope["app"]
    if app.auth is None or "origin" not in headers:
        return False
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] not in ("same-origin", "none")
    own = {headers.get("host", ""), urlsplit(app.root_path).netloc} - {""}  # a page could forge X-Forwarded-Host
    return urlsplit(headers["origin"]).netloc not in own


def _known(scope: Scope, event: str) -> bool:
    """Whether the answer to a call is still to come or to be fetched; of another, Gradio's stream breaks off."""
    queue = scope["app"].get_blocks()._queue
    return event in queue.event_ids_to_events or any(event in ids for ids in queue.pending_event_ids_session.values())


def _limit(path: str) -> int:
    return next((limit for start, limit in MAX_BODY.items() if path.lower().startswith(start)), MAX_OTHER_BODY)


def _too_large(path: str) -> JSONResponse:
    return says(f"The request is larger than {_limit(path) // 1024**2} MB, the most that is taken here.", 413)


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

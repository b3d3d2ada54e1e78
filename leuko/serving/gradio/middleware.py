"""Checks on every request and headers on every response; parts of Gradio that this app does not use are closed."""

from __future__ import annotations

import json
import logging
import re
import shutil
from urllib.parse import urlsplit

import httpx
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leuko.data.sources.archive import MAX_UNPACKED_BYTES
from leuko.images.decode import MAX_BYTES
from leuko.serving.gradio import private_parts, reverse_proxy
from leuko.serving.gradio.errors import error_response
from leuko.serving.gradio.upload_only_blocks import FILE_PATH

ONE_CALL_PATH = "/api/classify"  # `leuko.serving.api.one_call`
MAX_BODY = {  # bytes of a request's body, by the beginning of its path
    "/gradio_api/upload": MAX_UNPACKED_BYTES,
    "/gradio_api/mcp": 2 * MAX_BYTES,  # images in base64, which is a third longer
    ONE_CALL_PATH: MAX_BYTES + 1024**2,  # an image and the form around it
}
MAX_OTHER_BODY = 2 * 1024**2
PATHS_WITH_FILES = ("/gradio_api/upload", ONE_CALL_PATH)  # whose bodies are written to the disk
MIN_FREE_BYTES = 2 * 1024**3  # below this free space of the disk, uploads are refused
CLOSED_PATHS = (  # features of Gradio that this app does not use
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
DIRECT_CALLS = ("/gradio_api/run/", "/gradio_api/api/")  # without the queue; Gradio answers all errors with 500
ANSWER_PATH = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)")  # where the answer to a call is fetched
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # Spaces show the app in a frame of huggingface.co.
    "Content-Security-Policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space; "
    "object-src 'none'; base-uri 'self'; form-action 'self'",
}
# What Gradio raises for requests whose form it does not check before it uses their content.
MALFORMED = (AttributeError, KeyError, TypeError, ValueError, httpx.InvalidURL)

log = logging.getLogger(__name__)


class SecurityMiddleware:
    """ASGI middleware: limits on every request, headers on every response, and a response to every error."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = reverse_proxy.resolved(scope)
        path = reverse_proxy.route_path(scope)
        sender = _ResponseSender(send, scope)
        try:
            response = _early_response(scope)
            if response is None:
                await self.app(scope, _limited(receive, _max_body(path)), sender)
            else:
                await response(scope, receive, sender)
        except _BodyTooLargeError:
            if not sender.started:
                await _too_large(path)(scope, receive, sender)
        except private_parts.UnknownEndpointError:
            sentence = "There is no endpoint of this name; the API page lists them all."
            await error_response(sentence, 404)(scope, receive, sender)
        except Exception as error:
            if sender.started:
                log.warning("The answer to a request for %.100r broke off: %.200r", scope["path"], error)
                await sender.end_stream()
            elif isinstance(error, MALFORMED):
                log.warning("A request for %.100r cannot be understood: %.200r", scope["path"], error)
                await error_response("The request cannot be understood.", 400)(scope, receive, sender)
            else:
                log.exception("A request failed")
                await error_response("Something went wrong on the server.", 500)(scope, receive, sender)


class _BodyTooLargeError(Exception):
    """The body of a request is larger than its limit."""


class _ResponseSender:
    """Sends a response with `HEADERS`; images of uploads must not be stored by any cache.

    Attributes:
        started: whether the response has begun.
    """

    def __init__(self, send: Send, scope: Scope) -> None:
        self.started = False
        self._send, self._path = send, reverse_proxy.route_path(scope)
        self._own_address = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}".encode("latin-1")
        self._is_event_stream = False
        self._held_back: Message | None = None  # the start of a response whose status depends on its body

    async def __call__(self, message: Message) -> None:
        if self._held_back:
            # Gradio's answer to a refusal has a title; its answer to a fault of the server has none.
            if json.loads(message["body"]).get("title"):
                self._held_back["status"] = 400
            await self._send(self._held_back)
            self._held_back = None
        elif message["type"] == "http.response.start":
            self.started = True
            self._set_headers(message)
            if message["status"] == 500 and self._path.startswith(DIRECT_CALLS):
                self._held_back = message
                return
        await self._send(message)

    def _set_headers(self, message: Message) -> None:
        added = dict(HEADERS)
        if self._path.startswith(FILE_PATH):
            added["Cache-Control"] = "private, no-store"
        replaced = {name.lower().encode() for name in added}
        kept = [
            (name, self._relative(name, value))
            for name, value in message.get("headers", [])
            if name.lower() not in replaced
        ]
        message["headers"] = kept + [(name.lower().encode(), value.encode()) for name, value in added.items()]
        self._is_event_stream = Headers(raw=kept).get("content-type", "").startswith("text/event-stream")

    def _relative(self, name: bytes, value: bytes) -> bytes:
        """A header's value; a redirect within the app gets no host, since the visitor's may be that of a proxy."""
        path = value.removeprefix(self._own_address)
        is_within = name.lower() == b"location" and path.startswith(b"/") and not path.startswith(b"//")
        return path if is_within else value

    async def end_stream(self) -> None:
        """End an event stream properly after its last event told of an error; other responses stay incomplete."""
        if self._is_event_stream:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _early_response(scope: Scope) -> Response | None:
    """The response to a request that does not reach Gradio; None if it does."""
    path = reverse_proxy.route_path(scope)
    if not path:  # the prefix without a slash, from which relative addresses of the page would lead out of the app
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"{scope['root_path']}/{'?' if query else ''}{query}")
    if path.lower().startswith(CLOSED_PATHS):
        return error_response("There is nothing here.", 404)
    if _is_cross_site(scope):
        return error_response(
            "Another web page sent this request, and may not use a visitor's login. If it was this app's own page, "
            "set GRADIO_ROOT_PATH to the full address of the app.",
            403,
        )
    call = ANSWER_PATH.fullmatch(path) if scope["method"] == "GET" else None
    if call and not private_parts.is_known_call(scope["app"].get_blocks(), call[1]):  # Gradio's stream would not end
        return error_response("There is no such call, or its answer was fetched before; call again.", 404)
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > _max_body(path):
        return _too_large(path)
    if path.lower().startswith(PATHS_WITH_FILES) and _disk_is_full():
        return error_response("The server is full; try again in a few minutes.", 507)
    return None


def _disk_is_full() -> bool:
    return shutil.disk_usage(private_parts.upload_folder()).free < MIN_FREE_BYTES


def _is_cross_site(scope: Scope) -> bool:
    """Whether a page of another site sent the request to an app with a login.

    Gradio lets all sites send requests with the cookies of a visitor and read the answers, even of `/token`. Browsers
    state where a request comes from. Other programs do not, and have no cookies of a visitor.
    """
    headers, app = Headers(scope=scope), scope["app"]
    if not private_parts.has_login(app) or "origin" not in headers:
        return False
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] not in ("same-origin", "none")
    # X-Forwarded-Host is not used: a page could forge it.
    own_hosts = {headers.get("host", ""), urlsplit(app.root_path).netloc} - {""}
    return urlsplit(headers["origin"]).netloc not in own_hosts


def _max_body(path: str) -> int:
    return next((limit for start, limit in MAX_BODY.items() if path.lower().startswith(start)), MAX_OTHER_BODY)


def _too_large(path: str) -> JSONResponse:
    return error_response(f"The request is larger than {_max_body(path) // 1024**2} MB, the limit.", 413)


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises `_BodyTooLargeError` once the body is larger than the limit."""
    left = limit

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _BodyTooLargeError
        return message

    return receive_limited

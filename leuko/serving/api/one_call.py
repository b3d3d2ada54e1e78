"""`POST /api/classify`: the finding for an image in one call of plain HTTP.

Gradio's own way takes three calls: upload, call, and fetching the answer. Here the image is the body of the request or
a field of a form. It is kept in memory, or above `MAX_IN_MEMORY` in an unnamed temporary file, until it is answered.
"""

from __future__ import annotations

import base64
import binascii
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from leuko.images.decode import MAX_BYTES, ImageError, Picture, pictures
from leuko.inference.classifier import Classifier
from leuko.serving.api.endpoints import MAX_PARALLEL, MAX_WAITING, SLOTS
from leuko.serving.gradio import private_parts
from leuko.serving.gradio.errors import error_response
from leuko.serving.gradio.middleware import ONE_CALL_PATH
from leuko.serving.gradio.upload_components import file_name

IMAGE_FIELDS = ("image", "file")  # of a form, one of which holds the image
OPTIONS = ("cells", "name")
MAX_IN_MEMORY = 2**20  # bytes of an image, as Starlette's limit for forms; many images may arrive at once
MAX_PARTS = 10  # of a form; more are not read, since one file and two options are all that is needed
_IMAGE_TYPES = (
    "image/",
    "application/octet-stream",
    "application/dicom",
    "application/x-www-form-urlencoded",  # what curl states for --data-binary
)
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

log = logging.getLogger(__name__)


class _RefusedError(Exception):
    """A request that is refused, with the sentence and the HTTP status of the response."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class _ClassifyRequest:
    """The content of a request.

    Attributes:
        image: the open file.
        name: of the image, chosen by the client.
        cells: whether cells are segmented, too.
    """

    image: IO[bytes]
    name: str
    cells: bool


class OneCall:
    """The endpoint for a classifier, as an ASGI app."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._limiter = anyio.CapacityLimiter(MAX_PARALLEL)  # requests wait in order of arrival and hold no thread

    @property
    def route(self) -> Route:
        """The route by which the app serves it."""
        return Route(ONE_CALL_PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: with the finding, or with `error` in words and a status of 4xx or 5xx."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except _RefusedError as refused:
            response = error_response(str(refused), refused.status)
        except ImageError as error:
            response = error_response(str(error), 400)
        except ClientDisconnect:
            return
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method != "POST":
            sentence = "Send the image with POST, as curl --data-binary @smear.png does."
            return error_response(sentence, 405, Allow="POST")
        if not _is_authorised(request):
            sentence = "Log in first: send user and password with the request, as curl -u USER:PASSWORD does."
            return error_response(sentence, 401)
        self._check_waiting()
        async with _read(request) as content:
            self._check_waiting()  # again: others may have come while the image arrived
            async with self._limiter:
                if await request.is_disconnected():
                    raise ClientDisconnect
                try:
                    return JSONResponse(await anyio.to_thread.run_sync(self._classify, content))
                except (ImageError, _RefusedError):
                    raise
                except Exception as error:
                    log.exception("An image could not be classified")
                    raise _RefusedError(
                        "This image could not be classified because of a program error; please report it.", 500
                    ) from error

    def _check_waiting(self) -> None:
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise _RefusedError("Too many images are waiting; try again in a few seconds.", 503)

    def _classify(self, content: _ClassifyRequest) -> dict[str, Any]:
        data = content.image.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _RefusedError(f"The file is larger than {MAX_BYTES // 1024**2} MB, the limit.", 413)
        with SLOTS:
            findings = [self._finding(content, picture) for picture in pictures(data)]
        return findings[0] if len(findings) == 1 else {"image": content.name, "pages": findings}

    def _finding(self, content: _ClassifyRequest, picture: Picture) -> dict[str, Any]:
        name = f"{content.name}#{picture.page}" if picture.page else content.name
        return self.classifier.analyse(
            picture.pixels, use_cells=content.cells, um_per_px=picture.um_per_px
        ).finding.as_json(name)


def _is_authorised(request: Request) -> bool:
    """Whether the app has no password, or the request carries the page's cookie or user and password."""
    app = request.app
    if not private_parts.has_login(app) or private_parts.is_logged_in(app, request.cookies):
        return True
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return scheme.lower() == "basic" and private_parts.password_matches(app, user, password)


@asynccontextmanager
async def _read(request: Request) -> AsyncIterator[_ClassifyRequest]:
    """The content of a request; its image is deleted when the context ends."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    options = request.query_params.multi_items()
    if kind == "multipart/form-data":
        try:
            form = await request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS)
        except (HTTPException, ValueError) as error:
            raise _RefusedError("The form cannot be read; send it anew.", 400) from error
        try:
            files = [(field, value) for field, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) != 1 or files[0][0] not in IMAGE_FIELDS:
                raise _RefusedError("Send one image in the field image, as in: curl -F image=@smear.png.", 422)
            upload = files[0][1]
            options += [(field, value) for field, value in form.multi_items() if isinstance(value, str)]
            yield _with_options(upload.file, options, upload.filename or "")
        finally:
            await form.close()
    elif not kind or kind.startswith(_IMAGE_TYPES):
        with tempfile.SpooledTemporaryFile(MAX_IN_MEMORY) as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.seek(0)
            yield _with_options(file, options, "image")
    else:
        raise _RefusedError(f"{kind} is not taken; send the bytes of an image, or a form with the field image.", 415)


def _with_options(image: IO[bytes], options: Sequence[tuple[str, str]], name: str) -> _ClassifyRequest:
    """An image with its options; unknown and repeated options are refused, not ignored."""
    values = dict(options)
    if len(values) < len(options) or not values.keys() <= set(OPTIONS):
        raise _RefusedError(f"Beside the image, {' and '.join(OPTIONS)} may be given, once each.", 422)
    cells = values.get("cells", "true").lower()
    if cells not in _BOOLEANS:
        raise _RefusedError("cells takes true or false.", 422)
    return _ClassifyRequest(image, file_name(values.get("name") or name), _BOOLEANS[cells])

"""`POST /api/classify`: an image goes in and its finding comes out, in one call of plain HTTP.

Gradio's own way takes three calls (upload, call, answer). Here the image is the body of the request or a field of a
form; it lies in memory, or above `_IN_MEMORY` in a file without a name, until the answer is there.
"""

from __future__ import annotations

import base64
import binascii
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import anyio
from gradio.route_utils import compare_passwords_securely
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from leuko.images.decode import MAX_BYTES, ImageError, Picture, pictures
from leuko.inference.classifier import Classifier
from leuko.serving.api.endpoints import AT_ONCE, MAX_WAITING, PLACES
from leuko.serving.gradio.middleware import ONE_CALL, says
from leuko.serving.gradio.upload_components import file_name

FIELDS = ("image", "file")  # of a form, either of which holds the image
_OPTIONS = ("cells", "name")
_IN_MEMORY = 2**20  # bytes of an image, as Starlette keeps of a form's; very many may arrive at once
_RAW = ("image/", "application/octet-stream", "application/dicom", "application/x-www-form-urlencoded")  # curl's own
_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_MOST = 10  # files, and other parts, of a form that are read, to say that they are too many

log = logging.getLogger(__name__)


class _RefusedError(Exception):
    """A request that is not answered: a sentence and a status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class _Asked:
    """What a request asks for.

    Attributes:
        image: the open file.
        name: of the image, as its owner calls it.
        cells: whether the cells are looked at, too.
    """

    image: BinaryIO
    name: str
    cells: bool


class OneCall:
    """The endpoint for a classifier, as an ASGI app."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._turn = anyio.CapacityLimiter(AT_ONCE)  # waits without holding a thread, in the order of arrival

    @property
    def route(self) -> Route:
        """Where the app serves it."""
        return Route(ONE_CALL, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: the finding, or `error` in words with a status of 4xx or 5xx."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except _RefusedError as refused:
            response = says(str(refused), refused.status)
        except ImageError as error:
            response = says(str(error), 400)
        except ClientDisconnect:
            return
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return says("Send the image with POST, as curl --data-binary @smear.png does.", 405, Allow="POST")
        if not _may_ask(request):
            return says("Log in first: send user and password with the request, as curl -u USER:PASSWORD does.", 401)
        self._check_line()
        async with _asked(request) as asked:
            self._check_line()  # it may have filled up while the image arrived
            async with self._turn:
                if await request.is_disconnected():
                    raise ClientDisconnect
                try:
                    return JSONResponse(await anyio.to_thread.run_sync(self._judge, asked))
                except (ImageError, _RefusedError):
                    raise
                except Exception as error:
                    log.exception("An image could not be judged")
                    raise _RefusedError("This image could not be judged; the fault is ours.", 500) from error

    def _check_line(self) -> None:
        if self._turn.statistics().tasks_waiting >= MAX_WAITING:
            raise _RefusedError("Too many images wait for their turn; try again in a few seconds.", 503)

    def _judge(self, asked: _Asked) -> dict[str, Any]:
        data = asked.image.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _RefusedError(f"The file is larger than {MAX_BYTES // 1024**2} MB, the limit.", 413)
        with PLACES:
            findings = [self._finding(asked, picture) for picture in pictures(data)]
        return findings[0] if len(findings) == 1 else {"image": asked.name, "pages": findings}

    def _finding(self, asked: _Asked, picture: Picture) -> dict[str, Any]:
        name = f"{asked.name}#{picture.page}" if picture.page else asked.name
        return self.classifier.read(picture.pixels, asked.cells, picture.um_per_px).finding.as_json(name)


def _may_ask(request: Request) -> bool:
    """Whether there is no password, or the request carries a login: the page's cookie, or user and password."""
    app = request.app
    if app.auth is None:
        return True
    cookies = (request.cookies.get(f"access-token-{kind}{app.cookie_id}") for kind in ("", "unsecure-"))
    if any(cookie in app.tokens for cookie in cookies):
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return (
        scheme.lower() == "basic" and user in app.auth and compare_passwords_securely(password.strip(), app.auth[user])
    )


@asynccontextmanager
async def _asked(request: Request) -> AsyncIterator[_Asked]:
    """What a request asks for; its image is gone after this."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    options = request.query_params.multi_items()
    if kind == "multipart/form-data":
        try:
            form = await request.form(max_files=_MOST, max_fields=_MOST)
        except (HTTPException, ValueError) as error:
            raise _RefusedError("The form cannot be read; send it anew.", 400) from error
        try:
            files = [(field, value) for field, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) != 1 or files[0][0] not in FIELDS:
                raise _RefusedError("Send one image in the field image, as in: curl -F image=@smear.png.", 422)
            file = files[0][1]
            options += [(field, value) for field, value in form.multi_items() if isinstance(value, str)]
            yield _understood(file.file, options, file.filename or "")
        finally:
            await form.close()
    elif not kind or kind.startswith(_RAW):
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.seek(0)
            yield _understood(file, options, "image")
    else:
        raise _RefusedError(f"{kind} is not taken; send the bytes of an image, or a form with the field image.", 415)


def _understood(image: BinaryIO, options: Sequence[tuple[str, str]], name: str) -> _Asked:
    """A request's options; one that is misspelt or given twice is refused, not passed over."""
    given = dict(options)
    if len(given) < len(options) or not given.keys() <= set(_OPTIONS):
        raise _RefusedError(f"Beside the image, {' and '.join(_OPTIONS)} may be given, once each.", 422)
    cells = given.get("cells", "true").lower()
    if cells not in _TRUTH:
        raise _RefusedError("cells takes true or false.", 422)
    return _Asked(image, file_name(given.get("name") or name), _TRUTH[cells])

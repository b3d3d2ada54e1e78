"""The app's OpenAPI document: Gradio's, completed by `POST /api/classify` and the app's own address."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leuko.images.decode import MAX_BYTES, MAX_PIXELS
from leuko.serving.gradio import private_parts, reverse_proxy
from leuko.serving.gradio.middleware import ONE_CALL_PATH

PATH = "/gradio_api/openapi.json"
ALIAS = "/openapi.json"  # where many programs look for it

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_REFUSALS = {
    "400": "The file cannot be read as an image: empty, damaged, of an unknown format, or with too many pixels",
    "401": "The app has a password, and the request has no login",
    "405": "Not sent with POST",
    "413": f"Over {MAX_BYTES // 1024**2} MB",
    "415": "Neither an image nor a form",
    "422": "No image, several images, or an unknown option",
    "503": "Too many images are waiting",
}
_OPTIONS = {
    "cells": {
        "type": "boolean",
        "default": True,
        "description": "false: the network alone, without the cells, which is faster",
    },
    "name": {"type": "string", "description": "name of the image in the answer; by default the file name in the form"},
}
_FINDING: dict[str, Any] = {
    "type": "object",
    "description": "The finding, as returned by /classify",
    "properties": {
        "image": {"type": "string"},
        "label": {"type": "string"},
        "pattern": {"type": "string", "nullable": True},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "leukaemia_probability": {"type": "number", "nullable": True},
        "decision": {"type": "string", "enum": ["suspicious", "not suspicious", "uncertain"]},
        "headline": {"type": "string"},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "quality": {"type": "object"},
        "model": {"type": "object"},
    },
    "required": ["image", "decision", "reasons", "quality", "model"],
}
_PAGES = {
    "type": "object",
    "description": "The findings of a file of several pictures, each with its page in its name (slide.tif#2)",
    "properties": {"image": {"type": "string"}, "pages": {"type": "array", "items": _FINDING}},
    "required": ["image", "pages"],
}
_CLASSIFY = {
    "summary": "Classify an image in one call",
    "description": (
        "Examine one image of a blood or marrow smear for signs of acute lymphoblastic leukaemia; research use only. "
        f"The body is the image (JPEG, PNG, TIFF, …, at most {MAX_BYTES // 1024**2} MB and {MAX_PIXELS // 10**6} "
        "megapixels), or a form with the field image or file. Nothing of it is kept."
    ),
    "operationId": "classify_in_one_call",
    "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in _OPTIONS.items()],
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _BYTES,
            "application/octet-stream": _BYTES,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": _BYTES["schema"], **_OPTIONS},
                    "required": ["image"],
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "The finding, or one for each picture of the file",
            "content": {"application/json": {"schema": {"oneOf": [_FINDING, _PAGES]}}},
        },
        **{
            status: {"description": why, "content": {"application/json": {"schema": _ERROR}}}
            for status, why in _REFUSALS.items()
        },
    },
}


class OpenApiMiddleware:
    """ASGI middleware that completes Gradio's OpenAPI document and also serves it at `ALIAS`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or reverse_proxy.route_path(scope) not in (PATH, ALIAS):
            await self.app(scope, receive, send)
            return
        scope = {**scope, "path": scope["root_path"] + PATH}
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal body
            start.update(message if message["type"] == "http.response.start" else {})
            body += message.get("body", b"")

        await self.app(scope, receive, collect)
        if start["status"] == 200:
            root = private_parts.root_url(Request(scope), PATH, scope["app"].root_path)
            document = json.loads(body)
            document["paths"][ONE_CALL_PATH] = {"post": _CLASSIFY}
            await JSONResponse({**document, "servers": [{"url": root}]})(scope, receive, send)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": body})

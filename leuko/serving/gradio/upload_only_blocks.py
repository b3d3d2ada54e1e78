"""A Gradio app that accepts only files that were uploaded to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from starlette.routing import BaseRoute

from leuko.serving.gradio import private_parts
from leuko.serving.gradio.errors import refusal

FILE_PATH = "/gradio_api/file="  # how the address of an uploaded file begins, below the host
_META = {"_type": "gradio.FileData"}

log = logging.getLogger(__name__)


class UploadOnlyBlocks(gr.Blocks):
    """Blocks that accept files from their upload folder only.

    Gradio fetches an address that is sent in place of a file. It also checks an image's path only if the client sends
    its `meta`, so that a program could ask for any image on the server's disk.

    Attributes:
        routes: further routes of the app, beside Gradio's.
    """

    routes: Sequence[BaseRoute] = ()

    async def preprocess_data(
        self, block_fn: private_parts.BlockFunction, inputs: list[Any], *rest: Any, **more: Any
    ) -> list[Any]:
        """Gradio's own method, after a check that every file among the inputs was uploaded."""
        if block_fn.fn is None:  # an event that the browser handles alone; Gradio would answer with status 500
            raise refusal("There is nothing to call here; the API page lists all endpoints.")
        try:
            inputs = private_parts.replace_missing_inputs(block_fn, inputs)
            inputs = [
                _files_of_texts(value) if isinstance(block, gr.File) else value
                for block, value in zip(block_fn.inputs, inputs, strict=True)
            ]
            checked = private_parts.map_files(inputs, _checked_file)
            return await super().preprocess_data(block_fn, checked, *rest, **more)
        except gr.Error:
            raise
        except Exception as error:
            log.warning("Inputs refused: %s", error)
            raise refusal("The inputs are not what this endpoint takes; its page says what is expected.") from error


def path_of_address(address: str) -> str:
    """The path of an uploaded file, of which MCP clients send the address; any other address is returned unchanged."""
    path = urlsplit(address).path
    start = path.find(FILE_PATH)
    return unquote(path[start + len(FILE_PATH) :]) if start >= 0 else address


def _files_of_texts(value: Any) -> Any:
    """A list of files where MCP clients send a list of texts; Gradio translates only single ones."""
    if not isinstance(value, list):
        return value
    return [
        _file_of_text(item, number) if isinstance(item, str) else item for number, item in enumerate(value, start=1)
    ]


def _file_of_text(text: str, number: int) -> dict[str, Any]:
    is_data = text.startswith("data:")
    path = private_parts.save_data_url(text, f"image-{number}") if is_data else text
    return {"path": path, "meta": dict(_META)}


def _checked_file(file: dict[str, Any]) -> dict[str, Any]:
    """A file of a client's request, located by its path in the upload folder; an address in it is never fetched.

    Raises:
        gr.Error: it is not a file of the upload folder.
    """
    path = path_of_address(file["path"]) if private_parts.is_address(file["path"]) else file["path"]
    if private_parts.is_address(path):
        raise refusal("Addresses are not fetched; upload the file to this server and give its path.")
    if not Path(path).resolve().is_relative_to(private_parts.upload_folder().resolve()):
        raise refusal("This file was not uploaded to this server; upload it and give the path that is answered.")
    return {**file, "path": path, "url": None, "meta": dict(_META)}

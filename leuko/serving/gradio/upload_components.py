"""The components through which files arrive, and what they hand over."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from gradio.components.file import ListFiles
from gradio.data_classes import FileData, ImageData

_IMAGE = ImageData.model_json_schema()  # Gradio asks for it, slow to make, for every session
MAX_NAME = 200  # characters of a file's name that are shown and passed on


@dataclass(frozen=True)
class Upload:
    """An uploaded file: where it lies, and what its owner calls it."""

    path: Path
    name: str

    @classmethod
    def of(cls, given: FileData | ImageData) -> Upload:
        """What a client sent; the name is its own word, so that folders and control characters are left away."""
        return cls(Path(given.path), file_name(given.orig_name or given.path))


class SmearImage(gr.Image):
    """An image component that hands over the file, not the picture.

    Gradio's own would decode it before any limit of ours; `leuko.images.decode` is the only door for bytes.
    """

    is_template = True

    def preprocess(self, payload: ImageData | None) -> Upload | None:
        """The uploaded file, not opened."""
        return None if payload is None or not payload.path else Upload.of(payload)


class SmearFiles(gr.File):
    """A chooser of many files that hands over their places and names; Gradio's own leaves an empty file for each."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        """What clients are told: Gradio's own says it by references that break where MCP embeds them."""
        return {"type": "array", "items": deepcopy(_IMAGE), "additional_description": None}

    def preprocess(self, payload: ListFiles | FileData | None) -> list[Upload]:
        """The uploaded files, not opened; empty if there are none."""
        given = payload if isinstance(payload, ListFiles) else [payload] if payload else []
        return [Upload.of(file) for file in given]


def file_name(given: str) -> str:
    """The last part of a path, printable and no longer than `MAX_NAME`; folders of any system are left away."""
    last = PurePosixPath(given.replace("\\", "/")).name
    return "".join(c for c in last if c.isprintable())[:MAX_NAME] or "unnamed"

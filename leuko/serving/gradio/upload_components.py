"""The components that receive files: they pass on where a file lies, and do not open it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr

from leuko.serving.gradio.private_parts import FileData, ImageData, ListFiles

MAX_NAME = 200  # characters of a file's name; longer names are cut
_IMAGE_SCHEMA = ImageData.model_json_schema()  # made once: slow, and Gradio asks for it in every session


@dataclass(frozen=True)
class Upload:
    """An uploaded file.

    Attributes:
        path: where it lies.
        name: what its owner calls it; without folders and control characters.
    """

    path: Path
    name: str

    @classmethod
    def of(cls, file: FileData | ImageData) -> Upload:
        """From Gradio's description of a file, whose name the client chose."""
        assert file.path is not None  # checked by the callers
        return cls(Path(file.path), file_name(file.orig_name or file.path))


class SmearImage(gr.Image):
    """An image component that passes on the file, not its pixels.

    Gradio's component would decode the file without our limits; `leuko.images.decode` is the only place where images
    are decoded.
    """

    is_template = True  # it uses the browser part of its base class

    def preprocess(self, payload: ImageData | None) -> Upload | None:
        """The uploaded file, not opened; None if there is none."""
        return None if payload is None or not payload.path else Upload.of(payload)


class SmearFiles(gr.File):
    """A component for many files that passes on their paths and names; Gradio's would make an empty file of each."""

    is_template = True  # as above

    def api_info(self) -> dict[str, Any]:
        """The schema that clients see. Gradio's own contains references, which do not work within MCP schemas."""
        return {"type": "array", "items": deepcopy(_IMAGE_SCHEMA), "additional_description": None}

    def preprocess(self, payload: ListFiles | FileData | None) -> list[Upload]:
        """The uploaded files, not opened; empty if there are none."""
        files = payload if isinstance(payload, ListFiles) else [payload] if payload else []
        return [Upload.of(file) for file in files]


def file_name(name: str) -> str:
    """The last part of a path of any system, printable and no longer than `MAX_NAME`."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c for c in last if c.isprintable())[:MAX_NAME] or "unnamed"

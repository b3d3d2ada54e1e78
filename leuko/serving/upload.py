"""The component through which images arrive, and what it hands over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData


@dataclass(frozen=True)
class Upload:
    """An uploaded file: where it lies, and what its owner calls it."""

    path: Path
    name: str


class SmearImage(gr.Image):
    """An image component that hands over the file, not the picture.

    Gradio's own would decode it before any limit of ours; `leuko.images.decode` is the only door for bytes.
    """

    is_template = True

    def preprocess(self, payload: ImageData | None) -> Upload | None:
        """The uploaded file, not opened."""
        if payload is None or not payload.path:
            return None
        return Upload(Path(payload.path), payload.orig_name or Path(payload.path).name)

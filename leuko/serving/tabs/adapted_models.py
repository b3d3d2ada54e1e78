"""The adapted models of open pages; they are kept in memory only."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import gradio as gr

from leuko.inference.classifier import Classifier

MAX_MODELS = 8  # sessions with an adapted model, about 40 MB each; a new one replaces the oldest


@dataclass(frozen=True)
class AdaptedModel:
    """The adapted model of a session.

    Attributes:
        classifier: in use on the session's page.
        zip_file: the content of a zip of the model folder, for download.
    """

    classifier: Classifier
    zip_file: bytes


class AdaptedModels:
    """The adapted model of each session; it is forgotten when the session's page is closed."""

    def __init__(self) -> None:
        self._models: dict[str, AdaptedModel] = {}  # by session, oldest first
        self._waiting: set[str] = set()  # sessions that adapted a model or are about to, and whose page is open
        self._lock = threading.Lock()

    def of(self, request: gr.Request | None) -> AdaptedModel | None:
        """The model of the session that sent a request, or None."""
        return self._models.get(_session(request))

    def classifier_of(self, request: gr.Request | None) -> Classifier | None:
        """The classifier of the session's model, or None."""
        model = self.of(request)
        return model.classifier if model else None

    def expect(self, request: gr.Request) -> None:
        """Note that a session waits for its model."""
        with self._lock:
            self._waiting.add(_session(request))

    def keep(self, request: gr.Request, model: AdaptedModel) -> None:
        """Keep the model of a session, unless its page was closed while it waited."""
        session = _session(request)
        with self._lock:
            if session not in self._waiting:
                return
            self._models.pop(session, None)
            self._models[session] = model
            for oldest in list(self._models)[:-MAX_MODELS]:
                del self._models[oldest]

    def drop(self, request: gr.Request) -> None:
        """Forget the model of a session that returns to the common model."""
        with self._lock:
            self._models.pop(_session(request), None)

    def end_session(self, request: gr.Request) -> None:
        """Forget a session whose page is closed, and the model it has or waits for."""
        with self._lock:
            self._waiting.discard(_session(request))
            self._models.pop(_session(request), None)


def _session(request: gr.Request | None) -> str:
    return (request.session_hash if request else None) or ""

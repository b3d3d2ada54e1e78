"""Errors of the Hub's client as a status or a phrase, with nothing else on the screen; and an unreachable Hub."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

TIMEOUT = 4.0  # seconds until the first answer; the Hub's client would try again for about a minute


def reachable(address: str, seconds: float = TIMEOUT) -> bool:
    """Whether a server answers in time and without a server error.

    An unknown name, a refused connection and a server that accepts the connection without answering all mean: not
    reachable. The request runs in a thread, because looking up a name has no time limit.
    """
    answers = []

    def request() -> None:
        try:
            with httpx2.stream("GET", address, timeout=seconds) as response:
                answers.append(response.status_code < 500)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            answers.append(False)

    thread = Thread(target=request, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [True]


@contextmanager
def cached_only() -> Iterator[None]:
    """Within it, the Hub's client uses only the cache of this machine."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def cached_if_unreachable() -> Iterator[None]:
    """Within it, the Hub's client uses only the cache of this machine if the Hub does not answer now."""
    if constants.HF_HUB_OFFLINE or reachable(
        constants.ENDPOINT, 10
    ):  # 10 s, as a busy machine or a slow line is not offline
        yield
        return
    with cached_only():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, the client prints no warnings (it also raises errors), and progress only on a terminal."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    hide_bars = not (sys.stderr.isatty() or are_progress_bars_disabled())
    if hide_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if hide_bars:
            enable_progress_bars()


def http_status(error: BaseException | None) -> int | None:
    """The HTTP status of the Hub's answer in an exception or its causes; None if there was no answer."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            return response.status_code
        error = error.__cause__
    return None


def why_no_model(error: Exception) -> str:
    """Why the model could not be fetched from the Hub, as the end of a sentence.

    The client keeps complete files, so that running again continues from there.
    """
    status = http_status(error)
    if status == 403:
        return "this token may not read a model of that name on the Hub; ask its owner, or use another token"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hub knows no model of that name; if it is private, set HF_TOKEN or run `hf auth login`"
    if status == 401:
        return "the Hub does not accept the token; check HF_TOKEN or run `hf auth login`"
    if status is not None:
        return f"the Hub answered with an error ({status}); run again later"
    return "the connection to the Hub failed; run again"

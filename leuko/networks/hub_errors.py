"""The Hub's client, with fewer words: what went wrong as a status or a phrase, and no more on the screen than that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

PATIENCE = 4.0  # seconds for a first sign of life; the Hub's client by itself tries again for about a minute


def reachable(address: str, seconds: float = PATIENCE) -> bool:
    """Whether a server answers at all, and with no error of its own, within some seconds.

    A name that is looked up in vain, a connection that is refused, and a server that takes it and says nothing all
    count as no answer. Asked from a thread, since looking up a name knows no time limit.
    """
    answered = []

    def ask() -> None:
        try:
            with httpx2.stream("GET", address, timeout=seconds) as response:
                answered.append(response.status_code < 500)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            answered.append(False)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered == [True]


@contextmanager
def cached_only() -> Iterator[None]:
    """Within it the Hub's client takes what this machine has already, and asks nobody."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def cached_if_unreachable() -> Iterator[None]:
    """Within it the Hub's client takes only what this machine has already, if the Hub does not answer now."""
    if constants.HF_HUB_OFFLINE or reachable(constants.ENDPOINT, 10):  # a busy machine or a slow line is not offline
        yield
        return
    with cached_only():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Within it the client prints no warnings (it raises as well), and progress only where someone watches."""
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
    """The status of the Hub's answer behind an exception or its causes; none if there was no answer."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            return response.status_code
        error = error.__cause__
    return None


def why_no_model(error: Exception) -> str:
    """Why the Hub gave no model, as the end of a sentence.

    What has arrived is kept by the client, so that running again goes on from there.
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

"""The app behind a reverse proxy, under a prefix of its address (`GRADIO_ROOT_PATH`) that the proxy keeps or strips."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from starlette.types import Scope

_ROOT_PATH = re.compile(r"(?:https?://[^/\s?#@]+)?(?:/[\w.~-]+)*", re.ASCII)
_OWN = ("api", "assets", "config", "gradio_api", "login", "logout", "static")  # how addresses of the app itself begin


def root_path() -> str:
    """Where the app lies, as GRADIO_ROOT_PATH says: "" for no prefix, a path such as `/leuko`, or a full address.

    Raises:
        ValueError: it is neither a path nor an address, or the prefix cannot be told from an address of the app.
    """
    given = os.environ.get("GRADIO_ROOT_PATH", "").strip().rstrip("/")
    if given and "://" not in given:
        given = "/" + given.lstrip("/")
    segments = urlsplit(given).path.split("/")[1:]
    if not _ROOT_PATH.fullmatch(given) or {".", ".."} & set(segments):
        raise ValueError(
            "GRADIO_ROOT_PATH takes a path such as /leuko, or an address such as https://example.org/leuko."
        )
    if segments and segments[0] in _OWN:
        raise ValueError(f"GRADIO_ROOT_PATH cannot begin with /{segments[0]}, which is an address of the app itself.")
    return given


def resolved(scope: Scope) -> Scope:
    """A request as ASGI describes it: `root_path` is a path, and `path` begins with it.

    Gradio sets `root_path` as it was given, also to a full address. A proxy that strips the prefix sends a `path`
    without it, for which Starlette finds no mounted app.
    """
    root = urlsplit(scope.get("root_path", "")).path.rstrip("/")
    path = scope["path"]
    kept = path == root or path.startswith(f"{root}/")
    return {**scope, "root_path": root, "path": path if kept else root + path}


def route_path(scope: Scope) -> str:
    """The path of a `resolved` request below the prefix: what Starlette chooses the route by."""
    return scope["path"][len(scope["root_path"]) :]

"""The app behind a reverse proxy: its address prefix (`GRADIO_ROOT_PATH`), which the proxy keeps or strips."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from starlette.types import Scope

_ROOT_PATH = re.compile(r"(?:https?://[^/\s?#@]+)?(?:/[\w.~-]+)*", re.ASCII)
_APP_PATHS = ("api", "assets", "config", "gradio_api", "login", "logout", "static")  # first parts of the app's paths


def root_path() -> str:
    """The prefix given by GRADIO_ROOT_PATH: "" for none, a path such as `/leuko`, or a full address.

    Raises:
        ValueError: it is neither a path nor an address, or it begins like a path of the app itself.
    """
    prefix = os.environ.get("GRADIO_ROOT_PATH", "").strip().rstrip("/")
    if prefix and "://" not in prefix:
        prefix = "/" + prefix.lstrip("/")
    segments = urlsplit(prefix).path.split("/")[1:]
    if not _ROOT_PATH.fullmatch(prefix) or {".", ".."} & set(segments):
        raise ValueError(
            "GRADIO_ROOT_PATH takes a path such as /leuko, or an address such as https://example.org/leuko."
        )
    if segments and segments[0] in _APP_PATHS:
        raise ValueError(f"GRADIO_ROOT_PATH cannot begin with /{segments[0]}, which is an address of the app itself.")
    return prefix


def resolved(scope: Scope) -> Scope:
    """The scope of a request as ASGI defines it: `root_path` is a path, and `path` begins with it.

    Gradio sets `root_path` to what was given, even a full address. A proxy that strips the prefix sends a `path`
    without it, for which Starlette would find no mounted app.
    """
    root = urlsplit(scope.get("root_path", "")).path.rstrip("/")
    path = scope["path"]
    has_prefix = path == root or path.startswith(f"{root}/")
    return {**scope, "root_path": root, "path": path if has_prefix else root + path}


def route_path(scope: Scope) -> str:
    """The path of a `resolved` request below the prefix, by which the route is chosen."""
    return scope["path"][len(scope["root_path"]) :]

"""How the app is launched: limits, privacy and login.

Gradio 6 serves files of its upload folder only. It also fetches addresses sent in place of files, forwards requests to
other addresses, and leaves parts of refused uploads on the disk. `upload_only_blocks`, `middleware` and
`upload_retention` prevent that.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.middleware import Middleware

from leuko.data.sources.archive import MAX_ZIP_BYTES
from leuko.images.decode import MAX_BYTES
from leuko.serving.gradio import private_parts, reverse_proxy
from leuko.serving.gradio.middleware import SecurityMiddleware
from leuko.serving.gradio.upload_retention import delete_old_uploads, retention_seconds

MAX_SESSIONS = 100  # whose state Gradio keeps; a state that was dropped is created again when it is needed


def options(inner_middleware: Sequence[Middleware] = ()) -> dict[str, Any]:
    """The arguments of `gr.Blocks.launch` that concern limits, privacy and login, as the environment asks.

    Args:
        inner_middleware: further middleware, which requests pass after the security checks.

    Raises:
        ValueError: a password without a user, a user without a password, an invalid retention time, or an invalid root
            path.
    """
    user, password = os.environ.get("LEUKO_USER"), os.environ.get("LEUKO_PASSWORD")
    if bool(user) != bool(password):
        raise ValueError("LEUKO_USER and LEUKO_PASSWORD belong together; set both or neither.")
    return {
        "auth": (user, password) if user and password else None,
        "auth_message": "This copy of Deep Leuko is for invited people.",
        "mcp_server": not password,  # Gradio's MCP tools cannot log in
        "root_path": reverse_proxy.root_path(),
        "max_file_size": max(MAX_BYTES, MAX_ZIP_BYTES),  # images have a lower limit of their own when they are decoded
        "allowed_paths": [],
        "state_session_capacity": MAX_SESSIONS,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "app_kwargs": {
            "middleware": [Middleware(SecurityMiddleware), *inner_middleware],
            "lifespan": _lifespan(retention_seconds()),
        },
    }


def _lifespan(seconds: int) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.router.routes[:0] = app.get_blocks().routes
        private_parts.keep_light_sessions(app)
        async with delete_old_uploads(app.get_blocks(), seconds):
            yield

    return lifespan

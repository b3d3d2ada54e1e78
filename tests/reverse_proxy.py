"""A small real reverse proxy: puts a server under a prefix of the address, and keeps the prefix or strips it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def proxied(url: str, prefix: str, *, keep: bool, host: str = "", port: int = 0, **headers: str) -> Iterator[str]:
    """The address under which a server is reached through a proxy.

    Args:
        url: of the server.
        prefix: that the proxy adds to its address, such as `/leuko`.
        keep: whether the server sees the prefix.
        host: the `Host` that the server sees, where it is not the one that the client sends.
        port: of the proxy; 0 for any that is free.
        headers: that the proxy sets, with `_` for `-`.
    """
    target = urlsplit(url)

    class Passes(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            path = self.path if keep else self.path[len(prefix) :]
            server = HTTPConnection(target.hostname, target.port, timeout=60)
            server.putrequest(self.command, path or "/", skip_host=True, skip_accept_encoding=True)
            own = {name.replace("_", "-").lower(): value for name, value in headers.items()}
            for name, value in self.headers.items():
                if name.lower() not in ("connection", *own, *(["host"] if host else [])):
                    server.putheader(name, value)
            for name, value in (own | ({"host": host} if host else {})).items():
                server.putheader(name, value)
            server.endheaders()
            left = int(self.headers.get("Content-Length", 0))
            while left and (data := self.rfile.read(min(left, 2**16))):
                left -= len(data)
                server.send(data)
            answer = server.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            while data := answer.read1(2**16):  # as it comes: events must not wait for each other
                self.wfile.write(data)
            server.close()

        def handle(self) -> None:
            with contextlib.suppress(OSError, HTTPException):  # the client or the server has gone
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _pass  # noqa: N815

    passing = ThreadingHTTPServer(("127.0.0.1", port), Passes)
    passing.daemon_threads = True
    threading.Thread(target=passing.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{passing.server_address[1]}{prefix}"
    passing.shutdown()
    passing.server_close()

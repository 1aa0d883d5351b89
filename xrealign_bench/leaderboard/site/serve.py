"""Serve the site to browsers on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from xrealign_bench.errors import convert_os_errors


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(folder: Path, port: int, ready: Callable[[str], object]) -> None:
    """Serve a folder on localhost until interrupted.

    Args:
        port: 0 for any free port.
        ready: called with the address once the server answers.

    Raises:
        UserError: the port is taken or not allowed.
    """
    with convert_os_errors(f"port {port}", "choose another with --port"):
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    with server, suppress(KeyboardInterrupt):
        ready(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()

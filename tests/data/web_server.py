"""A small web server, and a client that finds it at every https address."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import cached_assets_path


@dataclass
class Page:
    """What the server answers for a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """Number of bytes after which it closes the connection, one answer each; then it sends the whole."""
    etag: str = '"a"'


class Web(ThreadingHTTPServer):
    pages: dict[str, Page]
    """Host and path -> page."""
    asked: list[tuple[str, str | None]]
    """Host and path of each request, and its range."""


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        path = f"{self.headers['Host']}{self.path}"
        span = self.headers.get("Range")
        self.server.asked.append((path, span))
        page = self.server.pages.get(path, Page(status=404))
        body, status, headers = page.body, page.status, {"ETag": page.etag} | page.headers
        if span and status == 200 and self.headers["If-Range"] == page.etag:
            first = int(span.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            body, status = body[first:], 206
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)

    def log_message(self, *_: object) -> None:
        pass


class ToServer(httpx2.BaseTransport):
    """Send requests for any host to the server, which sees the host in a header."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport = httpx2.HTTPTransport(verify=False)  # reading certificates would take most of the time

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.scheme == "https", request.url
        headers = request.headers.copy()
        headers["Host"] = request.url.host
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return self._transport.handle_request(
            httpx2.Request(request.method, url, headers=headers, stream=request.stream)
        )


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Web]:
    """Serve pages to `data.download`, at any https address, with a cache of its own; wait for nothing."""
    server = Web(("127.0.0.1", 0), Handler)
    server.pages, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def client() -> httpx2.Client:
        return httpx2.Client(
            transport=ToServer(server.server_port), follow_redirects=False, headers={"Accept-Encoding": "identity"}
        )

    monkeypatch.setattr(
        "xrealign_bench.data.download.cached_assets_path", partial(cached_assets_path, assets_dir=cache)
    )
    monkeypatch.setattr("xrealign_bench.data.download._client", client)
    monkeypatch.setattr("xrealign_bench.data.download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("xrealign_bench.data.download.constants.HF_HUB_OFFLINE", False)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

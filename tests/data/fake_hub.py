"""A server that answers as the Hub does, for its client in this process: any layout, refusals, and faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from huggingface_hub import HfFileSystem, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from tests.data.web_server import ToServer
from xrealign_bench.data import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """A data set at one commit, which is that of `main`."""

    files: dict[str, bytes]
    commit: str = COMMIT
    refusal: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer about files; None: they are given."""


@dataclass
class Fault:
    """What is wrong with the next answers to requests whose path contains a text."""

    text: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


class FakeHub(ThreadingHTTPServer):
    repos: dict[str, Repo]
    faults: list[Fault]
    """With status 200: half of the body is sent."""
    asked: list[tuple[str, str | None]]
    """Path and range of each request."""
    waits: list[float]
    """Seconds that clients waited, without waiting."""
    sent: dict[str, int]
    """Bytes by path."""


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append((path, self.headers["Range"]))
        fault = next((fault for fault in self.server.faults if fault.text in path and fault.times > 0), None)
        if fault is not None:
            fault.times -= 1
            if fault.status != 200:
                return self._send(b"", fault.status, fault.headers)
        parts = path.split("/")
        is_api = parts[0] == "api"
        dataset = "/".join(parts[2:4] if is_api else parts[1:3])
        repo = self.server.repos.get(dataset)
        if repo is None:
            return self._send(b"{}", 401, {"X-Error-Code": "RepoNotFound"})
        revision = parts[5] if is_api and len(parts) > 5 else parts[4] if len(parts) > 4 else "main"
        if revision not in ("main", repo.commit):
            return self._send(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
        if is_api:
            is_tree = len(parts) > 4 and parts[4] == "tree"
            content = _tree(repo) if is_tree else {"id": dataset, "sha": repo.commit}
            return self._send(json.dumps(content).encode())
        return self._file(repo, "/".join(parts[5:]), fault is not None)

    def _file(self, repo: Repo, name: str, is_truncated: bool) -> None:
        if repo.refusal is not None:
            return self._send(b"", repo.refusal[0], {"X-Error-Code": repo.refusal[1]})
        body, status = repo.files[name], 200
        headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": repo.commit}
        if span := self.headers["Range"]:
            first, last = (int(number) for number in span.removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        return self._send(body, status, headers, is_truncated)

    def _send(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, is_truncated: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            sent = body[: len(body) // 2] if is_truncated else body
            self.server.sent[self.path] = self.server.sent.get(self.path, 0) + len(sent)
            self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


def _tree(repo: Repo) -> list[dict[str, object]]:
    """Parquet files are stored in LFS, as on the Hub."""
    return [
        {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
        | ({"lfs": _lfs(body)} if path.endswith(".parquet") else {})
        for path, body in repo.files.items()
    ]


def _lfs(body: bytes) -> dict[str, object]:
    return {"oid": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[FakeHub]:
    """Serve data sets to the Hub's client in this process, with a cache of its own; wait for nothing."""
    server = FakeHub(("127.0.0.1", 0), Handler)
    server.repos, server.faults, server.asked, server.waits, server.sent = {}, [], [], [], {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("time.sleep", server.waits.append)
    set_client_factory(lambda: httpx2.Client(transport=ToServer(server.server_port), follow_redirects=True))
    _forget()
    try:
        yield server
    finally:
        set_client_factory(default_client_factory)
        _forget()
        server.shutdown()
        thread.join()
        server.server_close()


def _forget() -> None:
    """Forget the answers that this process remembers."""
    for remembered in (hub._open_hub, hub._sizes, hub._checksums, hub._read_bytes):
        remembered.cache_clear()
    HfFileSystem.clear_instance_cache()

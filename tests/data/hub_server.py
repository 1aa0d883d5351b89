"""A small server that speaks the part of the Hub's API that is used."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONVERTED = "89abcdef0123456789abcdef0123456789abcdef"
BRANCHES = {"main": COMMIT, "refs/convert/parquet": CONVERTED}


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def served(root: Path) -> Iterator[ThreadingHTTPServer]:
    """Serve `org/tags` below `root` at both of its commits, a gated data set and a private one.

    `server.asked` lists what was asked; paths in `server.refused` are not given.
    """
    folder = root / "org" / "tags"
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {config}\n  data_files:\n"
            + "".join(
                f"  - split: {split}\n    path: {config}/{split}-*\n"
                for split in ("train", "test")
                if list((folder / config).glob(f"{split}-*"))
            )
            for config in ("en_x", "de_y")
        )
        + "---\n"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def answer(self):
            self.server.asked.append(f"{self.command} {self.path}")
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"]:
                self.api("/".join(parts[2:4]), parts[4], "/".join(parts[5:]))
            else:
                assert parts[0] == "datasets" and parts[3] == "resolve", self.path
                self.file("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))

        def api(self, dataset, what, revision):
            if dataset == "org/private":
                return self.send(b"{}", 401, {"X-Error-Code": "RepoNotFound"})
            commit = BRANCHES.get(revision, revision)
            if commit not in BRANCHES.values():
                return self.send(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
            if what == "revision":
                return self.send(json.dumps({"id": dataset, "sha": commit}).encode())
            files = [p for p in folder.rglob("*") if p.is_file()]
            tree = [
                {"type": "file", "path": str(p.relative_to(folder)), "size": p.stat().st_size, "oid": etag(p)}
                for p in files
            ]
            return self.send(json.dumps(tree).encode())

        def file(self, dataset, revision, name):
            if dataset == "org/gated":
                return self.send(b"", 403, {"X-Error-Code": "GatedRepo"})
            assert revision in BRANCHES.values()
            if name in self.server.refused:
                return self.send(b"", 403)
            if not (folder / name).is_file():
                return self.send(b"", 404)
            return self.send(
                (folder / name).read_bytes(), 200, {"ETag": f'"{etag(folder / name)}"', "X-Repo-Commit": revision}
            )

        def send(self, body, status=200, headers=None):
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.refused = [], set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

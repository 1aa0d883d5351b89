"""The Hub client against a small server that speaks the part of the Hub's API that is used.

`huggingface_hub` reads its settings when it is imported, so each case runs in a process of its own.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import json, sys
from tests.data.hub_folder import make_task
from xrealign_bench.data import load_words, locate_task
from xrealign_bench.errors import UserError

for step in json.load(sys.stdin):
    task = make_task(**step["task"])
    arguments = (task, step["language"], "test", None, step["offline"])
    try:
        located = locate_task(*arguments)
        out = {"revision": located.revision, "fingerprint": located.fingerprint, "place": str(located)}
        if step["read"]:
            out["words"] = load_words(*arguments).words
    except UserError as error:
        out = {"error": str(error)}
    print(json.dumps(out))
"""


@pytest.fixture
def hub(root):
    """A server with the data set `org/tags`, a gated one and a private one; `server.asked` lists what was asked."""
    folder = root / "org" / "tags"
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {config}\n  data_files:\n  - split: test\n    path: {config}/test-*\n"
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
                self.api("/".join(parts[2:4]), parts[4], parts[5])
            else:
                assert parts[0] == "datasets" and parts[3] == "resolve", self.path
                self.file("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))

        def api(self, dataset, what, revision):
            if dataset == "org/private":
                return self.send(b"{}", 401, {"X-Error-Code": "RepoNotFound"})
            if revision not in ("main", COMMIT):
                return self.send(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
            if what == "revision":
                return self.send(json.dumps({"id": dataset, "sha": COMMIT}).encode())
            files = [p for p in folder.rglob("*") if p.is_file()]
            tree = [
                {"type": "file", "path": str(p.relative_to(folder)), "size": p.stat().st_size, "oid": etag(p)}
                for p in files
            ]
            return self.send(json.dumps(tree).encode())

        def file(self, dataset, revision, name):
            if dataset == "org/gated":
                return self.send(b"", 403, {"X-Error-Code": "GatedRepo"})
            assert revision == COMMIT
            return self.send(
                (folder / name).read_bytes(), 200, {"ETag": f'"{etag(folder / name)}"', "X-Repo-Commit": COMMIT}
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
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def ask(hub, tmp_path):
    """Run steps (language, and what differs) in a fresh process that shares a cache with the others."""

    def run(*steps, url=f"http://127.0.0.1:{hub.server_port}"):
        plan = [{"language": "en", "offline": False, "read": True, "task": {}} | step for step in steps]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment |= {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps(plan),
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def from_hub(dataset, revision=None):
    return {"source": {"kind": "hub", "dataset": dataset, "revision": revision}}


def test_data_come_from_the_hub_and_then_from_its_cache(hub, ask):
    planned, read, named = ask({"read": False}, {}, {"task": from_hub("org/tags", COMMIT)})
    expected = hashlib.sha256(f"org/tags@{COMMIT}/en_x/test".encode()).hexdigest()
    assert planned == {"revision": COMMIT, "fingerprint": expected, "place": "org/tags/en_x/test"}
    assert read == planned | {"words": [["birds", "sing"]]}
    assert named == read
    # Only what is needed was fetched, and once.
    fetched = [asked for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked]
    assert len(fetched) == 2
    assert "README.md" in fetched[0] and "en_x/test-00000-of-00001.parquet" in fetched[1]

    hub.asked.clear()
    offline, other_language = ask({"offline": True}, {"offline": True, "language": "de"})
    assert hub.asked == []
    assert offline == read
    assert (
        "'org/tags' (revision '" in other_language["error"]
        and "run once without offline mode" in other_language["error"]
    )

    # No connection: a cached branch may be old, so it is not taken silently.
    away = "http://127.0.0.1:9"
    unreachable, offline = ask({}, {"offline": True}, url=away)
    assert unreachable["error"].startswith(f"the data set 'org/tags' could not be fetched from {away} (")
    assert offline == read


def test_refusals_of_the_hub_become_one_sentence(ask):
    outs = ask(
        {"task": from_hub("org/gated")},
        {"task": from_hub("org/private")},
        {"task": from_hub("org/tags", "v2")},
        {"task": {"configs": {"en": "en"}}},
        {"offline": True, "task": from_hub("org/never-fetched")},
    )
    messages = [out["error"] for out in outs]
    assert "'org/gated' is gated: accept its terms at http://" in messages[0]
    assert "has no data set 'org/private', or it is private" in messages[1]
    assert "'org/tags' has no revision 'v2'" in messages[2]
    assert messages[3].startswith("unknown config of org/tags: 'en'; did you mean en_x?")
    assert "'org/never-fetched' (revision 'main') is not, or not wholly, in the cache" in messages[4]
    assert all("\n" not in message for message in messages)

"""The Hub client against a small server that speaks the part of the Hub's API that is used.

`huggingface_hub` reads its settings when it is imported, so each case runs in a process of its own.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.hub_server import COMMIT, served

SCRIPT = """
import json, sys
from tests.data.hub_folder import make_task
from xrealign_bench.data import DataLocation, locate_task
from xrealign_bench.tasks.token_classification.data import load
from xrealign_bench.errors import UserError

for step in json.load(sys.stdin):
    task = make_task(**step["task"])
    arguments = (task, step["language"], "test", DataLocation(offline=step["offline"]))
    try:
        located = locate_task(*arguments)
        out = {"revision": located.revision, "fingerprint": located.fingerprint, "place": str(located)}
        if step["read"]:
            out["words"] = load(*arguments).words
    except UserError as error:
        out = {"error": str(error)}
    print(json.dumps(out))
"""


@pytest.fixture
def hub(root):
    with served(root) as server:
        yield server


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


def test_names_with_brackets_are_fetched_as_they_are(root, ask):
    file = root / "org/tags/de_y/test-00000-of-00001.parquet"
    file.rename(file.with_name("test-00000-of-00001[1].parquet"))
    (read,) = ask({"language": "de"})
    assert read["words"] == [["Hunde", "bellen"], ["Katzen"]]


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
    assert "'org/never-fetched' (revision 'main') is missing or incomplete in the cache" in messages[4]
    assert all("\n" not in message for message in messages)


def test_files_of_other_formats_come_from_the_hub_too(root, hub, ask):
    (root / "org/tags/de_y/test.conll").write_text("Hunde NOUN\nbellen VERB\n")
    source = {"kind": "hub", "dataset": "org/tags", "test": "{config}/*.conll"}
    task = {"source": source, "columns": {"words": "0", "labels": "1"}}
    online, offline = ask({"language": "de", "task": task}, {"language": "de", "task": task, "offline": True})
    assert online == offline
    assert (online["words"], online["revision"]) == ([["Hunde", "bellen"]], COMMIT)
    (missing,) = ask({"task": task})
    assert missing["error"] == "org/tags: has no file en_x/*.conll; correct 'source.test' or the config"

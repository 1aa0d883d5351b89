"""Locks and fetching. Truth: digests of files computed here, what a local server was asked, and broken files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import cached_assets_path

from tests.data.hub_folder import make_task, row, write_rows
from tests.data.hub_server import COMMIT, CONVERTED, served
from tests.small import CORPUS, Ran, World, command, write_suite, write_yaml
from xrealign_bench.data import lock as data_lock
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.results.result import digest_suite

OTHER = "f" * 40
KEYS = [("org/tags", "de_y", "test"), ("org/tags", "en_x", "test"), ("org/tags", "en_x", "train")]
GOLD = [
    ("de", 2, '{"example":[0,1],"gold":[[1,0],[1]],"scored":[[true,true],[true]]}'),
    ("en", 1, '{"example":[0],"gold":[[1,0]],"scored":[[true,true]]}'),
]
"""Language, test examples and what their digest is of, by hand from the rows below: the task calls verbs 0, nouns 1."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_rows(folder, "en_x", "train", [row("dogs bark", [0, 2]), row("cats , sleep", [0, 1, 2])])
    write_rows(folder, "en_x", "test", [row("birds sing", [0, 2])])
    write_rows(folder, "de_y", "test", [row("Hunde bellen", [0, 2]), row("Katzen", [0])])
    return folder


@pytest.fixture
def world(tmp_path: Path, small_checkpoint: Path) -> World:
    """A suite that reads `org/tags`, and embedded pairs."""
    suite = write_suite(tmp_path / "world", tasks=["tags"], target_languages=["de"], seeds=[3])
    write_task(suite)
    return World(tmp_path / "world", suite, small_checkpoint)


def write_task(suite: Path, **source: Any) -> None:
    task = make_task(source={"kind": "hub", "dataset": "org/tags"} | source)
    write_yaml(suite.parent / "tags.yaml", task.model_dump(mode="json"))


def validate(world: World, root: Path) -> Ran:
    return command("validate", world.suite, "--data-root", root)


def lock_of(world: World) -> Path:
    return world.folder / "small.lock.yaml"


def files_digest(root: Path, key: tuple[str, str, str]) -> str:
    """By hand: sha256 over the canonical JSON of the files' sha256s and of what the card says of the labels."""
    dataset, config, split = key
    content = (root / dataset / config / f"{split}-00000-of-00001.parquet").read_bytes()
    return hashlib.sha256(f'{{"files":["{hashlib.sha256(content).hexdigest()}"],"info":null}}'.encode()).hexdigest()


def lock_text(root: Path, revision: str | None = None, **changed: str) -> str:
    lines = ["# By hand.", "splits:"]
    for key in KEYS:
        sha256 = changed.get(f"{key[1]}_{key[2]}", files_digest(root, key))
        lines.append(
            f"- {{dataset: {key[0]}, config: {key[1]}, split: {key[2]}, "
            f"revision: {revision or 'null'}, sha256: {sha256}}}"
        )
    lines.append("gold:")
    for language, count, content in GOLD:
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        lines.append(f"- {{task: tags, language: {language}, examples: {count}, sha256: {sha256}}}")
    return "\n".join(lines) + "\n"


def entries(text: str) -> str:
    """A lock without the comments at its head."""
    return text[text.index("splits:") :]


def fetch(world: World, root: Path, *more: object) -> Ran:
    return command("fetch", "--suite", world.suite, "--data-root", root, *more)


def dry_run(world: World, root: Path, *more: object) -> Ran:
    return world.evaluate("--data-root", root, "--dry-run", *more)


def keys(planned: Ran) -> list[str]:
    return [stage["key"] for stage in json.loads(planned.out)["stages"]]


# --- below a data root --------------------------------------------------------------------------------------------


def test_writing_a_lock_again_gives_the_same_bytes_and_keeps_its_comments(world: World, root: Path) -> None:
    ran = fetch(world, root, "--write-lock")
    assert (ran.status, ran.err) == (0, "")
    first = lock_of(world).read_text()
    assert entries(first) == entries(lock_text(root))
    assert fetch(world, root, "--write-lock").status == 0
    assert lock_of(world).read_text() == first
    for revision in (None, COMMIT):  # local files know no commit; the lock's stays while they do
        lock_of(world).write_text(lock_text(root, revision))
        assert fetch(world, root, "--write-lock").status == 0
        assert lock_of(world).read_text() == lock_text(root, revision)
    assert [p.name for p in world.folder.iterdir() if p.name.endswith(".tmp")] == []


def test_development_data_are_locked_and_fetched_too(world: World, root: Path) -> None:
    task = make_task(source={"kind": "hub", "dataset": "org/tags"}, development_split="validation")
    write_yaml(world.suite.parent / "tags.yaml", task.model_dump(mode="json"))
    for config in ("en_x", "de_y"):
        write_rows(root, config, "dev", [row("dogs bark", [0, 2])])
    ran = fetch(world, root, "--write-lock")
    assert (ran.status, ran.err) == (0, "")
    lock = lock_of(world).read_text()
    assert lock.count("split: dev") == 2 and lock.count("dataset:") == 5
    write_rows(root, "de_y", "dev", [row("Hunde bellen", [0, 2])])
    ran = fetch(world, root)
    assert ran.status == 2 and ran.err.count("\n") == 1 and "org/tags/de_y/dev has the sha256" in ran.err
    assert dry_run(world, root).status == 0  # an ordinary evaluation reads other data
    ran = dry_run(world, root, "--development")
    assert ran.status == 2 and "org/tags/de_y/dev has the sha256" in ran.err


def test_gold_that_is_named_twice_is_refused(world: World, root: Path) -> None:
    text = lock_text(root)
    lock_of(world).write_text(text + text.splitlines()[-1] + "\n")
    ran = fetch(world, root)
    assert ran.status == 2 and "gold names tags en more than once; keep one" in ran.err


def test_what_agrees_is_verified_and_runs(world: World, root: Path) -> None:
    without = keys(dry_run(world, root, "--json"))
    lock_of(world).write_text(lock_text(root))
    ran = fetch(world, root, "--json")
    assert (ran.status, ran.err) == (0, "")
    splits = json.loads(ran.out)["splits"]
    assert [(s["dataset"], s["config"], s["split"]) for s in splits] == KEYS
    assert [s["sha256"] for s in splits] == [files_digest(root, key) for key in KEYS]
    assert {(s["state"], s["revision"], s["files"]) for s in splits} == {("verified", None, 1)}
    assert "org/tags" in fetch(world, root).out
    assert keys(dry_run(world, root, "--json")) == without  # a placeholder changes no key


def test_a_flipped_byte_is_refused_with_the_lock_s_line(world: World, root: Path) -> None:
    lock_of(world).write_text(lock_text(root))
    file = root / "org" / "tags" / "en_x" / "test-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    before = files_digest(root, KEYS[1])
    file.write_bytes(content)
    for ran in (dry_run(world, root), fetch(world, root)):
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith(
            f"error: {lock_of(world)}:4: org/tags/en_x/test has the sha256 {files_digest(root, KEYS[1])} "
            f"and not the lock's {before}; fetch the data again, or"
        )
        assert ran.err.count("\n") == 1
    assert f"{lock_of(world)}:4: org/tags/en_x/test has the sha256" in validate(world, root).err


def test_all_problems_are_told_together(world: World, root: Path) -> None:
    lock_of(world).write_text(lock_text(root, de_y_test="0f" * 32, en_x_train="1f" * 32))
    (root / "org" / "tags" / "en_x" / "test-00000-of-00001.parquet").unlink()
    ran = fetch(world, root)
    assert ran.status == 2
    lines = ran.err.splitlines()
    assert len(lines) == 3
    assert [("small.lock.yaml:3" in ran.err), ("small.lock.yaml:5" in ran.err)] == [True, True]
    assert any("unknown split of" in line and "'test'" in line for line in lines)


def test_a_split_that_the_lock_lacks_is_told_with_the_remedy(world: World, root: Path) -> None:
    lock_of(world).write_text(
        "".join(line for line in lock_text(root).splitlines(keepends=True) if "split: train" not in line)
    )
    for ran in (dry_run(world, root), fetch(world, root), validate(world, root)):
        assert ran.status == 2
        assert f"{lock_of(world)}: has no line for org/tags/en_x/train, which the suite reads" in ran.err
        assert "--write-lock" in ran.err


def test_the_lock_s_commit_is_the_suite_s(world: World, root: Path) -> None:
    def digest() -> str:
        options = Options(suite=str(world.suite), checkpoint=str(world.checkpoint), data_root=root, device="cpu")
        request = prepare(options).request
        sources = [task.source for task in (*request.loaded.tasks, *request.tasks)]
        assert {getattr(source, "revision", None) for source in sources} == {expected}
        return digest_suite(request.suite, request.loaded.tasks, request.loaded.corpora)

    expected: str | None = None
    plain = digest()
    lock_of(world).write_text(lock_text(root))
    assert digest() == plain
    lock_of(world).write_text(lock_text(root, COMMIT))
    expected = COMMIT
    pinned = digest()
    assert pinned != plain
    lock_of(world).unlink()
    write_task(world.suite, revision=COMMIT)
    assert digest() == pinned


def test_a_contradiction_of_revisions_is_told(world: World, root: Path) -> None:
    lock_of(world).write_text(lock_text(root, COMMIT))
    for own, status in ((OTHER, 2), (COMMIT, 0), ("refs/convert/parquet", 0)):
        write_task(world.suite, revision=own)
        ran = dry_run(world, root)
        assert ran.status == status
        if status:
            assert f"{lock_of(world)}:3: pins 'org/tags' to the commit {COMMIT}, and 'tags' names" in ran.err
            assert OTHER in ran.err


def test_a_bad_lock_is_told_by_file_and_line(world: World, root: Path) -> None:
    lock_of(world).write_text(lock_text(root, de_y_test="12ab"))
    for ran in (dry_run(world, root), fetch(world, root), command("validate", lock_of(world))):
        assert ran.status == 2
        assert ran.err.startswith(f"error: {lock_of(world)}:3: splits.0.sha256: '12ab' is not allowed;")


def test_a_lock_is_of_a_whole_suite_and_where_one_can_write(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "leave out --task and --language" in fetch(world, root, "--write-lock", "--language", "de").err
    monkeypatch.setattr("xrealign_bench.fetch.os.access", lambda _, mode: mode != os.W_OK)
    ran = fetch(world, root, "--write-lock")
    assert ran.status == 2 and f"{lock_of(world)} can't be written to; copy" in ran.err


def test_embedded_data_need_no_lock() -> None:
    assert command("fetch", "--suite", "demo").status == 0
    assert "it needs no lock" in command("fetch", "--suite", "demo", "--write-lock").err


def test_doctor_counts(world: World, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = json.loads(command("doctor", "--store", tmp_path / "store", "--json").out)
    assert findings["data of demo"] == "no lock"
    assert findings["data of pos-lite-1.0"] == "52 splits: 0 pinned by commit, 52 by checksum only, 0 not pinned"
    text = lock_text(root).replace("org/tags, config: de_y", "org/more, config: de_y").splitlines()
    text[2] = text[2].replace("null", COMMIT)
    text[4] = text[4].rpartition("sha256")[0] + "sha256: null}"
    lock_of(world).write_text("\n".join(text) + "\n")
    monkeypatch.setattr(data_lock, "lock_file", lambda _: lock_of(world))
    findings = json.loads(command("doctor", "--store", tmp_path / "store", "--data-root", root, "--json").out)
    assert findings["data of pos-lite"] == (
        "3 splits: 1 pinned by commit, 1 by checksum only, 1 not pinned, 2 below the data root"
    )


# --- on the Hub ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(root: Path) -> Iterator[ThreadingHTTPServer]:
    with served(root) as server:
        yield server


@pytest.fixture
def online(hub: ThreadingHTTPServer, tmp_path: Path) -> Callable[..., Ran]:
    """Run a command in a fresh process: the Hub's client reads its settings when it is imported."""

    def run(*arguments: object, program: Sequence[str] = ()) -> Ran:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "XREALIGN"))}
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path / "home")}
        environment |= {"NO_PROXY": "127.0.0.1", "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, *(program or ["-m", "xrealign_bench"]), *map(str, arguments)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def downloads(hub: ThreadingHTTPServer) -> list[str]:
    return [a.rpartition("/")[0].rpartition("/")[2] + "/" + a.rpartition("/")[2].split("-")[0]
            for a in hub.asked if a.startswith("GET") and a.endswith(".parquet")]  # fmt: skip


def test_fetched_data_need_no_network_after(world: World, root: Path, hub: Any, online: Callable[..., Ran]) -> None:
    """Interrupted, and gone on with; locked; and evaluated with no question to the Hub."""
    lock_of(world).write_text(lock_text(root, COMMIT))
    hub.refused.add("en_x/test-00000-of-00001.parquet")
    ran = online("fetch", "--suite", world.suite)
    assert (ran.status, ran.out) == (2, "") and ran.err.count("\n") == 1
    assert "'org/tags' could not be fetched" in ran.err
    assert sorted(downloads(hub)) == ["de_y/test", "en_x/train"]
    hub.refused.clear()
    hub.asked.clear()
    ran = online("fetch", "--suite", world.suite)
    assert (ran.status, ran.err) == (0, "")
    assert downloads(hub) == ["en_x/test"]
    assert "`evaluate` can now run with --offline" in ran.out

    hub.asked.clear()
    ran = online(*world.arguments, "--recipe", "finetune-only", "--offline")
    assert ran.status == 0, ran.err
    assert hub.asked == []
    result = json.loads((world.result("finetune-only") / "result.json").read_bytes())
    assert {data["revision"] for data in result["data"]} == {COMMIT}
    assert {task["source"]["revision"] for task in result["tasks"]} == {COMMIT}


def test_what_came_from_the_hub_is_verified(world: World, root: Path, online: Callable[..., Ran]) -> None:
    lock_of(world).write_text(lock_text(root, COMMIT, en_x_train="2f" * 32))
    ran = online("fetch", "--suite", world.suite)
    assert ran.status == 2
    assert f"{lock_of(world)}:5: org/tags/en_x/train has the sha256 {files_digest(root, KEYS[2])} and not" in ran.err
    # Without a commit the checksum is of a copy, which the Hub's data need not be.
    lock_of(world).write_text(lock_text(root, en_x_train="2f" * 32))
    ran = online("fetch", "--suite", world.suite, "--json")
    assert [split["state"] for split in json.loads(ran.out)["splits"]] == ["verified", "verified", "not pinned"]


def test_lexicons_are_fetched_too(
    world: World, root: Path, tmp_path: Path, hub: Any, online: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an embedded corpus; the same server has German ones and no other."""
    url = f"http://127.0.0.1:{hub.server_port}/datasets/org/tags/resolve/{COMMIT}/{{source}}-{{target}}.txt"
    (root / "org" / "tags" / "en-de.txt").write_text("March\tMärz\n")
    write_suite(world.folder)
    write_yaml(world.folder / "pairs.yaml", CORPUS | {"lexicons": "muse", "lexicons_url": url})
    assets = partial(cached_assets_path, assets_dir=tmp_path / "home" / "assets")  # of the process that fetches
    monkeypatch.setattr("xrealign_bench.data.lexicon.cached_assets_path", assets)
    recipe = ["--recipe", "alignfreeze-full-lexicon", "--dry-run"]
    early = world.evaluate(*recipe)
    assert early.status == 2 and "the corpus 'pairs' are not on this machine; get them with" in early.err
    ran = online("fetch", "--suite", world.suite)
    assert (ran.status, ran.err) == (0, "")
    assert "lexicons of pairs: 1, 0.0 MB; none for sw, th" in ran.out
    planned = world.evaluate(*recipe, "--json", "--offline")
    assert planned.status == 0, planned.err
    assert [s["label"] for s in json.loads(planned.out)["stages"] if s["stage_type"] == "align"] == [
        "align en-de (lexicon)"
    ]


@pytest.mark.parametrize(("revision", "commit"), [(None, COMMIT), ("refs/convert/parquet", CONVERTED)])
def test_a_lock_is_written_from_the_hub(
    world: World, root: Path, online: Callable[..., Ran], revision: str | None, commit: str
) -> None:
    write_task(world.suite, revision=revision)
    ran = online("fetch", "--suite", world.suite, "--write-lock")
    assert (ran.status, ran.err) == (0, "")
    assert entries(lock_of(world).read_text()) == entries(lock_text(root, commit))
    ran = online("fetch", "--suite", world.suite, "--json")
    assert {(s["state"], s["revision"]) for s in json.loads(ran.out)["splits"]} == {("verified", commit)}


def test_data_of_no_pinned_commit_are_those_of_now(world: World, root: Path, online: Callable[..., Ran]) -> None:
    """So that the Hub's data and the copy that the checksum is of never stand on one board."""
    lock_of(world).write_text(lock_text(root))
    code = """
import sys
from pathlib import Path
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.results.result import digest_suite
for root in (None, sys.argv[3]):
    options = Options(suite=sys.argv[1], checkpoint=sys.argv[2], data_root=root and Path(root), device="cpu")
    request = prepare(options).request
    loaded = request.loaded
    print(loaded.tasks[0].source.revision, digest_suite(loaded.suite, loaded.tasks, loaded.corpora))
"""
    ran = online(world.suite, world.checkpoint, root, program=["-c", code])
    assert ran.status == 0, ran.err
    (commit, of_hub), (none, of_copy) = (line.split() for line in ran.out.splitlines())
    assert (commit, none) == (COMMIT, "None")
    assert of_hub != of_copy

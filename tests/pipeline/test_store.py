"""The store. Truth: counted executions, bytes on the disk, and hashes taken by hashlib in the test itself."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from xrealign_bench.errors import UserError
from xrealign_bench.pipeline.store import Entry, Store

KEY = hashlib.sha256(b"one").hexdigest()
OTHER = hashlib.sha256(b"two").hexdigest()

WORKER = """
import sys
from pathlib import Path
from xrealign_bench.pipeline.store import Store

def make(folder):
    with open(sys.argv[3], "a") as log:
        log.write("made\\n")
    (folder / "out.txt").write_text("half")
    print("inside", flush=True)
    if sys.stdin.read(1) == "":  # waits until the test lets it go on
        sys.exit("the test ended")
    (folder / "out.txt").write_text("whole")

store = Store(Path(sys.argv[1]))
entry = store.produce("realign", sys.argv[2], {"by": "worker"}, make)
print((entry.folder / "out.txt").read_text(), flush=True)
"""


def put(store: Store, key: str = KEY, text: str = "bytes", kind: str = "predict") -> Entry:
    def make(folder: Path) -> dict[str, float]:
        (folder / "below").mkdir()
        (folder / "below" / "a.bin").write_text(text)
        (folder / "b.json").write_text("{}")
        return {"flops": 12.0}

    return store.produce(kind, key, {"words": "ก"}, make)


class Worker:
    """Another process that runs `WORKER`; it ends when its standard input does."""

    def __init__(self, root: Path, log: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root), KEY, str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def line(self, stream: Literal["stdout", "stderr"]) -> str:
        """The next line that it says, awaited for a minute at most."""
        pipe = getattr(self.process, stream)
        assert select.select([pipe], [], [], 60)[0], f"nothing on {stream}"
        line: str = pipe.readline()
        return line

    def finish(self) -> tuple[str, str]:
        """Let it go on to its end; what it says until then."""
        return self.process.communicate("x", timeout=60)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Start workers on the store `tmp_path / "store"`; each making is a line in `tmp_path / "log"`."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(tmp_path / "store", tmp_path / "log"))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def leftovers(root: Path) -> list[Path]:
    return list((root / ".work").iterdir())


def test_an_entry_holds_its_files_and_says_what_it_is(tmp_path: Path) -> None:
    entry = put(Store(tmp_path))
    assert entry.folder == tmp_path / "predict" / KEY[:2] / KEY
    assert (entry.folder / "below/a.bin").read_text() == "bytes"
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    assert manifest["files"] == {
        "b.json": {"sha256": hashlib.sha256(b"{}").hexdigest(), "size": 2},
        "below/a.bin": {"sha256": hashlib.sha256(b"bytes").hexdigest(), "size": 5},
    }
    assert (manifest["kind"], manifest["key"], manifest["schema_version"]) == ("predict", KEY, 1)
    assert manifest["description"] == {"words": "ก"}
    assert manifest["costs"] == {"flops": 12.0}
    assert manifest["seconds"] >= 0
    assert entry.size == 7
    assert leftovers(tmp_path) == []


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    put(Store(tmp_path), text="first")
    again = put(Store(tmp_path), text="second")
    assert (again.folder / "below/a.bin").read_text() == "first"


def test_has_open_and_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has("predict", KEY)
    assert store.open("predict", KEY) is None
    with pytest.raises(UserError, match=r"predict \w{12} was removed from the store .* while it was needed"):
        store.read("predict", KEY)
    made = put(store)
    assert store.has("predict", KEY)
    assert not store.has("realign", KEY)
    assert store.read("predict", KEY) == made


def test_an_opened_entry_is_read_once_and_missed_when_another_process_removed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(Store(tmp_path))
    store = Store(tmp_path)
    first = store.open("predict", KEY)
    with monkeypatch.context() as patch:
        patch.setattr("xrealign_bench.pipeline.store.read_manifest", pytest.fail)
        assert store.read("predict", KEY) == first
    Store(tmp_path).prune()
    assert store.open("predict", KEY) is None


@pytest.mark.parametrize(("kind", "key"), [("../predict", KEY), ("predict", "../x"), ("predict", KEY[:-1])])
def test_names_that_would_leave_the_store_are_refused(tmp_path: Path, kind: str, key: str) -> None:
    with pytest.raises(ValueError, match="no kind and sha256"):
        Store(tmp_path).has(kind, key)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part")
def test_peak_memory_is_that_of_the_making(tmp_path: Path) -> None:
    def make(folder: Path, megabytes: int) -> None:
        (folder / "a").write_bytes(bytes(bytearray(os.urandom(1) * megabytes * 2**20))[:1])

    store = Store(tmp_path)
    large = store.produce("predict", KEY, {}, lambda folder: make(folder, 100)).manifest.peak_memory_bytes
    small = store.produce("predict", OTHER, {}, lambda folder: make(folder, 1)).manifest.peak_memory_bytes
    assert large is not None and small is not None
    assert large - small > 50 * 2**20


def _flip(folder: Path) -> None:
    (folder / "below/a.bin").write_text("bytez")


def _cut_file(folder: Path) -> None:
    (folder / "below/a.bin").write_text("byte")


def _remove_file(folder: Path) -> None:
    (folder / "b.json").unlink()


def _cut_manifest(folder: Path) -> None:
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(manifest[: len(manifest) // 2])


def _flip_manifest(folder: Path) -> None:
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace('"flops": 12.0', '"flops": 13.0'))


def _remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


Damaging = Callable[[Path], None]
DAMAGES: dict[Damaging, str] = {
    _flip: "below/a.bin has another checksum",
    _cut_file: "below/a.bin has 4 bytes instead of 5",
    _remove_file: "b.json: No such file",
    _cut_manifest: "manifest.json is cut off",
    _flip_manifest: "manifest.json has another checksum",
    _remove_manifest: "manifest.json: No such file",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_damage_is_found_told_and_made_good(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Damaging) -> None:
    damage(put(Store(tmp_path)).folder)
    store = Store(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert store.open("predict", KEY) is None
    assert [DAMAGES[damage] in record.message for record in caplog.records] == [True]
    assert not store.has("predict", KEY)
    assert (put(store).folder / "below/a.bin").read_text() == "bytes"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_verify_finds_damage_after_the_entry_was_opened(tmp_path: Path, damage: Damaging) -> None:
    store = Store(tmp_path)
    put(store, OTHER)
    damage(put(store).folder)
    assert [(d.kind, d.key, DAMAGES[damage] in d.problem) for d in store.verify()] == [("predict", KEY, True)]
    assert store.verify() == []
    assert [entry.manifest.key for entry in store.entries()] == [OTHER]


def test_an_entry_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    folder = put(Store(tmp_path)).folder
    content = json.loads((folder / "manifest.json").read_text())
    del content["sha256"]
    content["schema_version"] = 2
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    content["sha256"] = hashlib.sha256(canonical).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"schema version 2.*update xrealign-bench or choose another folder"):
        Store(tmp_path).open("predict", KEY)
    assert folder.is_dir()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_making_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def make(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise error

    store = Store(tmp_path)
    with pytest.raises(error):
        store.produce("predict", KEY, {}, make)
    assert leftovers(tmp_path) == []
    assert store.entries() == []
    put(store)


def test_a_making_that_leaves_no_file_or_a_link_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="left no file"):
        store.produce("predict", KEY, {}, lambda folder: None)
    with pytest.raises(ValueError, match="can't hold link"):
        store.produce("predict", KEY, {}, lambda folder: (folder / "link").symlink_to("/etc/hostname"))
    assert store.entries() == []


def test_two_processes_make_it_once_and_the_second_says_that_it_waits(
    tmp_path: Path, worker: Callable[[], Worker]
) -> None:
    first = worker()
    assert first.line("stdout") == "inside\n"
    second = worker()
    assert second.line("stderr") == f"waiting for another process that is making realign-{KEY[:12]}\n"
    assert first.finish() == ("whole\n", "")
    assert second.finish() == ("whole\n", "")
    assert (tmp_path / "log").read_text() == "made\n"


def test_four_processes_make_it_once(tmp_path: Path, worker: Callable[[], Worker]) -> None:
    first = worker()
    assert first.line("stdout") == "inside\n"
    others = [worker() for _ in range(3)]
    for other in others:
        assert other.line("stderr") == f"waiting for another process that is making realign-{KEY[:12]}\n"
    assert [one.finish()[0] for one in (first, *others)] == ["whole\n"] * 4
    assert (tmp_path / "log").read_text() == "made\n"
    assert leftovers(tmp_path / "store") == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_no_lock_and_no_half_entry(
    tmp_path: Path, worker: Callable[[], Worker], how: signal.Signals
) -> None:
    root = tmp_path / "store"
    killed = worker()
    assert killed.line("stdout") == "inside\n"
    during = Store(root)
    assert len(leftovers(root)) == 1, "work that is going on must not be removed"
    assert not during.has("realign", KEY)
    killed.process.send_signal(how)
    killed.process.communicate(timeout=60)
    assert len(leftovers(root)) == 1
    assert Store(root).open("realign", KEY) is None
    assert leftovers(root) == []
    assert worker().finish() == ("inside\nwhole\n", "")
    assert (tmp_path / "log").read_text() == "made\nmade\n"


def test_interrupted_work_does_not_reach_a_store_that_was_there_before(tmp_path: Path) -> None:
    """The process that waited for a killed one starts from an empty folder."""
    store = Store(tmp_path)
    work = tmp_path / ".work" / f"predict-{KEY}"
    work.mkdir()
    (work / "half").write_text("of another process")
    assert set(put(store).manifest.files) == {"b.json", "below/a.bin"}


def test_prune(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in (KEY, OTHER):
        put(store, key)
    put(store, KEY, kind="realign")
    (tmp_path / "notes" / "of" / "mine").mkdir(parents=True)
    assert store.size == 21
    assert store.prune(older_than=timedelta(hours=1)) == []
    assert [e.manifest.kind for e in store.prune(keep={("predict", KEY), ("predict", OTHER)})] == ["realign"]

    long_ago = 1_000_000_000
    for key in (KEY, OTHER):
        os.utime(store.read("predict", key).folder / "manifest.json", (long_ago, long_ago))
    store.read("predict", KEY)  # a use counts
    assert [e.manifest.key for e in store.prune(older_than=timedelta(days=30))] == [OTHER]

    assert [e.manifest.key for e in store.prune()] == [KEY]
    assert store.entries() == []
    assert store.size == 0
    assert (tmp_path / "notes" / "of" / "mine").exists()
    assert put(store).folder.is_dir()


def test_prune_leaves_what_another_process_works_on(tmp_path: Path, worker: Callable[[], Worker]) -> None:
    busy = worker()
    assert busy.line("stdout") == "inside\n"
    assert Store(tmp_path / "store").prune() == []
    assert busy.finish() == ("whole\n", "")


def test_a_root_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"store can't be written to \(Not a directory\); choose"):
        Store(tmp_path / "file" / "store")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_root_is_said_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"can't be written to \(Permission denied\)"):
        Store(tmp_path / "store")

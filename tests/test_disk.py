"""A disk that is full, folders that go away, processes that are killed while they write.

Truth: the result of a run that nothing disturbed, and what lies on the disk. A file that may not grow (RLIMIT_FSIZE) is
refused by the system in the same place as one on a full disk, whoever writes it.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.small import World, command, essence, killed, left_over, write_suite
from tests.test_cli import is_bad_input
from xrealign_bench import evaluation
from xrealign_bench.aligners import eflomal
from xrealign_bench.files import remove_temporary_files
from xrealign_bench.leaderboard import build as board
from xrealign_bench.models.trained_weights import save_weights
from xrealign_bench.pipeline import executor
from xrealign_bench.pipeline.stage import Stage, StageType, Workspace
from xrealign_bench.pipeline.stages import STAGES, Encode
from xrealign_bench.pipeline.store import Store

WorldMaker = Callable[..., World]
RECIPES = ("finetune-only", "alignfreeze-front")
QUICK = ("tokenise", "realign", "predict")
KINDS = [pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in get_args(StageType)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Bytes; Python ignores the signal, so that writing more is an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def expected(undisturbed: World) -> list[dict[str, Any]]:
    return [essence(undisturbed.result(recipe)) for recipe in RECIPES]


def copy_of(world: World, folder: Path) -> World:
    return replace(world, folder=Path(shutil.copytree(world.folder, folder)))


def patch_run(patch: pytest.MonkeyPatch, stage_type: StageType, around: Callable[[Callable[[], Any]], Any]) -> None:
    """Call `around` with the work of every stage of a type."""
    (stage_class,) = [stage for stage in STAGES if stage.stage_type == stage_type]
    real = stage_class.run

    def run(stage: Stage, workspace: Workspace) -> Any:
        return around(lambda: real(stage, workspace))  # type: ignore[arg-type]

    patch.setattr(stage_class, "run", run)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_in_a_stage(
    new_world: WorldMaker, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kind: StageType
) -> None:
    def full(run: Callable[[], Any]) -> Any:
        with files_of_at_most(100):
            return run()

    world = new_world()
    with monkeypatch.context() as patch:
        patch_run(patch, kind, full)
        ran = world.evaluate()
    label = {"finetune": "fine-tune", "encode": "encode pairs"}.get(kind, kind)
    assert is_bad_input(ran, f"^error: {label} .*File too large.*the same command goes on from", started=True)
    assert left_over(world.store, world.output) == []
    assert not list(world.output.rglob("result.json"))
    assert world.evaluate().status == 0
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_is_removed_in_the_middle(
    new_world: WorldMaker, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kind: StageType
) -> None:
    world = new_world()

    def removed(run: Callable[[], Any]) -> Any:
        shutil.rmtree(world.store)
        return run()

    with monkeypatch.context() as patch:
        patch_run(patch, kind, removed)
        ran = world.evaluate()
    assert is_bad_input(ran, "No such file or directory|was removed from the store", started=True)
    assert not list(world.output.rglob("result.json"))
    assert world.evaluate().status == 0
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected


def test_an_input_is_removed_before_it_is_read(new_world: WorldMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another process that prunes the store, after this one has seen the input there."""
    world = new_world()
    real = executor.run_stage

    def prune_first(stage: Any, *rest: Any) -> None:
        if isinstance(stage, Encode):
            assert Store(world.store).prune()
        real(stage, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(executor, "run_stage", prune_first)
        ran = world.evaluate()
    assert is_bad_input(ran, r"align \w{12} was removed from the store .*the same command makes it again", started=True)
    assert left_over(world.store, world.output) == []


FIRST_TIME = pytest.param(False, marks=pytest.mark.slow)


@pytest.mark.parametrize("before", [FIRST_TIME, True], ids=["first time", "again"])
@pytest.mark.parametrize("writer", ["collect", "write_comparison", "build", "draw_chart"])
def test_a_full_disk_while_results_are_written(
    undisturbed: World,
    expected: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writer: str,
    before: bool,
) -> None:
    world = copy_of(undisturbed, tmp_path / "world")
    for picture in world.output.rglob("*.png"):
        picture.unlink()  # or else it is not drawn again
    if not before:
        shutil.rmtree(world.output)
    old = {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}
    real = getattr(evaluation, writer)

    def full(*args: Any) -> Any:
        with files_of_at_most(100):
            return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, writer, full)
        patch.setattr(evaluation, "stored_comparison", lambda *_: None)  # or else it is not compared again
        ran = world.evaluate()
    assert is_bad_input(ran, rf"the results in {world.output}: File too large.*the same command writes", started=True)
    assert left_over(world.store, world.output) == []
    assert {path: path.read_bytes() for path in old} == old
    assert world.evaluate().status == 0
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected


def test_a_full_disk_in_another_command(undisturbed: World, tmp_path: Path) -> None:
    world = copy_of(undisturbed, tmp_path / "world")
    out = world.folder / "board"
    with files_of_at_most(100):
        ran = command("leaderboard", "build", world.output / "results", "--output", out)
    assert is_bad_input(ran, "^error: File too large")
    assert [path for path in out.rglob("*") if path.is_file()] == []
    assert board.build(world.output / "results", out)


def test_weights_that_can_not_be_written_are_an_error_of_the_system(tmp_path: Path) -> None:
    from torch import nn

    with pytest.raises(OSError, match=r"File too large.*w\.safetensors"), files_of_at_most(100):
        save_weights(nn.Linear(50, 50), tmp_path / "w.safetensors")


def test_links_that_are_cut_off_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program says nothing when the disk with the temporary files is full."""
    from tests.aligners.texts import text

    real = eflomal._read_links
    pairs = text(*[("a dog", "ein Hund"), ("a cat", "eine Katze")] * 4)
    for cut in (lambda written: written[:2], lambda written: written.split("\n", 1)[1]):

        def read(path: Path, cut: Callable[[str], str] = cut) -> Any:
            path.write_text(cut(path.read_text()))
            return real(path)

        monkeypatch.setattr(eflomal, "_read_links", read)
        with pytest.raises(eflomal.UserError, match=r"eflomal's output is cut off: is the disk of .* full\?"):
            eflomal.align_eflomal(pairs)


# --- killed while results are written ---------------------------------------------------------------------------------


def kill_when_written(name: str) -> None:
    """Kill this process when it has written the temporary file of a result, and not moved it to its name."""
    real = os.fsync

    def kill(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"{name}.{os.getpid()}.tmp"):
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = kill


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells the name of an open file")
@pytest.mark.parametrize(
    "name",
    [
        "comparison.json",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("result.json", "s.parquet", "README.md", ".png")),
    ],
)
def test_kill_9_while_results_are_written(new_world: WorldMaker, expected: list[dict[str, Any]], name: str) -> None:
    world = new_world()
    killed(world.arguments, lambda: kill_when_written(name))
    (left,) = left_over(world.store, world.output)
    assert name in left.name
    ran = world.evaluate()
    assert ran.status == 0
    assert "0 stages run, 12 found" in ran.err
    assert left_over(world.store, world.output) == []
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected


def test_only_temporary_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = os.getppid()
    gone = [f".result.json.{dead.pid}.tmp", f".{dead.pid}.tmp", f".a.{os.getpid()}.tmp", f".b.{10**30}.tmp"]
    stay = [f".result.json.{alive}.tmp", ".c.1.tmp", f"d.{dead.pid}.tmp", f".e.{dead.pid}", ".f.tmp", ".g.x.tmp", "h"]
    for name in gone + stay:
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    remove_temporary_files(tmp_path / "nowhere")


# --- folders that may only be read ------------------------------------------------------------------------------------


def as_another_user(work: Callable[[], Any]) -> str:
    """Call a function in a fork of this process, of a user who is not root, and return what it returns as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            said = str(work())
        except BaseException as error:
            said = repr(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("store", r"the store .*/store can't be written to \(Permission denied\); choose another folder for it"),
        ("output", r"the output folder .*/output/results can't be written to \(Permission denied\); choose another"),
    ],
)
def test_a_folder_that_may_only_be_read(small_checkpoint: Path, folder: str, message: str) -> None:
    """Its entries are whole, so nothing but the permission is in the way."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        place = Path(name)
        place.chmod(0o755)
        checkpoint = Path(shutil.copytree(small_checkpoint, place / "tiny"))
        for path in checkpoint.iterdir():
            path.chmod(0o644)  # safetensors writes for its own user alone
        world = World(place, write_suite(place, target_languages=["de"], seeds=[3]), checkpoint)
        for own in (world.store, world.output):
            own.mkdir()
            own.chmod(0o555 if own.name == folder else 0o777)

        def evaluate() -> bool:
            ran = world.evaluate()
            said = ran.err.splitlines()
            return (ran.status == 2 and len(said) == 1 and re.search(message, said[0]) is not None) or ran

        assert as_another_user(evaluate) == "True"
        assert list((place / folder).iterdir()) == []

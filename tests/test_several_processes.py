"""Commands in two processes, or four. Truth: the same command in one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.several import command_line, start
from tests.small import World, command, left_over, write_checkpoint, write_recipe, write_suite
from xrealign_bench import distributed
from xrealign_bench.errors import UserError
from xrealign_bench.pipeline.stage import Workspace
from xrealign_bench.pipeline.stages import Realign, Tokenise

WorldMaker = Callable[..., World]
RECIPES = ("finetune-only", "alignfreeze-front")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Its checkpoint has no dropout, whose draws depend on the number of processes."""
    checkpoint = write_checkpoint(tmp_path / "tiny")
    config = json.loads((checkpoint / "config.json").read_text())
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (checkpoint / "config.json").write_text(json.dumps(config | none))
    return World(tmp_path, write_suite(tmp_path, target_languages=["de", "sw"], seeds=[3]), checkpoint)


def arguments(world: World, *more: str) -> list[str]:
    return [*map(str, world.arguments), *more]


def scores(output: Path) -> dict[str, Any]:
    files = sorted(output.rglob("result.json"))
    assert [file.parent.name for file in files] == sorted(RECIPES)
    return {file.parent.name: json.loads(file.read_text())["scores"] for file in files}


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_an_evaluation_gives_the_scores_of_one_process_and_is_found_again(
    world: World, tmp_path: Path, count: int
) -> None:
    alone = world.evaluate()
    assert alone.status == 0, alone.err
    of_one = scores(world.output)
    two = ["--store", str(tmp_path / "stages"), "--output", str(tmp_path / "two")]
    ran = start(command_line, tmp_path / "said", *arguments(world, *two), processes=count)
    assert [one.status for one in ran] == [0] * count, ran
    assert scores(tmp_path / "two") == of_one
    assert ran[0].out == alone.out.replace(str(world.output), str(tmp_path / "two"))
    assert "17 stages run, 0 found in the store" in ran[0].err
    assert {(one.out, one.err) for one in ran[1:]} == {("", "")}
    assert left_over(tmp_path / "stages", tmp_path / "two") == []
    (result,) = (tmp_path / "two").rglob("alignfreeze-front/result.json")
    assert json.loads(result.read_text())["compute_settings"]["processes"] == count
    again = start(command_line, tmp_path / "said", *arguments(world, *two), processes=count)
    assert [one.status for one in again] == [0] * count
    assert again[0].out == ran[0].out and "0 stages run, 17 found in the store" in again[0].err
    printed = command("reproduce", result.parent).out.splitlines()[-1]
    assert f"torchrun --nproc-per-node {count} -m xrealign_bench evaluate --suite small" in printed


@pytest.mark.slow
def test_a_training_that_fails_is_told_once(world: World, tmp_path: Path) -> None:
    write_suite(tmp_path, target_languages=["de"], seeds=[3])
    wild = ["--recipe", str(write_recipe(tmp_path, name="wild", objective={"temperature": 1e-39}))]
    alone = world.evaluate("--store", tmp_path / "alone", *wild)
    ran = start(command_line, tmp_path / "said", *arguments(world, *wild))
    assert alone.status == 1
    assert [one.status for one in ran] == [1, 1]
    assert ran[0].err.splitlines()[1:] == alone.err.splitlines()[1:]  # the first line has an estimate of time
    assert ran[1].err == ""


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(["--suite", "nonesuch"], id="suite"),
        pytest.param(["--device", "gpu"], id="device", marks=pytest.mark.slow),
        pytest.param(["--limit", "0"], id="limit", marks=pytest.mark.slow),
    ],
)
def test_bad_input_is_told_once(world: World, tmp_path: Path, wrong: list[str]) -> None:
    alone = world.evaluate(*wrong)
    ran = start(command_line, tmp_path / "said", *arguments(world, *wrong))
    assert [one.status for one in ran] == [2, 2]
    assert ran[0].err.splitlines()[-1] == alone.err.splitlines()[-1] and ran[1].err == ""


def bad_in_the_second(*given: str) -> None:
    """The second process finds its share of the data to be bad."""
    real = Tokenise.run

    def run(stage: Tokenise, workspace: Workspace) -> Any:
        if not distributed.is_main_process():
            raise UserError("the data are bad")
        return real(stage, workspace)

    Tokenise.run = run  # type: ignore[method-assign]
    command_line(*given)


@pytest.mark.slow
def test_bad_data_that_the_second_process_finds_are_told_by_the_first(world: World, tmp_path: Path) -> None:
    ran = start(bad_in_the_second, tmp_path / "said", *arguments(world))
    assert [one.status for one in ran] == [2, 2]
    assert ran[0].err.splitlines()[-1] == "error: the data are bad" and ran[1].err == ""
    assert left_over(world.store, world.output) == []


def interrupted(whom: str, *given: str) -> None:
    """A signal in the middle of realignment, to all processes as from a terminal, or to one that is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    real = Realign.run

    def run(stage: Realign, workspace: Workspace) -> Any:
        def strike(done: int, total: int, note: str) -> None:
            if whom == "all":
                os.kill(os.getpid(), signal.SIGINT)
            elif not distributed.is_main_process():
                os.kill(os.getpid(), signal.SIGKILL)

        return real(stage, replace(workspace, progress=strike))

    Realign.run = run  # type: ignore[method-assign]
    command_line(*given)


@pytest.mark.slow
def test_ctrl_c_ends_all(world: World, tmp_path: Path) -> None:
    ran = start(interrupted, tmp_path / "said", "all", *arguments(world))
    assert [one.status for one in ran] == [130, 130]
    told = "interrupted; finished stages are stored. Run the same command again to resume"
    assert ran[0].err.splitlines()[-1] == told and ran[1].err == ""
    assert left_over(world.store, world.output) == []


@pytest.mark.slow
def test_where_one_is_killed_the_other_ends(world: World, tmp_path: Path) -> None:
    ran = start(interrupted, tmp_path / "said", "one", *arguments(world))
    assert [one.status for one in ran] == [2, -signal.SIGKILL]
    assert ran[0].err.splitlines()[-1].startswith("error: another of the 2 processes has ended. When the cause is")
    assert left_over(world.store, world.output) == []


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(["evaluate", "--dry-run"], id="dry run"),
        pytest.param(["doctor"], id="doctor", marks=pytest.mark.slow),
        pytest.param(["--help"], id="help", marks=pytest.mark.slow),
    ],
)
def test_what_computes_nothing_is_printed_once(world: World, tmp_path: Path, more: list[str]) -> None:
    given = arguments(world, "--dry-run") if more[0] == "evaluate" else more
    ran = start(command_line, tmp_path / "said", *given)
    assert [one.status for one in ran] == [0, 0]
    assert ran[0].out and ran[1].out == ran[1].err == ""

"""Reruns of results. Truth: the stored result, and one that was tampered with."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small import Ran, World, command, essence, forge, write_checkpoint, write_recipe
from xrealign_bench.pipeline.store import Store
from xrealign_bench.results.storage import read_result

Finished = tuple[World, Ran]
RECIPE = "alignfreeze-front"


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0].result(RECIPE), tmp_path / "result"))


def change(folder: Path, edit: Callable[[Any], object]) -> None:
    forge(folder / "result.json", edit)


def verify(world: World, result: Path, *more: object) -> Ran:
    places = ["--checkpoint", world.checkpoint, "--suite", world.suite, "--store", result.parent / "again"]
    return command("verify", result, *places, "--device", "cpu", *more)


def test_a_result_computed_again_is_equal(finished: Finished, copied: Path) -> None:
    world = finished[0]
    ran = verify(world, copied, "--seed", 7)
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1] == "equal"
    kinds = [entry.manifest.kind for entry in Store(copied.parent / "again").entries()]
    assert (kinds.count("realign"), kinds.count("finetune"), kinds.count("predict")) == (1, 1, 4)  # no baseline
    scores = [s for s in read_result(copied).scores if s.seed == 7 and s.language != "en"]
    mean = 100 * sum(s.metrics["accuracy"] or 0 for s in scores) / len(scores)
    assert f"{mean:.2f}" in ran.out
    again = verify(world, copied, "--seed", 7)
    assert "0 stages run" in again.err and again.status == 0


def test_a_baseline_is_computed_again_too(finished: Finished, tmp_path: Path) -> None:
    ran = verify(finished[0], Path(shutil.copytree(finished[0].result("finetune-only"), tmp_path / "result")))
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1] == "equal"


def test_a_score_that_is_not_computed_again_is_found(finished: Finished, copied: Path) -> None:
    """With the same compute settings, the tolerance does not apply."""

    def better(content: Any) -> None:
        score = next(s for s in content["scores"] if (s["language"], s["seed"]) == ("sw", 3))
        score["metrics"]["accuracy"] += 0.001

    change(copied, better)
    ran = verify(finished[0], copied, "--tolerance", 50)
    assert ran.status == 2
    assert "-0.10 (sw)" in ran.out
    assert "seed 3 computed again is not what is stored" in ran.err


@pytest.mark.parametrize(("points", "status"), [(0.4, 0), (4, 2)])
def test_on_another_machine_the_means_must_agree(finished: Finished, copied: Path, points: float, status: int) -> None:
    def elsewhere(content: Any) -> None:
        content["compute_settings"]["threads"] = 77
        for score in content["scores"]:
            score["metrics"]["accuracy"] += points / 100

    change(copied, elsewhere)
    ran = verify(finished[0], copied)
    assert ran.status == status, ran.err
    assert "threads: 77 in the result" in ran.err
    assert ("within 1.0 points" in ran.out) == (status == 0)


def test_what_is_not_of_the_result_is_refused(finished: Finished, copied: Path, tmp_path: Path) -> None:
    world = finished[0]
    other = write_checkpoint(tmp_path / "other", seed=5)
    ran = verify(world, copied, "--checkpoint", other)
    assert ran.status == 2 and "its weights (" in ran.err and "name the right one with --checkpoint" in ran.err
    ran = command("verify", copied, "--suite", world.suite)
    assert ran.status == 2 and "its checkpoint was a folder called 'tiny'; name it with --checkpoint" in ran.err
    ran = verify(world, copied, "--seed", 8)
    assert ran.status == 2 and "has no seed 8; its seeds are 3, 7" in ran.err
    change(copied, lambda content: content.update(suite_digest="0" * 64))
    ran = verify(world, copied)
    assert ran.status == 2 and "is not that of" in ran.err and "name the suite's file with --suite" in ran.err
    assert not (tmp_path / "again").exists() or not list(Store(tmp_path / "again").entries())


def test_the_command_that_is_printed_gives_the_result(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world(target_languages=["de", "sw"], seeds=[3, 7])
    given = ["--recipe", RECIPE, "--language", "sw", "--seed", "7", "--limit", "9", "--precision", "bf16"]
    assert world.evaluate(*given, "--gradient-checkpointing").status == 0
    folder = next(path for path in world.output.rglob("alignfreeze-front*") if (path / "result.json").is_file())
    ran = command("reproduce", folder)
    assert ran.status == 0
    suite, remark, costs, install, line = ran.out.splitlines()
    result = read_result(folder)
    flops = sum(stage.flops or 0 for stage in result.stages)
    assert suite.startswith(f"# suite {result.suite.id}: not shipped with this installation; name its YAML file with")
    assert costs.startswith(f"# its {len(result.stages)} stages took ")
    assert costs.endswith(f", about {flops:.2g} floating-point operations") and flops > 0
    assert remark == f"# checkpoint tiny: a folder with weights of sha256 {result.checkpoint.weights_sha256}"
    assert f"torch=={result.packages['torch']}" in install and f"xrealign-bench=={result.harness_version}" in install
    threads, program, *words = shlex.split(line)
    assert (threads, program) == (f"OMP_NUM_THREADS={result.known_compute_settings.threads}", "xrealign-bench")
    words[words.index("small.yaml")] = str(world.suite)
    words[words.index("tiny")] = str(world.checkpoint)
    ran = command(*words, "--output", tmp_path / "o", "--store", tmp_path / "s")
    assert ran.status == 0, ran.err
    again = tmp_path / "o" / folder.relative_to(world.output)
    first, second = essence(folder), essence(again)
    assert first == second


def test_a_recipe_of_ones_own_is_named(new_world: Callable[..., World]) -> None:
    world = new_world()
    assert world.evaluate("--recipe", write_recipe(world.folder)).status == 0
    ran = command("reproduce", world.result("mine"))
    assert "# recipe mine: not shipped with this installation; name its YAML file with --recipe, or write it" in ran.out

"""Development data. Truth: languages and splits listed by hand, and the stages of an ordinary evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.hub_folder import TASK, row, write_rows
from tests.small import World, command, write_suite, write_yaml
from xrealign_bench.data.loaded_suite import development_part, load_suite
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.results.storage import read_result
from xrealign_bench.submit.result_checks import result_problems

WorldMaker = Callable[..., World]


@pytest.fixture
def world(new_world: WorldMaker) -> World:
    return new_world()


@pytest.fixture
def further(new_world: WorldMaker) -> World:
    """The small suite with a development language, which its task has and its boards don't show."""
    return new_world(development_languages=["fr"])


def test_a_result_on_development_data_stands_on_no_board(further: World, caplog: pytest.LogCaptureFixture) -> None:
    ran = further.evaluate("--development")
    assert ran.status == 0, ran.err
    assert "none: results on development data never stand on a board" in ran.out
    folder = further.result("alignfreeze-front", "small-1.0-development")
    result = read_result(folder)
    assert {score.language for score in result.scores} == {"en", "fr"}
    assert result.suite.is_development and result.suite.target_languages == ["fr"]
    assert [path.name for path in further.output.iterdir() if path.name != "results"] == ["small-1.0-development"]
    assert "was scored on development data, to choose a recipe; evaluate it without --development" in list(
        result_problems(folder, result, result.recipe)
    )
    assert " --development " in command("reproduce", folder).out
    again = command("verify", folder, "--suite", further.suite, "--checkpoint", further.checkpoint, "--device", "cpu",
                    "--store", further.folder / "again")  # fmt: skip
    assert (again.status, again.out.splitlines()[-1]) == (0, "equal"), again.err

    assert further.evaluate().status == 0
    built = command("leaderboard", "build", further.output / "results")
    assert built.status == 0
    assert "2 results on development data or of checkpoints in memory are left out" in caplog.text
    boards = [path.parent.name for path in further.output.glob("*/leaderboard.json")]
    assert boards == ["small-1.0"]


def test_the_score_is_that_of_the_language_in_a_suite_that_targets_it(further: World) -> None:
    asked = {"checkpoint": str(further.checkpoint), "seeds": [3], "device": "cpu", "recipes": ["finetune-only"]}
    development = prepare(Options(suite=str(further.suite), development=True, **asked))  # type: ignore[arg-type]
    target = write_suite(further.folder / "other", target_languages=["fr"])
    plain = prepare(Options(suite=str(target), **asked))  # type: ignore[arg-type]
    assert list(development.stages) == list(plain.stages)


def test_a_development_split_takes_the_place_of_the_test_split(world: World, tmp_path: Path) -> None:
    root = tmp_path / "hub"
    for config, splits in {"en_x": ("train", "test"), "de_y": ("validation",), "fr_z": ("test",)}.items():
        for split in splits:
            write_rows(root, config, split, [row(f"{split} word", [0, 2])] * 3)
    write_yaml(
        world.folder / "tags.yaml",
        TASK
        | {"configs": {"en": "en_x", "fr": "fr_z"}}
        | {"also": [{"source": dict(TASK["source"]), "configs": {"de": "de_y"}, "development_split": "validation"}]},
    )
    suite = write_suite(world.folder, tasks=["tags"], target_languages=["de", "sw"], development_languages=["fr"])
    options = Options(
        suite=str(suite), checkpoint=str(world.checkpoint), recipes=["finetune-only"], data_root=root, device="cpu",
        development=True,
    )  # fmt: skip
    plan = prepare(options)
    assert plan.request.languages == ["de", "fr"]
    read = {language: stage.settings.task.test_split for (_, language), stage in plan.tokenised().items()}
    assert read == {"en": "test", "de": "validation", "fr": "test"}


def test_the_whole_development_part() -> None:
    loaded = load_suite("demo")
    assert development_part(loaded) is None
    suite = loaded.suite.model_copy(update={"development_languages": ["xx"]})
    assert development_part(type(loaded)("demo", suite, loaded.tasks, loaded.corpora, None)) is None


def test_a_suite_without_development_data_is_refused(world: World) -> None:
    ran = world.evaluate("--development")
    assert ran.status == 2
    assert ran.err == (
        "error: --development: suite 'small' has no development data. Give its tasks a development_split, or the suite "
        "development_languages\n"
    )


def test_a_language_of_the_board_is_no_development_language(world: World) -> None:
    write_suite(world.folder, development_languages=["fr", "sw"])
    ran = world.evaluate("--dry-run")
    assert ran.status == 2
    assert "development_languages names sw, which its boards show; remove it" in ran.err


def test_freeze_search_chooses_on_development_data(further: World) -> None:
    arguments = ["freeze-search", "--pattern", "second", *further.arguments[1:], "--dry-run", "--json"]
    ran = command(*arguments)
    assert ran.status == 0, ran.err
    labels = [stage["label"] for stage in json.loads(ran.out)["stages"]]
    assert {label.split()[2] for label in labels if label.startswith("predict ")} == {"en", "fr"}
    assert "test sets" not in ran.err


def test_freeze_search_says_that_it_chooses_on_test_sets(world: World) -> None:
    ran = command("freeze-search", "--pattern", "second", *world.arguments[1:], "--dry-run", "--json")
    assert ran.status == 0 and "patterns are compared on its test sets" in ran.err

"""Mistakes in specs and options. Truth: the mistakes made here, and the sentences that people should read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.small import CORPUS, SUITE, TARGETS, TASK, World, command, write_recipe, write_suite, write_yaml
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs import Corpus, Lock, Recipe, Suite, Task
from xrealign_bench.specs.yaml import guess_type

WorldMaker = Callable[..., World]
HUB = {"kind": "hub", "dataset": "me/pairs"}
RETRIEVAL: dict[str, Any] = {
    "name": "phrases", "title": "A few phrases", "licence": "none", "task_type": "retrieval", "text_language": "fr",
    "source": HUB, "configs": {code: code for code in TARGETS}, "columns": {"text": "fr", "text_pair": "x"},
}  # fmt: skip


class Case(NamedTuple):
    """A recipe on a suite with one mistake, and its message, in which {folder} is the folder of the files."""

    message: str
    recipe: dict[str, Any] = {}
    suite: dict[str, Any] = {}
    task: dict[str, Any] = TASK
    corpus: dict[str, Any] = CORPUS


COMBINATIONS = {
    "lexicon": Case(
        "recipe 'mine': the corpus 'pairs' has no lexicons; set 'lexicons' in it or choose another aligner than "
        "'lexicon'",
        recipe={"aligner": "lexicon"},
        corpus={key: value for key, value in CORPUS.items() if key != "lexicons"},
    ),
    "gold": Case(
        "recipe 'mine': the corpus 'pairs' has no gold word alignment; choose another aligner than 'gold'",
        corpus=CORPUS | {"source": HUB},
    ),
    "aligner": Case(
        "{folder}/mine.yaml:1: aligner: unknown aligner 'golden'; did you mean gold? Known: eflomal, "
        "fast-align, gold, lexicon, similarity",
        recipe={"aligner": "golden"},
    ),
    "aligner of the suite": Case(
        "{folder}/small.yaml:13: parallel.aligner: unknown aligner 'golden'; did you mean gold? "
        "Known: eflomal, fast-align, gold, lexicon, similarity",
        suite={"parallel": {"corpus": "pairs", "aligner": "golden"}},
    ),
    "corpus": Case(
        "{folder}/mine.yaml:6: parallel.corpus: unknown corpus 'pears'; known: cldr, nllb, nllb-2, ntrex, "
        "ntrex-first-1000, opus-100, opus-100-2, tico19-first-971. There is no {folder}/pears.yaml either; put your "
        "own corpus there",
        recipe={"parallel": {"corpus": "pears"}},
    ),
    "source language": Case(
        "recipe 'mine': parallel.languages names the suite's source language 'en', which every other one is aligned "
        "with; remove it",
        recipe={"parallel": {"languages": ["de", "en"]}},
    ),
    "language of the recipe": Case(
        "{folder}/mine.yaml:8: parallel.languages.1: unknown language 'qqq'; `xrealign-bench list languages` shows all "
        "297",
        recipe={"parallel": {"languages": ["de", "qqq"]}},
    ),
    "language of the suite": Case(
        "{folder}/small.yaml:20: target_languages.1: unknown language of the tasks phrases: 'fi'; "
        "known: de, en, fr, sw, th",
        suite={"target_languages": ["de", "fi"]},
    ),
    "language of the task": Case(
        "{folder}/phrases.yaml:7: configs.deu: the language 'deu' is called 'de' here; write that",
        task=TASK | {"configs": TASK["configs"] | {"deu": "de"}},
    ),
    "retrieval": Case(
        "task 'phrases' reads translations of 'fr', and the source language of the suite 'small' is 'en'; choose "
        "another task",
        task=RETRIEVAL,
    ),
    "joint": Case(
        "recipe 'mine' realigns during fine-tuning and the task 'phrases' has none; leave one of them out",
        recipe={"schedule": {"when": "during"}},
        task=RETRIEVAL | {"text_language": "en"},
    ),
    "attention": Case(
        "recipe 'mine' makes a decoder's attention bidirectional, and the checkpoint tiny is not a decoder; use "
        "the same recipe without 'attention'",
        recipe={"attention": "bidirectional"},
    ),
    "block": Case(
        "recipe 'mine': freeze.blocks names block 17, but the model has 4: 0 to 3, from the bottom",
        recipe={"freeze": {"blocks": [17]}},
    ),
    "name": Case(
        "{folder}/mine.yaml:4: name: is 'yours', but the file is called mine.yaml; give both the same name",
        recipe={"name": "yours"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_validate_the_plan_and_evaluate_say_the_same(case: Case, new_world: WorldMaker) -> None:
    world = new_world(**{"target_languages": TARGETS, **case.suite})
    write_yaml(world.folder / "phrases.yaml", case.task)
    write_yaml(world.folder / "pairs.yaml", case.corpus)
    recipe = write_recipe(world.folder, **case.recipe).rename(world.folder / "mine.yaml")
    runs = [
        command("validate", recipe, "--suite", world.suite, "--checkpoint", world.checkpoint),
        world.evaluate("--recipe", recipe, "--dry-run"),
        world.evaluate("--recipe", recipe),
    ]
    said = f"error: {case.message.format(folder=world.folder)}\n"
    assert [(ran.status, ran.err) for ran in runs] == [(2, said)] * 3
    assert not world.output.exists() and Store(world.store).entries() == []


def test_a_mask_that_the_tokenizer_lacks_is_told_before_anything_runs(new_world: WorldMaker) -> None:
    world = new_world()
    checkpoint = shutil.copytree(world.checkpoint, world.folder / "maskless")
    settings = checkpoint / "tokenizer_config.json"
    fields = json.loads(settings.read_text())
    del fields["mask_token"]
    settings.write_text(json.dumps(fields))
    said = (
        "error: recipe 'placebo-continued-pretraining': its method 'continued_pretraining' puts a mask token in the "
        "place of words, and the tokenizer of the checkpoint maskless has none; use another recipe or checkpoint\n"
    )
    maskless = World(world.folder, world.suite, checkpoint)
    for more in (["--dry-run"], []):
        ran = maskless.evaluate("--recipe", "placebo-continued-pretraining,alignfreeze-full", *more)
        assert (ran.status, ran.err) == (2, said)
    assert not world.output.exists() and Store(world.store).entries() == []


def test_every_file_of_a_suite_is_checked_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, source_language="eng", seeds=[], tasks=["phrases", "nonesuch"])
    write_yaml(tmp_path / "phrases.yaml", TASK | {"metric": "bleu", "name": "phrase"})
    write_yaml(tmp_path / "pairs.yaml", CORPUS | {"codes": {"deu": "ger"}})
    (tmp_path / "small.lock.yaml").write_text("splits: 3\n")
    ran = command("validate", suite)
    starts = [
        "small.yaml:15: seeds: a list of 0",
        "small.yaml:16: source_language: the language 'eng' is called 'en' here",
        "phrases.yaml:25: metric: 'bleu' is not allowed",
        "phrases.yaml:26: name: is 'phrase', but the file is called phrases.yaml",
        "small.yaml:23: tasks.1: unknown task 'nonesuch'",
        "pairs.yaml:2: codes.deu: the language 'deu' is called 'de' here",
        "small.lock.yaml:1: splits: '3' is not allowed",
    ]
    lines = ran.err.removeprefix("error: ").replace(f"{tmp_path}/", "").splitlines()
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_every_option_is_checked(tmp_path: Path) -> None:
    wrong = "--language qq,xx --seed x --limit 0 --recipe nope,no --suite nowhere --checkpoint /nowhere --device gpu"
    ran = command(
        "evaluate", *wrong.split(), "--address", "auto", "--output", tmp_path / "o", "--store", tmp_path / "s"
    )
    starts = [
        "invalid value for '--seed': 'x' is not a valid integer range; see `xrealign-bench evaluate --help`",
        "invalid value for '--limit': 0 is not in the range x>=1; see `xrealign-bench evaluate --help`",
        "--address auto is about a Ray cluster; add --executor ray",
        "unknown recipe 'nope'; ",
        "unknown recipe 'no'; ",
        "unknown suite 'nowhere'; ",
        "unknown language 'qq'; ",
        "unknown language 'xx'; ",
        "'gpu' is no device; write cpu, cuda, cuda:1 or mps",
        "checkpoint /nowhere: there is no such folder",
    ]
    lines = ran.err.removeprefix("error: ").splitlines()
    assert (ran.status, [line[: len(start)] for line, start in zip(lines, starts, strict=True)]) == (2, starts)
    assert not (tmp_path / "o").exists() and Store(tmp_path / "s").entries() == []


def test_each_unknown_name_of_a_list_is_told() -> None:
    ran = command(
        "evaluate", "--language", "qq,xx,el,en", "--task", "a,cldr-phrases,b", "--seed", "31,7", "--device", "cpu"
    )
    lines = [line.split("; ")[0] for line in ran.err.removeprefix("error: ").splitlines()]
    assert lines[:2] == ["unknown language 'qq'", "unknown language 'xx'"]
    assert lines[2] == "unknown target language in this suite: 'en'"
    assert lines[3:5] == ["unknown task in this suite: 'a'", "unknown task in this suite: 'b'"]
    assert lines[5].startswith("--seed 7: is none of the suite's seeds") and len(lines) == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recipe", "demo"], "'demo' is a suite; give it to --suite"),
        (["--recipe", "{}/small.yaml"], "{}/small.yaml: is a suite; give it to --suite"),
        (
            ["--recipe", "{}/pairs.yaml"],
            "{}/pairs.yaml: is a parallel corpus; name it in a suite or recipe, under 'parallel'",
        ),
        (["--suite", "{}/mine.yaml"], "{}/mine.yaml: is a recipe; give it to --recipe"),
        (["--suite", "{}/phrases.yaml"], "{}/phrases.yaml: is a task; name it in a suite, under 'tasks'"),
        (["--suite", "full-lora"], "'full-lora' is a recipe; give it to --recipe"),
        (
            ["--recipe", "alignfreeze"],
            "'alignfreeze' is a suite; give it to --suite. Or did you mean the recipe alignfreeze-full or "
            "alignfreeze-back or alignfreeze-front?",
        ),
    ],
)
def test_a_spec_of_another_type_is_told_where_to_go(tmp_path: Path, options: list[str], said: str) -> None:
    write_suite(tmp_path)
    write_recipe(tmp_path)
    ran = command("evaluate", "--dry-run", "--device", "cpu", *(option.format(tmp_path) for option in options))
    assert (ran.status, ran.err) == (2, f"error: {said.replace('{}', str(tmp_path))}\n")


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({"name", "title", "licence", "source", "columns", "lexcons"}, Corpus),
        ({"name", "title", "licence", "source", "columns", "configs"}, Task),
        ({"name", "title", "licence", "source", "columns", "kind"}, Task),
        ({"name", "title"}, Recipe),
        ({"name", "title", "parallel", "seeds"}, Suite),
        ({"splits"}, Lock),
        ({"nonsense"}, Recipe),
        (set(), Recipe),
    ],
)
def test_the_type_of_a_file_is_guessed_from_its_fields(fields: set[str], model: type) -> None:
    assert guess_type(fields) is model


@pytest.mark.parametrize("model", ["recipe", "suite", "task", "corpus"])
def test_every_file_is_named_after_its_spec(tmp_path: Path, model: str) -> None:
    written = {"suite": write_suite(tmp_path), "recipe": write_recipe(tmp_path)}
    written |= {"task": tmp_path / "phrases.yaml", "corpus": tmp_path / "pairs.yaml"}
    path = written[model].rename(tmp_path / "other.yaml")
    name = yaml.safe_load(path.read_text())["name"]
    ran = command("validate", path)
    assert ran.status == 2
    said = f"name: is '{name}', but the file is called other.yaml; give both the same name"
    assert ran.err.splitlines()[0].split(": ", 2)[2] == said


def test_a_recipe_that_fits_is_good_on_a_suite(new_world: WorldMaker) -> None:
    world = new_world()
    recipe = write_recipe(world.folder)
    for more in ([], ["--checkpoint", world.checkpoint]):
        ran = command("validate", recipe, "--suite", world.suite, *more)
        assert (ran.status, ran.out, ran.err) == (0, f"{recipe}: a good recipe\n", "")
    ran = command("validate", recipe, "--checkpoint", "x")
    assert (ran.status, ran.err) == (2, "error: --checkpoint x: is checked together with a suite; add --suite\n")
    assert SUITE["name"] == world.suite.stem

"""The command line. Truth: exit statuses as documented, what files say, and bad input whose fault is known."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import xrealign_bench
from tests.data.hub_folder import TASK as HUB_TASK
from tests.data.hub_folder import row, write_rows
from tests.small import (
    CORPUS,
    RECIPE,
    SUITE,
    TASK,
    Ran,
    World,
    command,
    essence,
    left_over,
    write_recipe,
    write_suite,
    write_yaml,
)
from xrealign_bench import cli
from xrealign_bench.cli.lists import CATEGORIES
from xrealign_bench.cli.plans import _how_measured
from xrealign_bench.languages.inventory import inventory
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs import Recipe, Suite, Task, shipped_names

Finished = tuple[World, Ran]
WorldMaker = Callable[..., World]
NAMES = {
    "recipes": shipped_names(Recipe),
    "suites": shipped_names(Suite),
    "tasks": shipped_names(Task),
    "languages": list(inventory()),
    "methods": ["continued_pretraining", "sentence_contrastive", "word_contrastive"],
    "aligners": ["eflomal", "fast-align", "gold", "lexicon", "similarity"],
    "task-types": [
        "language_modelling",
        "prompted_classification",
        "question_answering",
        "retrieval",
        "sequence_classification",
        "token_classification",
        "translation",
    ],
}


def is_bad_input(ran: Ran, message: str, *, started: bool = False) -> bool:
    """Exit status 2 and one clear sentence, which says what it should; after a line or two if a run was started."""
    assert ran.status == 2, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    *before, last = ran.err.splitlines()
    assert last.startswith("error: ") and ran.err.count("error: ") == 1, ran.err
    assert bool(before) == started, ran.err
    assert re.search(message, last), ran.err
    return True


def nothing_half_written(world: World) -> bool:
    assert not list(world.output.rglob("result.json"))
    assert left_over(world.store, world.output) == []
    return True


# --- help ---------------------------------------------------------------------------------------------------------


def commands(group: click.Group = cli.cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name)


def examples(text: str) -> list[list[str]]:
    """The commands below 'Example:'; what two spaces set apart is a remark."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line.strip() for line in joined.splitlines() if re.match(" +xrealign-bench ", line)]
    return [shlex.split(re.split(r"\s{2,}", line)[0])[1:] for line in lines]


@pytest.fixture
def named_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that examples name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("hub", "my-encoder", "xrealign-output/results"):
        Path(folder).mkdir(parents=True)
    write_recipe(tmp_path, name="my-recipe")
    write_suite(tmp_path, name="my-suite")


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_help_has_examples_that_parse(path: tuple[str, ...], named_files: None) -> None:
    ran = command(*path, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Usage: ")
    if path in (("languages",), ("leaderboard",), ("cache",)):
        return  # groups: their commands have examples
    found = examples(ran.out)
    assert found
    for arguments in found:
        one: click.Command = cli.cli
        context = click.Context(cli.cli)
        while isinstance(one, click.Group):
            one = one.commands[arguments.pop(0)]
        context = one.make_context("example", list(arguments), parent=context)
        given = context.params
        for kind, names in (("recipes", given.get("recipes") or ()), ("suites", [given.get("suite") or "demo"])):
            assert all(name in NAMES[kind] or name.startswith("my-") for name in names)


def test_read_only_examples_run(named_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrealign_bench.languages.selection.EXACT_LIMIT", 10_000)  # no search of seconds
    for path in (["list"], ["show"], ["validate"], ["languages", "select"], ["languages", "subsets"]):
        for arguments in examples(command(*path, "--help").out):
            ran = command(*arguments)
            assert (ran.status, ran.err) == (0, ""), arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evalute", "unknown command 'evalute'; did you mean evaluate"),
        ("cache lst", "unknown command 'lst'; did you mean list"),
        ("list recipez", "unknown category 'recipez'; did you mean recipes"),
        ("evaluate --checkpont x", "unknown option '--checkpont'; did you mean --checkpoint"),
        ("evaluate --xyz x", "unknown option '--xyz'; `xrealign-bench evaluate --help` lists all"),
        ("evaluate --limit 0", "'--limit': 0 is not in the range x>=1; see `xrealign-bench evaluate --help`"),
        ("evaluate --seed 31,-1", "'--seed': -1 is not in the range"),
        ("evaluate --language de,", "'--language': 'de,' has an empty item"),
        ("languages select --n 2 --method urial", "'urial' is not one of 'uriel', "),
        ("languages select --n 0", "'--n': 0 is not in the range"),
        ("languages select", "missing option '--n'"),
        ("show recipe", "missing argument 'NAME'; see `xrealign-bench show --help`"),
    ],
)
def test_usage_errors_take_one_line_with_a_remedy(arguments: str, message: str) -> None:
    assert is_bad_input(command(*arguments.split()), re.escape(message))


def test_lists_are_repeated_or_comma_separated() -> None:
    given = []
    for written in ("--language de,sw --seed 31,42", "--language de --language sw --seed 31 --seed 42"):
        context = cli.cli.commands["evaluate"].make_context("evaluate", written.split())
        given.append((context.params["languages"], context.params["seeds"]))
    assert given == [(("de", "sw"), (31, 42))] * 2


# --- list, show, validate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", CATEGORIES)
def test_list_names_everything_in_a_category(category: str) -> None:
    text, as_json = command("list", category), command("list", category, "--json")
    assert (text.status, as_json.status, text.err, as_json.err) == (0, 0, "", "")
    rows = json.loads(as_json.out)
    if category in NAMES:
        assert sorted(row["name"] for row in rows) == sorted(NAMES[category])
    families = {"sentence-uniform"} if category == "recipes" else set()
    members = [row["name"] for row in rows if any(row["name"].startswith(f"{family}-") for family in families)]
    assert all(row["name"] in text.out for row in rows if row["name"] not in members)
    assert all(f"\n{family}-SUBSET " in text.out for family in families)
    assert len(text.out.splitlines()) == len(rows) - len(members) + len(families) + 2


def test_what_a_recipe_freezes_is_listed_in_words() -> None:
    frozen = {row["name"]: row["frozen"] for row in json.loads(command("list", "recipes", "--json").out)}
    assert frozen["embeddings-only"] == "all blocks"
    assert frozen["alignfreeze-front-embeddings"] == "lower_half and embeddings"
    assert frozen["alignfreeze-full"] == "none" and frozen["finetune-only"] is None


def test_a_recipe_of_a_family_is_shown_as_any_other() -> None:
    shown = command("show", "recipe", "sentence-uniform-most-uriel-en-5")
    assert shown.status == 0 and "subset: lowresource/most-uriel-en-5" in shown.out
    placeholder = command("show", "recipe", "sentence-uniform-SUBSET")
    assert placeholder.status == 2 and "sentence-uniform-SUBSET' stands for" in placeholder.err


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_may_be_singular_or_plural(category: str) -> None:
    singular = CATEGORIES[category]
    assert command("list", singular, "--json") == command("list", category, "--json")
    name = SHOWN[singular][0]
    assert command("show", singular, name) == command("show", category, name)
    assert command("show", category, name).status == 0


def test_versions_are_text(named_files: None) -> None:
    assert '"version": "1.0"' in command("list", "suites", "--json").out
    shown = command("list", "suites").out
    assert re.search(r"^pos-lite +2\.0 ", shown, re.MULTILINE)
    assert re.search(r"^pos-lite-1\.0 +1\.0 ", shown, re.MULTILINE)


SHOWN = {
    "recipe": ("alignfreeze-front", "freeze"),
    "suite": ("demo", "target_languages"),
    "task": ("cldr-phrases", "labels"),
    "corpus": ("ntrex", "columns"),
    "language": ("sw", "joshi_class"),
    "checkpoint": (EMBEDDED, "where"),
    "method": ("word_contrastive", "contrasts"),
    "aligner": ("gold", "links"),
    "task-type": ("retrieval", "metrics"),
}


@pytest.mark.parametrize(("kind", "name", "field"), [(k, *v) for k, v in SHOWN.items()], ids=SHOWN.keys())
def test_show_prints_every_field(kind: str, name: str, field: str) -> None:
    text, as_json = command("show", kind, name), command("show", kind, name, "--json")
    assert (text.status, as_json.status, text.err, as_json.err) == (0, 0, "", "")
    content = json.loads(as_json.out)
    assert field in content
    assert yaml.safe_load(text.out) == content


@pytest.mark.parametrize("kind", SHOWN)
def test_showing_an_unknown_name_is_bad_input(kind: str) -> None:
    assert is_bad_input(command("show", kind, "nonesuch"), f"unknown {kind}:? 'nonesuch'")


def test_every_language_can_be_shown() -> None:
    from xrealign_bench.listings import describe

    for code in inventory():
        json.dumps(describe("languages", code, "fr"), allow_nan=False)
        yaml.safe_dump(describe("languages", code, "fr"))


def test_show_language_measures_from_the_given_source() -> None:
    content = json.loads(command("show", "language", "sw", "--source", "swa", "--json").out)
    assert content["distance to sw"]["featural"] == 0
    assert is_bad_input(command("show", "language", "sw", "--source", "qqq"), "unknown language 'qqq'")


def test_a_shown_recipe_is_valid_yaml(tmp_path: Path) -> None:
    (tmp_path / "alignfreeze-front.yaml").write_text(
        command("show", "recipe", "alignfreeze-front").out, encoding="utf-8"
    )
    ran = command("validate", tmp_path / "alignfreeze-front.yaml")
    assert ran == Ran(0, f"{tmp_path / 'alignfreeze-front.yaml'}: a good recipe\n", "")


def test_validate_detects_the_type_of_a_file(tmp_path: Path) -> None:
    suite, recipe = write_suite(tmp_path), write_recipe(tmp_path)
    files = {suite: "suite", tmp_path / "phrases.yaml": "task", tmp_path / "pairs.yaml": "corpus", recipe: "recipe"}
    ran = command("validate", *files)
    assert ran == Ran(0, "".join(f"{file}: a good {kind}\n" for file, kind in files.items()), "")


@pytest.mark.parametrize("change", [{}, {"method": "none", "initialisation": "random"}], ids=["realigns", "random"])
def test_the_name_of_the_baseline_is_reserved(tmp_path: Path, new_world: WorldMaker, change: dict[str, Any]) -> None:
    fields = {"name": "finetune-only", "title": "x", **(change or {"method": "word_contrastive"})}
    path = write_yaml(tmp_path / "finetune-only.yaml", fields)
    said = r"finetune-only\.yaml:\d: name: 'finetune-only' is the baseline, .*another name"
    assert is_bad_input(command("validate", path), said)
    assert is_bad_input(new_world().evaluate("--recipe", path), said)
    write_yaml(path, {"name": "finetune-only", "title": "The same, in other words"})
    assert command("validate", path).status == 0


def test_every_shipped_file_is_good() -> None:
    root = Path(xrealign_bench.__file__).parent.parent
    if not (root / "submissions").is_dir():
        pytest.skip("an installed package has its files inside")
    kinds = {"submissions": "recipe", "tasks": "task", "tasks/suites": "suite", "tasks/corpora": "corpus"}
    files = {file: kind for folder, kind in kinds.items() for file in (root / folder).glob("*.yaml")}
    files |= {file: "lock" for file in files if file.name.endswith(".lock.yaml")}
    assert len(files) > 10
    assert command("validate", *files).out.splitlines() == [f"{file}: a good {kind}" for file, kind in files.items()]


def test_validate_reports_all_problems_of_all_files(tmp_path: Path) -> None:
    good = write_recipe(tmp_path)
    bad = write_yaml(tmp_path / "bad.yaml", RECIPE | {"name": "bad", "method": "magic", "steps": 3})
    task = write_yaml(tmp_path / "phrases.yaml", {k: v for k, v in TASK.items() if k != "licence"})
    ran = command("validate", bad, good, task)
    assert (ran.status, ran.out) == (2, f"{good}: a good recipe\n")
    lines = ran.err.removeprefix("error: ").splitlines()
    assert [line.split(":")[0] for line in lines] == [str(bad)] * 2 + [str(task)]
    assert {re.split(": ?", line)[2] for line in lines} == {"method", "steps", "licence"}


# --- languages ----------------------------------------------------------------------------------------------------


def test_chosen_languages_can_be_pasted_into_a_recipe(tmp_path: Path) -> None:
    ran = command("languages", "select", "--n", 4, "--pool", "no,sv,de,sw,ja,th", "--method", "script")
    assert (ran.status, ran.err) == (0, "")
    first, *rest = ran.out.splitlines()
    recipe = write_yaml(tmp_path / "mine.yaml", RECIPE | {"parallel": yaml.safe_load(first)})
    assert command("validate", recipe).status == 0
    chosen = yaml.safe_load(first)["languages"]
    assert len(chosen) == 4 and {"ja", "th"} <= set(chosen)
    assert all(any(line.startswith(f"{code} ") for line in rest) for code in chosen)
    norwegian = command("languages", "select", "--n", 1, "--pool", "no,en").out.splitlines()[0]
    assert yaml.safe_load(norwegian) == {"languages": ["no"]}


def test_chosen_languages_as_json_and_as_text_agree() -> None:
    arguments = ["languages", "select", "--n", "5", "--pool", "suite:demo", "--source", "fra", "--tier", "high"]
    text, as_json = command(*arguments), command(*arguments, "--json")
    assert (text.status, as_json.status, text.err, as_json.err) == (0, 0, "", "")
    content = json.loads(as_json.out)
    assert content["languages"] == yaml.safe_load(text.out.splitlines()[0])["languages"]
    assert content["source"] == "fr" and content["found"] == "exact"
    assert content["pool"]["languages"] == 46 and content["pool"]["left_out"] == {"fr": "the source language"}
    assert content["distance"]["pairs"] == 15  # five languages and the source
    assert content["distance"]["mean"] == pytest.approx(content["distance"]["sum"] / 15, abs=1e-6)
    assert f"exact: sum of distances {content['distance']['sum']:.4f}" in text.out
    assert "left out: fr, the source language" in text.out
    assert {row["joshi_class"] for row in content["rows"]} <= {4, 5}
    without = json.loads(command(*arguments, "--no-anchor-source", "--json").out)
    assert without["distance"]["pairs"] == 10


def test_languages_are_selected_by_the_distances_of_urielplus() -> None:
    from xrealign_bench.languages.urielplus import urielplus_distance

    arguments = ("languages", "select", "--n", 3, "--pool", "suite:demo", "--json")
    by_uriel, by_urielplus = command(*arguments), command(*arguments, "--distances", "uriel+")
    assert (by_urielplus.status, by_urielplus.err) == (0, "")
    first, second = json.loads(by_uriel.out), json.loads(by_urielplus.out)
    assert (first["distances"], second["distances"]) == ("uriel", "uriel+")
    assert first["languages"] != second["languages"]
    shown = {row["name"]: row["featural distance to en"] for row in second["rows"]}
    assert shown == {code: urielplus_distance("en", code) for code in second["languages"]}


def test_conditions_narrow_the_pool() -> None:
    def left(*conditions: str) -> int:
        ran = command("languages", "select", "--method", "random", "--n", 1, "--json", *conditions)
        return int(json.loads(ran.out)["pool"]["meet_conditions"])

    assert left() == 65
    assert left("--unseen", "FacebookAI/xlm-roberta-base") == 16
    assert left("--seen", "FacebookAI/xlm-roberta-base") == 65 - 16
    assert left("--latin") == 41 and left("--non-latin") == 65 - 41
    assert left("--latin", "--unseen", "FacebookAI/xlm-roberta-base") == 16


def test_the_languages_of_a_suite_are_shown_and_counted() -> None:
    """By hand: the demo suite has one task; Hausa is of Joshi class 2 and Chadic, which is Afro-Asiatic."""
    text, as_json = command("languages", "suite", "demo"), command("languages", "suite", "demo", "--json")
    found = json.loads(as_json.out)
    rows = {row["name"]: row for row in found["rows"]}
    hausa = rows["ha"]
    assert (hausa["script"], hausa["family"], hausa["joshi_class"], hausa["tier"]) == ("Latn", "Afro-Asiatic", 2, "low")
    assert hausa["tasks"] == ["cldr-phrases"] and found["counts"]["tasks"] == {"cldr-phrases": 46}
    assert [sum(found["counts"][what].values()) for what in ("tier", "band", "script", "family")] == [46] * 4
    assert found["counts"]["script"]["Latn"] == sum(row["script"] == "Latn" for row in rows.values())
    assert "46 target languages" in text.out and f"Latn {found['counts']['script']['Latn']}, " in text.out
    assert command("languages", "suite", "dmo").status == 2


def test_published_subsets_are_listed() -> None:
    from xrealign_bench.languages import published_lists

    draws = [f"lowresource/random-{n}" for n in (5, 10, 20, 40) for _ in (17, 23, 42, 66)]
    text, as_json = command("languages", "subsets"), command("languages", "subsets", "--json")
    rows = json.loads(as_json.out)
    assert [row["name"] for row in rows] == [*published_lists(), *draws]
    assert all(row["n"] == len(row["languages"]) for row in rows)
    assert len(text.out.splitlines()) == len(rows) + 2
    assert re.search(
        "^lowresource/most-uriel-en-5 +5 +English was put in the set first +fon ka kk ln om$", text.out, re.M
    )


BAD_CHOICES = {
    "too many": (["--n", 70], "70 languages can't be chosen from a pool of 65"),
    "pool": (["--pool", "lowresource"], "unknown pool of languages 'lowresource'; did you mean lowresource-65"),
    "suite": (["--pool", "suite:dem"], "unknown suite 'dem'; did you mean demo"),
    "language": (["--pool", "de,qqq"], "unknown language 'qqq'"),
    "source": (["--source", "qqq"], "unknown language 'qqq'"),
    "checkpoint": (["--seen", "bert"], "unknown checkpoint with known pre-training languages 'bert'"),
    "source without features": (
        ["--source", "vo", "--distances", "uriel+"],
        r"URIEL\+ has no features of Volapük \(vo\), so its distances can't count",
    ),
    "distances": (["--distances", "urielplus"], r"'urielplus' is not one of 'uriel', 'uriel\+'"),
    "nothing left": (
        ["--pool", "de,fr", "--tier", "low"],
        "none of the 2 languages of the pool 'de,fr' meets all conditions",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD_CHOICES.values(), ids=BAD_CHOICES.keys())
def test_impossible_selections_are_bad_input(options: list[object], message: str) -> None:
    assert is_bad_input(command("languages", "select", "--n", 2, *options), message)


CODES: dict[str, tuple[dict[str, Any], str]] = {
    "suite": (SUITE | {"target_languages": ["de", "qqq"]}, "target_languages.1: unknown language 'qqq'"),
    "suite's alias": (SUITE | {"target_languages": ["deu"]}, "the language 'deu' is called 'de' here; write that"),
    "suite's source": (SUITE | {"source_language": "eng"}, "the language 'eng' is called 'en' here"),
    "suite's corpora": (
        SUITE | {"parallel": {"corpus": "pairs", "aligner": "gold", "other_corpora": {"pairs": ["qqq"]}}},
        "parallel.other_corpora.pairs.0: unknown language 'qqq'",
    ),
    "not in a task": (
        SUITE | {"target_languages": ["de", "fi"]},
        "target_languages.1: unknown language of the tasks phrases: 'fi'",
    ),
    "task": (
        TASK | {"configs": {**TASK["configs"], "deu": "de"}},
        "configs.deu: the language 'deu' is called 'de' here",
    ),
    "task's part": (TASK | {"also": [{"source": {"kind": "embedded"}, "configs": {"qqq": "x"}}]}, "language 'qqq'"),
    "corpus": (CORPUS | {"codes": {"qqq": "x"}}, "unknown language 'qqq'"),
    "form": (SUITE | {"target_languages": ["de/../x"]}, "'de/../x' is not allowed; allowed: a language code such as"),
}  # fmt: skip


@pytest.mark.parametrize("case", CODES)
def test_validate_and_evaluate_check_languages_alike(case: str, tmp_path: Path) -> None:
    content, said = CODES[case]
    suite = write_suite(tmp_path)
    assert command("validate", suite).status == 0
    path = write_yaml(tmp_path / f"{content['name']}.yaml", content)
    for ran in (command("validate", path), command("validate", suite), command("evaluate", "--suite", suite)):
        assert is_bad_input(ran, rf"{content['name']}\.yaml:\d+: .*{said}")


def test_a_hostile_file_gets_a_short_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n" + "".join(f'"\\e[31m{n}": "\\e[2J{"x" * 500}"\n' for n in range(1000)))
    ran = command("validate", path)
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 21 and len(ran.err) < 10_000
    assert ran.err.replace("\n", "").isprintable()


def test_an_unknown_name_is_shown_shortened(tmp_path: Path) -> None:
    ran = command("show", "recipe", "\x1b[31m" + "x" * 10**5)
    assert ran.status == 2
    assert re.search(r"unknown recipe '\\x1b\[31mx+… \(100,008 characters\)'", ran.err)
    assert len(ran.err) < 3000


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        ("list languages", ""),
        pytest.param("list languages", "1", marks=pytest.mark.slow),
        pytest.param("list tasks --json", "", marks=pytest.mark.slow),
        ("--help", "1"),
    ],
)
def test_a_closed_pipe_is_no_error(arguments: str, unbuffered: str) -> None:
    """As with `| head`. Truth: a pipe whose reading end is closed before anything is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    program = [sys.executable, "-m", "xrealign_bench", *arguments.split()]
    done = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_recipe_with_an_unknown_subset_is_invalid(tmp_path: Path) -> None:
    parallel = {"languages": {"subset": "lowresource/most-uriel-en-6"}}
    ran = command("validate", write_yaml(tmp_path / "mine.yaml", RECIPE | {"parallel": parallel}))
    assert is_bad_input(
        ran, r"mine\.yaml:6: parallel\.languages: unknown published subset .*did you mean lowresource/most-"
    )


# --- evaluate: bad input ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """Options of `evaluate` that replace or follow the good ones, and what is to be said about them."""

    options: Callable[[World], list[object]]
    message: str


def _written(world: World, text: str) -> Path:
    path = world.folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _other_corpus(world: World) -> str:
    write_yaml(world.folder / "s" / "other.yaml", CORPUS | {"name": "other", "lexicons": "muse"})
    return "other"


def _lexicon_folder(world: World) -> Path:
    (world.folder / "root" / "muse").mkdir(parents=True)
    (world.folder / "root" / "muse" / "en-fr.txt").write_text("dog chien\n")
    return world.folder / "root"


def _checkpoint(change: Callable[[Path], Any]) -> Callable[[World], list[object]]:
    def make(world: World) -> list[object]:
        folder = world.folder / "bad-checkpoint"
        shutil.copytree(world.checkpoint, folder)
        change(folder)
        return ["--checkpoint", folder]

    return make


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _below_a_file(world: World) -> Path:
    path = world.folder / "a-file"
    path.touch()
    return path / "below"


BAD: dict[str, Bad] = {
    "recipe": Bad(lambda w: ["--recipe", "alignfreez"], "unknown recipe 'alignfreez'; did you mean alignfreeze-"),
    "recipe's block": Bad(
        lambda w: ["--recipe", write_recipe(w.folder, freeze={"blocks": [17]})],
        "recipe 'mine': freeze.blocks names block 17, but the model has 4",
    ),
    "recipe's layer": Bad(
        lambda w: ["--recipe", write_recipe(w.folder, objective={"layer": 9})],
        "recipe 'mine': layer 9: the model has no such block",
    ),
    "recipe file": Bad(lambda w: ["--recipe", w.folder / "no.yaml"], r"no\.yaml: can't be read: No such file"),
    "suite": Bad(lambda w: ["--suite", "demo2"], "unknown suite 'demo2'; did you mean demo"),
    "task": Bad(lambda w: ["--task", "phrase"], "unknown task in this suite: 'phrase'"),
    "language": Bad(lambda w: ["--language", "swaheli"], "unknown language 'swaheli'.* sw .Swahili."),
    "language of another suite": Bad(lambda w: ["--language", "fr"], "unknown target language in this suite: 'fr'"),
    "seed": Bad(lambda w: ["--seed", 3, "--seed", 99], r"--seed 99: is none of the suite's seeds \(3\), but 3 is\. "),
    "device": Bad(lambda w: ["--device", "gpu"], "'gpu' is no device"),
    "malformed recipe": Bad(lambda w: ["--recipe", _written(w, "name: [r\ntitle: x")], r"r\.yaml:\d: is not YAML"),
    "unknown field": Bad(
        lambda w: ["--recipe", _written(w, "name: r\ntitle: x\naligners: gold\n")],
        r"r\.yaml:3: aligners: no such field; did you mean 'aligner'",
    ),
    "tag": Bad(
        lambda w: ["--recipe", _written(w, "name: r\ntitle: !!timestamp x\n")],
        r"r\.yaml:2: the tag '!!timestamp'",
    ),
    "language without data": Bad(
        lambda w: ["--suite", write_suite(w.folder / "s", target_languages=["de", "fi"])],
        "unknown language of the tasks phrases: 'fi'",
    ),
    "task of the suite": Bad(
        lambda w: ["--suite", write_suite(w.folder / "s", tasks=["phrases", "nonesuch"])], "unknown task 'nonesuch'"
    ),
    "no lexicon of the languages": Bad(
        lambda w: [
            "--suite",
            write_suite(w.folder / "s", parallel={"corpus": _other_corpus(w), "aligner": "lexicon"}),
            "--data-root",
            _lexicon_folder(w),
            "--recipe",
            "alignfreeze-full",
        ],
        r"the corpus 'other' and its lexicons together have none of the languages to realign \(de, sw, th\)",
    ),
    "revision of a folder": Bad(lambda w: ["--revision", "main"], "is a folder here, so the revision"),
    "no checkpoint": Bad(lambda w: ["--checkpoint", w.folder / "nowhere"], "there is no such folder"),
    "checkpoint without weights": Bad(
        _checkpoint(lambda f: (f / "model.safetensors").unlink()), "no model.safetensors"
    ),
    "checkpoint without tokenizer": Bad(_checkpoint(lambda f: (f / "tokenizer.json").unlink()), "has no tokenizer"),
    "pickled weights": Bad(_checkpoint(_pickled), "its weights are a pickle"),
    "weights cut off": Bad(_checkpoint(_cut), r"has \d+ bytes instead of \d+"),
    "images": Bad(_checkpoint(_config(model_type="vit")), r"\(vit\) is not a text model.*supported are text encoders"),
    "no such value": Bad(_checkpoint(_config(model_type="t5", classifier_dropout=None)), "its config.json is refused"),
    "unknown model": Bad(_checkpoint(_config(model_type="nonesuch")), "knows no model type 'nonesuch'"),
    "output below a file": Bad(
        lambda w: ["--output", _below_a_file(w)], r"the output folder .*below.* can't be written to"
    ),
    "store below a file": Bad(lambda w: ["--store", _below_a_file(w)], r"the store .*below can't be written to"),
    "no data root": Bad(
        lambda w: ["--suite", "pos-lite", "--data-root", w.folder],
        "universal_dependencies: no such folder; put the data",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_input_is_reported_before_any_stage_runs(new_world: WorldMaker, bad: Bad) -> None:
    world = new_world()
    assert is_bad_input(world.evaluate(*bad.options(world)), bad.message)
    assert nothing_half_written(world)
    assert Store(world.store).entries() == []


def test_a_suite_names_tasks_by_their_name(new_world: WorldMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tasks=["phrases.yaml"])
    monkeypatch.chdir(world.folder)
    for ran in (world.evaluate("--dry-run"), command("validate", world.suite)):
        assert ran.status == 2
        said = "tasks.0: 'phrases.yaml' is a file; name tasks and corpora by their name, here 'phrases': they are "
        assert ran.err.startswith(f"error: {world.suite}:21: {said}")


def test_blocks_that_can_not_be_found_are_refused(new_world: WorldMaker) -> None:
    """ALBERT runs one block several times; only loading it shows that."""
    from transformers import AlbertConfig, AlbertModel

    world = new_world()
    folder = world.folder / "albert"
    shutil.copytree(world.checkpoint, folder)
    sizes = {"hidden_size": 16, "embedding_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
    AlbertModel(AlbertConfig(vocab_size=12000, num_hidden_layers=3, **sizes)).save_pretrained(folder)
    ran = world.evaluate("--checkpoint", folder)
    assert is_bad_input(ran, "the blocks of this AlbertModel can't be found", started=True)
    assert nothing_half_written(world)


def test_a_checkpoint_with_fewer_positions_than_the_suite_needs(new_world: WorldMaker) -> None:
    world = new_world(finetuning={"steps": 2, "max_length": 65, "learning_rate": {"default": 1e-3}})
    assert is_bad_input(world.evaluate(), "65.*64", started=True)
    assert nothing_half_written(world)


@pytest.fixture
def hub_world(new_world: WorldMaker) -> World:
    """A task whose data lie in a data root, `folder/data`."""
    world = new_world(tasks=["tags"])
    write_yaml(world.folder / "tags.yaml", HUB_TASK)
    rows = [row("dogs bark", [0, 2]), row("cats sleep", [0, 2])] * 4
    for config, split in (("en_x", "train"), ("en_x", "test"), ("de_y", "test")):
        write_rows(world.folder / "data", config, split, rows)
    return world


def test_data_in_a_data_root(hub_world: World) -> None:
    ran = hub_world.evaluate("--data-root", hub_world.folder / "data")
    assert ran.status == 0, ran.err
    assert command("rescore", hub_world.result("alignfreeze-front")).status == 0


def test_a_truncated_data_file_is_bad_input(hub_world: World) -> None:
    (path,) = (hub_world.folder / "data").rglob("de_y/test-*.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    ran = hub_world.evaluate("--data-root", hub_world.folder / "data")
    assert is_bad_input(ran, f"{re.escape(str(path))}: is damaged or no Parquet file", started=True)
    assert nothing_half_written(hub_world)


def test_unknown_labels_in_the_data_are_bad_input(hub_world: World) -> None:
    write_yaml(hub_world.folder / "tags.yaml", HUB_TASK | {"labels": ["VERB", "NOUN", "ADJ"]})
    ran = hub_world.evaluate("--data-root", hub_world.folder / "data")
    assert is_bad_input(ran, "labels differ: the task has ADJ and the data do not", started=True)
    assert nothing_half_written(hub_world)


def test_changed_data_are_read_again(hub_world: World) -> None:
    assert hub_world.evaluate("--data-root", hub_world.folder / "data").status == 0
    write_rows(hub_world.folder / "data", "de_y", "test", [row("Hunde bellen laut", [0, 2, 1])])
    ran = hub_world.evaluate("--data-root", hub_world.folder / "data")
    assert "3 stages run, 9 found in the store" in ran.err  # tokenise it, predict with and without realignment


@pytest.mark.parametrize("kind", ["realign", "predict"])
def test_a_damaged_stage_is_computed_again(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    shutil.copytree(finished[0].store, tmp_path / "store")
    world = replace(finished[0], folder=tmp_path)
    (path, *_) = sorted((world.store / kind).rglob("*.parquet" if kind == "predict" else "*.safetensors"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ran = world.evaluate()
    assert ran.status == 0
    assert "1 stage run, 32 found in the store" in ran.err
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    damage = rf"{kind} \w+ in the store was damaged \({path.name} has another checksum .*\) and is removed"
    assert re.fullmatch(damage, warning)
    for recipe in ("finetune-only", "alignfreeze-front"):
        assert essence(world.result(recipe)) == essence(finished[0].result(recipe))


# --- the other commands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["phrases", "nonesuch"]}, "unknown task 'nonesuch'"),
        ({"parallel": {"corpus": "nonesuch", "aligner": "gold"}}, "unknown corpus 'nonesuch'"),
    ],
)
def test_validate_looks_for_what_a_suite_names(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert command("validate", write_suite(tmp_path / "good")).status == 0
    ran = command("validate", write_suite(tmp_path / "bad", **changes))
    assert ran.status == 2 and message in ran.err


@pytest.mark.parametrize(
    ("languages", "message"),
    [("[de, xx]", ".1: unknown language 'xx'"), ("[de, sw, deu]", ": names de more than once")],
)
def test_validate_knows_the_languages(tmp_path: Path, languages: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\ntitle: X\nmethod: word_contrastive\nparallel: {{languages: {languages}}}\n")
    ran = command("validate", path)
    assert ran.status == 2 and f"{path}:4: parallel.languages{message}" in ran.err


def test_tasks_without_the_languages_are_skipped(new_world: WorldMaker) -> None:
    world = new_world(target_languages=["de", "sw"], tasks=["phrases", "more"])
    configs = {"en": "en", "sw": "sw"}
    write_yaml(world.folder / "more.yaml", TASK | {"name": "more", "configs": configs})
    other = new_world("other")
    assert other.evaluate("--recipe", "finetune-only", "--output", world.output).status == 0
    suite = yaml.safe_load(world.suite.read_text()) | {"name": "aaa"}
    world = replace(world, suite=write_yaml(world.folder / "aaa.yaml", suite))
    ran = world.evaluate("--recipe", "finetune-only", "--language", "de")
    assert ran.status == 0, ran.err
    assert "tasks without these languages are left out: more" in ran.err
    assert f"leaderboard  {world.output / 'aaa-1.0' / 'README.md'}" in ran.out


def test_the_plan_says_which_languages_are_chosen(new_world: WorldMaker) -> None:
    ran = new_world(target_languages=["de", "sw"]).evaluate("--recipe", "full-random-10", "--dry-run")
    assert ran.status == 2 and "parallel.languages" in ran.err  # ten of two
    recipe = "name: r\ntitle: X\nmethod: word_contrastive\nparallel: {languages: [sw]}\n"
    world = new_world("again", target_languages=["de", "sw"])
    ran = world.evaluate("--recipe", _written(world, recipe), "--dry-run")
    assert ran.status == 0 and "r realigns sw" in ran.out


def test_validate_knows_the_aligners(tmp_path: Path) -> None:
    assert is_bad_input(command("validate", write_recipe(tmp_path, aligner="eflomall")), "did you mean eflomal")


def test_rescore_of_nothing(tmp_path: Path) -> None:
    assert is_bad_input(command("rescore", tmp_path), "no result in it")


def test_leaderboard_is_built_from_results(finished: Finished, tmp_path: Path) -> None:
    world = finished[0]
    ran = command("leaderboard", "build", world.output / "results", "--output", tmp_path / "board")
    assert (ran.status, ran.err) == (0, "")
    paths = [Path(line) for line in ran.out.splitlines()]
    assert [path.name for path in paths] == ["README.md", "leaderboard.csv", "languages.csv", "leaderboard.json"]
    assert all(path.is_relative_to(tmp_path / "board" / "small-1.0") and path.stat().st_size for path in paths)


def test_a_board_is_not_built_beside_a_folder_that_is_not_of_results(finished: Finished, tmp_path: Path) -> None:
    """The output folder of `evaluate`, the results of one suite, and a folder far above."""
    shutil.copytree(finished[0].output, output := tmp_path / "o1")
    before = sorted(tmp_path.rglob("*"))
    for folder in (output, tmp_path):
        assert command("leaderboard", "build", folder) == Ran(
            2,
            "",
            f"error: {folder}: is not a folder of results, which has SUITE/CHECKPOINT/RECIPE in it. Name "
            f"{output / 'results'}, or a folder for the boards with --output\n",
        )
    of_suite = output / "results" / "small-1.0"
    said = f"error: {of_suite}: holds the results themselves; name another folder for the board with --output\n"
    assert command("leaderboard", "build", of_suite) == Ran(2, "", said)
    assert sorted(tmp_path.rglob("*")) == before
    ran = command("leaderboard", "build", output / "results")
    assert ran.status == 0 and ran.out.startswith(f"{output / 'small-1.0' / 'README.md'}\n")


def test_leaderboard_of_nothing(tmp_path: Path) -> None:
    said = f"error: {tmp_path}: contains no results to show; name a folder with SUITE/CHECKPOINT/RECIPE/result.json in "
    remedy = "it, such as xrealign-output/results after `xrealign-bench evaluate`\n"
    assert command("leaderboard", "build", tmp_path) == Ran(2, "", said + remedy)
    assert is_bad_input(command("leaderboard", "build", tmp_path / "none"), "no such folder")


def test_the_store_is_listed_verified_and_pruned(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished[0].store, tmp_path / "store")
    at = ["--store", tmp_path / "store"]
    rows = json.loads(command("cache", "list", *at, "--json").out)
    assert {row["stage"]: row["entries"] for row in rows} == {
        "align": 3, "encode": 3, "finetune": 4, "predict": 16, "realign": 2, "tokenise": 5,
    }  # fmt: skip
    assert all(row["MB"] > 0 and row["seconds"] > 0 for row in rows)
    assert command("cache", "list", *at).out.splitlines()[0].split() == ["stage", "entries", "MB", "seconds"]
    assert command("cache", "verify", *at) == Ran(0, "0 damaged entries\n", "")
    next((tmp_path / "store" / "realign").rglob("log.json")).write_text("{}")
    ran = command("cache", "verify", *at)
    assert ran.status == 1
    assert ran.out.startswith("damaged: realign ") and ran.out.endswith("1 damaged entry\n")
    assert command("cache", "prune", *at, "--older-than", "1", "--yes").out == "0 entries removed, 0.0 MB freed\n"
    assert command("cache", "prune", *at, "--yes").out.startswith("32 entries removed, ")
    assert command("cache", "list", *at, "--json").out == "[]\n"


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_nothing_is_pruned_without_consent(finished: Finished, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    before = len(Store(finished[0].store).entries())
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    ran = command("cache", "prune", "--store", finished[0].store)
    assert ran.status == 130
    assert ran.err.endswith("nothing was done\n")
    assert len(Store(finished[0].store).entries()) == before > 0


def test_doctor_asks_nobody_when_offline(tmp_path: Path) -> None:
    text, as_json = (command("doctor", "--store", tmp_path / "store", *more) for more in ([], ["--json"]))
    assert (text.status, as_json.status, text.err, as_json.err) == (0, 0, "", "")
    findings = json.loads(as_json.out)
    assert findings["hub"] == "not asked: offline"
    assert findings["devices"][0] == "cpu"
    assert findings["store"] == str(tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert "torch" in text.out


def test_version() -> None:
    from xrealign_bench import __version__

    assert command("--version").out == f"xrealign-bench, version {__version__}\n"


def test_options_of_a_cluster_without_one_are_refused() -> None:
    for option, value in (("--address", "auto"), ("--gpus-per-stage", 0.5)):
        assert is_bad_input(
            command("evaluate", option, value), f"{option} {value} is about a Ray cluster; add --executor ray"
        )


@pytest.mark.parametrize("arguments", [["list"], ["verify"], ["prune", "--yes"]], ids=" ".join)
def test_cache_commands_do_not_create_a_store(tmp_path: Path, arguments: list[str]) -> None:
    store = tmp_path / "stoer"
    assert is_bad_input(command("cache", *arguments, "--store", store), "there is no store")
    assert not store.exists()


def test_a_busy_machine_gets_a_warning() -> None:
    assert len(_how_measured(0.9, 2)) == 1
    assert "the machine was busy (load 1.7 on 2 cores)" in _how_measured(1.7, 2)[1]

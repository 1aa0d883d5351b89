"""Every YAML file that comes with the package is a valid spec of its folder's kind, under its own name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from xrealign_bench.specs import (
    Freeze,
    LexiconAligner,
    Lock,
    Recipe,
    SelectedLanguages,
    Suite,
    find_spec,
    load_spec,
    shipped_names,
    shipped_suite_name,
)
from xrealign_bench.specs.lock import LOCK_SUFFIX
from xrealign_bench.specs.recipe import Control
from xrealign_bench.specs.yaml import FOLDERS, shipped_folder

BY_FOLDER = {shipped_folder(model): model for model in FOLDERS}
FILES = sorted(
    path
    for folder in ("submissions", "tasks")
    for suffix in ("*.yaml", "*.yml")
    for path in (shipped_folder(Recipe).parent / folder).rglob(suffix)
    if not path.name.endswith(LOCK_SUFFIX)
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_file_is_a_spec_under_its_own_name(path: Path) -> None:
    assert path.parent in BY_FOLDER, f"{path} lies where no spec is looked for"
    assert path.suffix == ".yaml"
    spec = load_spec(path, BY_FOLDER[path.parent])  # type: ignore[type-var]
    # An earlier version of a suite is shipped as NAME-VERSION.
    earlier = [spec.id] if isinstance(spec, Suite) and spec.name in shipped_names(Suite) else []
    assert path.stem in (spec.name, *earlier)


@pytest.mark.parametrize("model", FOLDERS, ids=lambda model: model.__name__)
def test_there_are_some_of_every_kind(model: type[BaseModel]) -> None:
    assert FILES
    assert shipped_names(model)


def test_every_shipped_lock_is_of_a_suite_and_sorted_a_line_a_split() -> None:
    paths = sorted(shipped_folder(Suite).glob(f"*{LOCK_SUFFIX}"))
    assert paths
    for path in paths:
        assert path.name.removesuffix(LOCK_SUFFIX) in shipped_names(Suite)
        lock = load_spec(path, Lock)
        keys = [split.key for split in lock.splits]
        gold = [(each.task, each.language) for each in lock.gold or []]
        assert keys == sorted(keys) and gold == sorted(gold)
        assert len([line for line in path.read_text().splitlines() if line.startswith("- ")]) == len(keys) + len(gold)


def test_each_version_of_a_suite_has_one_name() -> None:
    suites = {name: find_spec(name, Suite) for name in shipped_names(Suite)}
    assert len({suite.id for suite in suites.values()}) == len(suites)
    assert {name: shipped_suite_name(suite) for name, suite in suites.items()} == {name: name for name in suites}
    assert suites["pos-lite"].id == "pos-lite-2.0" and suites["pos-lite-1.0"].name == "pos-lite"
    unknown = suites["pos-lite"].model_copy(update={"version": "0.9"})
    assert shipped_suite_name(unknown) is None


def test_what_suites_and_recipes_name_is_shipped() -> None:
    for name in shipped_names(Suite):
        suite = find_spec(name, Suite)
        for recipe in suite.controls:
            find_spec(recipe, Recipe)


@pytest.mark.parametrize("part", ["full", "front", "back"])
@pytest.mark.parametrize("aligner", ["lexicon", "eflomal", "similarity"])
def test_recipes_of_a_fixed_aligner_differ_in_that_alone(part: str, aligner: str) -> None:
    general = find_spec(f"alignfreeze-{part}", Recipe)
    fixed = find_spec(f"alignfreeze-{part}-{aligner}", Recipe)
    assert general.aligner is None
    named = {"name": fixed.name, "title": fixed.title, "aligner": aligner}
    assert general.model_copy(update=named) == fixed


def test_front_and_back_freezing_differ_from_full_in_the_frozen_blocks_alone() -> None:
    """AlignFreeze, section 3: half of the blocks each; as run, the embeddings are trained in both."""
    full, front, back = (find_spec(f"alignfreeze-{part}", Recipe) for part in ("full", "front", "back"))
    assert [r.freeze.blocks for r in (full, front, back)] == ["none", "lower_half", "upper_half"]
    assert not any(r.freeze.embeddings for r in (full, front, back))
    for recipe in (front, back):
        as_full = {"name": full.name, "title": full.title, "freeze": full.freeze}
        assert recipe.model_copy(update=as_full) == full


@pytest.mark.parametrize("method", ["uriel", "random"])
def test_recipes_on_ten_languages_differ_from_full_in_that_alone(method: str) -> None:
    full, ten = find_spec("alignfreeze-full", Recipe), find_spec(f"full-{method}-10", Recipe)
    selected = ten.parallel.model_copy(update={"languages": SelectedLanguages(select=method, n=10)})  # type: ignore[arg-type]
    as_ten = {"name": ten.name, "title": ten.title, "parallel": selected}
    assert full.model_copy(update=as_ten) == ten


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("shuffled", "shuffled_pairs"),
        ("source", "source_with_itself"),
        ("target", "target_with_itself"),
        ("random-words", "random_words"),
    ],
)
def test_a_placebo_differs_from_full_in_its_pairs_alone(name: str, control: Control) -> None:
    full, placebo = find_spec("alignfreeze-full", Recipe), find_spec(f"placebo-{name}", Recipe)
    prose = {field: getattr(placebo, field) for field in ("name", "title", "description", "citation")}
    parallel = full.parallel.model_copy(update={"control": control})
    assert full.model_copy(update=prose | {"parallel": parallel}) == placebo


def test_continued_pretraining_differs_from_full_in_the_method_alone() -> None:
    full, placebo = (find_spec(name, Recipe) for name in ("alignfreeze-full", "placebo-continued-pretraining"))
    prose = {field: getattr(placebo, field) for field in ("name", "title", "description", "citation")}
    assert full.model_copy(update=prose | {"method": "continued_pretraining"}) == placebo


def test_controls_are_the_recipes_that_say_so() -> None:
    recipes = [find_spec(name, Recipe) for name in shipped_names(Recipe)]
    assert {recipe.name for recipe in recipes if recipe.is_control} == {
        recipe.name for recipe in recipes if recipe.title.startswith("Control: ")
    }


@pytest.mark.parametrize("part", ["full", "front", "back"])
def test_as_run_differs_from_the_text_in_the_mixing_alone(part: str) -> None:
    text, as_run = (find_spec(name, Recipe) for name in (f"alignfreeze-{part}", f"alignfreeze-{part}-as-run"))
    mixed = text.parallel.model_copy(update={"mixing": "round_robin_first_exhausted"})
    assert text.model_copy(update={"name": as_run.name, "title": as_run.title, "parallel": mixed}) == as_run


@pytest.mark.parametrize("part", ["full", "front", "back"])
def test_the_lexicon_as_run_differs_in_case_mixing_and_pairs_alone(part: str) -> None:
    """AlignFreeze's raw results: 581 pairs of each language with the lexicon, 519 with XLM-R (test_mixing.py)."""
    text, as_run = (find_spec(f"alignfreeze-{part}-{name}", Recipe) for name in ("lexicon", "lexicon-as-run"))
    changes = {"mixing": "round_robin_first_exhausted", "pairs": {"default": 581, "xlm-roberta": 519}}
    parallel = text.parallel.model_copy(update=changes)
    aligner = LexiconAligner(kind="lexicon", case="match")
    named = {"name": as_run.name, "title": as_run.title, "aligner": aligner, "parallel": parallel}
    assert text.model_copy(update=named) == as_run
    assert [as_run.parallel.pairs_for(model) for model in ("bert", "xlm-roberta")] == [581, 519]


def test_uniform_sentences_differ_from_those_as_run_in_the_mixing_alone() -> None:
    as_run, uniform = (find_spec(name, Recipe) for name in ("sentence-as-run", "sentence-uniform"))
    mixed = as_run.parallel.model_copy(update={"mixing": "uniform"})
    assert as_run.model_copy(update={"name": uniform.name, "title": uniform.title, "parallel": mixed}) == uniform


def test_the_last_layer_differs_in_the_layer_alone() -> None:
    full, last = (find_spec(name, Recipe) for name in ("alignfreeze-full", "alignfreeze-full-last-layer"))
    objective = full.objective.model_copy(update={"layer": "last"})
    assert full.model_copy(update={"name": last.name, "title": last.title, "objective": objective}) == last


def test_sentences_as_run_differ_in_pooling_and_mixing_alone() -> None:
    mean, as_run = (find_spec(name, Recipe) for name in ("sentence-mean-all", "sentence-as-run"))
    assert (mean.method, mean.aligner, mean.freeze.blocks) == ("sentence_contrastive", None, "none")
    changed = {
        "name": as_run.name,
        "title": as_run.title,
        "objective": mean.objective.model_copy(update={"sentence_pooling": "as_run"}),
        "parallel": mean.parallel.model_copy(update={"mixing": "round_robin_first_exhausted"}),
    }
    assert mean.model_copy(update=changed) == as_run


def test_recipes_of_other_freezing_differ_from_full_in_that_alone() -> None:
    pairs = {
        "joint-full": {"joint-front": "lower_half", "joint-back": "upper_half"},
        "alignfreeze-full": {
            "embeddings-only": ":", "freeze-lower-third": "lower_third", "freeze-middle-third": "middle_third",
            "freeze-upper-third": "upper_third",
        },
    }  # fmt: skip
    for name, parts in pairs.items():
        full = find_spec(name, Recipe)
        prose = {field: getattr(full, field) for field in ("name", "title", "citation")}
        for part, blocks in parts.items():
            recipe = find_spec(part, Recipe)
            assert recipe.freeze == Freeze.model_validate({"blocks": blocks})
            assert recipe.model_copy(update=prose | {"freeze": full.freeze}) == full

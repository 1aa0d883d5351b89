"""Families of recipes. Truth: the same recipe written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small import RECIPE, write_yaml
from xrealign_bench.errors import UserError
from xrealign_bench.languages import subset_names
from xrealign_bench.specs import Recipe, RecipeFamily, digest, find_spec, load_spec, shipped_names
from xrealign_bench.specs.yaml import family_recipes, shipped_folder

FAMILY: dict[str, Any] = RECIPE | {"subsets": ["lowresource/most-uriel-en-5", "lowresource/random-5"]}


def test_a_recipe_of_a_family_is_the_one_written_out() -> None:
    family = RecipeFamily.model_validate(FAMILY | {"parallel": {"mixing": "uniform"}})
    written = RECIPE | {
        "name": "mine-most-uriel-en-5",
        "title": "A recipe of one's own, most-uriel-en-5",
        "parallel": {"mixing": "uniform", "languages": {"subset": "lowresource/most-uriel-en-5"}},
    }
    first, second = family.recipes
    assert first == Recipe.model_validate(written)
    assert type(first) is Recipe and digest(first) == digest(Recipe.model_validate(written))
    assert (second.name, second.parallel.languages.subset) == ("mine-random-5", "lowresource/random-5")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parallel": {"languages": ["de"]}}, "subsets are the languages of its recipes; remove parallel.languages"),
        ({"subsets": ["lowresource/random-5", "lowresource/random-5"]}, "makes two recipes named mine-random-5; name"),
        ({"subsets": ["lowresource/Öl"]}, "makes no recipe of the subset 'lowresource/Öl': String should match"),
        ({"subsets": ["lowresource/rnd-5"]}, "subsets.0: unknown published subset 'lowresource/rnd-5'; did you mean"),
        ({"subsets": []}, "subsets: a list of 0 is not allowed"),
        ({"aligner": "lexikon"}, "aligner: unknown aligner 'lexikon'; did you mean lexicon"),
    ],
)
def test_what_makes_no_recipes_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    from xrealign_bench.listings import validate_file

    with pytest.raises(UserError) as caught:
        validate_file(write_yaml(tmp_path / "mine.yaml", FAMILY | changes))
    assert message in str(caught.value) and str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}:")


def test_recipes_of_shipped_families_are_found_by_name() -> None:
    family = load_spec(shipped_folder(RecipeFamily) / "sentence-uniform.yaml", RecipeFamily)
    general = find_spec("sentence-uniform", Recipe)
    for recipe in family.recipes:
        assert find_spec(recipe.name, Recipe) == recipe
        assert recipe.name in shipped_names(Recipe)
        shared = {"name": general.name, "title": general.title, "parallel": general.parallel}
        assert recipe.model_copy(update=shared) == general
        assert recipe.parallel.model_copy(update={"languages": "suite_targets"}) == general.parallel
    assert {recipe.name for recipe in family.recipes} <= set(family_recipes())
    with pytest.raises(UserError, match="unknown recipe 'sentence-uniform-random-6'; did you mean sentence-uniform-ra"):
        find_spec("sentence-uniform-random-6", Recipe)


def test_the_name_that_lists_show_for_a_family_is_told_to_stand_for_its_recipes() -> None:
    with pytest.raises(UserError) as caught:
        find_spec("sentence-uniform-SUBSET", Recipe)
    message = str(caught.value)
    assert message.startswith(f"'sentence-uniform-SUBSET' stands for {len(family_recipes())} recipes, one for each")
    assert any(f"such as {name};" in message for name in family_recipes())


def test_every_subset_of_the_low_resource_study_has_a_recipe() -> None:
    family = load_spec(shipped_folder(RecipeFamily) / "sentence-uniform.yaml", RecipeFamily)
    assert set(family.subsets) == {name for name in subset_names() if name.startswith("lowresource")}


def test_a_family_can_be_evaluated_by_its_file_or_one_by_its_name() -> None:
    from xrealign_bench.errors import Problems
    from xrealign_bench.specs.yaml import collect_recipes

    problems = Problems()
    file = shipped_folder(RecipeFamily) / "sentence-uniform.yaml"
    every, _ = collect_recipes(str(file), problems)
    one, place = collect_recipes("sentence-uniform-random-5", problems)
    assert not problems and len(every) == len(load_spec(file, RecipeFamily).subsets)
    assert [recipe.name for recipe in one] == ["sentence-uniform-random-5"] and place == file

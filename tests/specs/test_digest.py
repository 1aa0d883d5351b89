"""Digests of specs. Truth: hashlib over JSON written out by hand, and properties."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from xrealign_bench.specs import Recipe, canonical_json, digest

FULL = {
    "name": "x",
    "title": "X",
    "description": "",
    "citation": "",
    "initialisation": "checkpoint",
    "attention": "own",
    "method": "word_contrastive",
    "aligner": None,
    "freeze": {"blocks": "none", "embeddings": False, "train_only": None},
    "adapter": None,
    "objective": {
        "temperature": 0.1,
        "layer": "penultimate",
        "pooling": "first_subword",
        "projection": 128,
        "negatives": "both_languages",
        "sentence_pooling": "mean",
        "regularisation": None,
    },
    "parallel": {"corpus": None, "languages": "suite_targets", "mixing": "round_robin"},
    "schedule": {
        "when": "before",
        "steps": "match_finetuning",
        "batch_size": 16,
        "max_length": "match_finetuning",
        "learning_rate": "match_finetuning",
        "lr_schedule": "constant",
        "weight": 1.0,
    },
}
"""A recipe with every field written out, all at their defaults but the method."""

OTHER_VALUES: dict[str, Any] = {
    "name": "y",
    "title": "Y",
    "description": "d",
    "citation": "c",
    "initialisation": "random",
    "attention": "bidirectional",
    "aligner": "lexicon",
    "freeze.blocks": [0, 1],
    "freeze.embeddings": True,
    "freeze.train_only": "biases",
    "adapter": {"r": 8},
    "objective.temperature": 0.2,
    "objective.layer": 3,
    "objective.pooling": "mean",
    "objective.projection": None,
    "objective.negatives": "other_language",
    "objective.regularisation": {"weight": 1.0},
    "parallel.corpus": "opus-100",
    "parallel.languages": ["de"],
    "parallel.mixing": "uniform",
    "schedule.when": "during",
    "schedule.steps": 100,
    "schedule.batch_size": 32,
    "schedule.max_length": 64,
    "schedule.learning_rate": 1e-5,
    "schedule.lr_schedule": "linear",
}
ONE_VALUE_ONLY = {"method", "objective.sentence_pooling", "schedule.weight"}
"""Fields that have no other value that goes with the rest."""


def leaves(spec: dict[str, Any], before: str = "") -> set[str]:
    below = (leaves(v, f"{before}{k}.") if isinstance(v, dict) else {f"{before}{k}"} for k, v in spec.items())
    return set().union(*below)


def test_canonical_json_is_what_is_written_by_hand() -> None:
    assert canonical_json({"ü": [1, 2.5, True, None], "a": {"z": "", "b": 1e-05}}) == (
        '{"a":{"b":1e-05,"z":""},"ü":[1,2.5,true,null]}'
    )
    assert digest({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()


def test_order_does_not_matter_in_mappings_and_does_in_lists() -> None:
    backwards = {key: FULL[key] for key in reversed(FULL)}
    assert digest(Recipe.model_validate(FULL)) == digest(Recipe.model_validate(backwards))
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_a_default_counts_whether_written_or_not() -> None:
    short = Recipe.model_validate({"name": "x", "title": "X", "method": "word_contrastive"})
    assert digest(short) == digest(Recipe.model_validate(FULL))


def test_the_digest_of_a_full_recipe_is_pinned() -> None:
    """If this fails, every stored result's recipe digest changed: never by accident."""
    assert digest(Recipe.model_validate(FULL)) == ("bf3fe79387449224d19dfb4f13a82b170f798f3a07b051eeb8d522f4acb3c235")


def test_the_cases_cover_every_field_of_a_recipe() -> None:
    dumped = Recipe.model_validate(FULL).model_dump(mode="json")
    assert leaves(dumped) == leaves(FULL) == set(OTHER_VALUES) | ONE_VALUE_ONLY


@pytest.mark.parametrize("field", OTHER_VALUES)
def test_each_field_of_a_recipe_changes_the_digest(field: str) -> None:
    changed = Recipe.model_validate(FULL).model_dump(mode="json")
    *above, last = field.split(".")
    target = changed[above[0]] if above else changed
    target[last] = OTHER_VALUES[field]
    assert digest(Recipe.model_validate(changed)) != digest(Recipe.model_validate(FULL))


WAYS_TO_NAME_LANGUAGES: list[Any] = [
    "suite_targets",
    ["de"],
    {"subset": "lowresource/most-uriel-en-5"},
    {"subset": "lowresource/most-uriel-en-10"},
    {"select": "uriel", "n": 5},
    {"select": "uriel", "n": 10},
    {"select": "family", "n": 5},
    {"select": "uriel", "n": 5, "anchor_source": False},
    {"select": "uriel", "n": 5, "distances": "uriel+"},
    {"select": "random", "n": 5},
    {"select": "random", "n": 5, "seed": 1},
]


def test_each_way_to_name_languages_has_its_own_digest() -> None:
    named = [Recipe.model_validate(FULL | {"parallel": {"languages": way}}) for way in WAYS_TO_NAME_LANGUAGES]
    assert len({digest(recipe) for recipe in named}) == len(named)
    assert [Recipe.model_validate(recipe.model_dump(mode="json")) for recipe in named] == named


def test_how_a_selection_is_written_does_not_matter() -> None:
    short = {"select": "uriel", "n": 5}
    long = {"seed": 0, "distances": "uriel", "anchor_source": True, "n": 5, "select": "uriel"}
    recipes = [Recipe.model_validate(FULL | {"parallel": {"languages": way}}) for way in (short, long)]
    assert digest(recipes[0]) == digest(recipes[1])
    written = canonical_json(recipes[0].parallel)
    assert written == '{"languages":{"n":5,"select":"uriel"}}'


def test_method_none_has_another_digest() -> None:
    none = Recipe.model_validate({"name": "x", "title": "X", "method": "none"})
    assert digest(none) != digest(Recipe.model_validate(FULL))


def test_what_has_no_canonical_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": float("nan")})
    with pytest.raises(TypeError, match="no canonical JSON for set"):
        canonical_json({"a": {1}})

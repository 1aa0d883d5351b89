"""The table of methods. Truth: the names that a recipe may give, and the loss classes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xrealign_bench.realignment.pair_loss import load_pair_loss
from xrealign_bench.realignment.sentence_contrastive import SentenceContrastive
from xrealign_bench.realignment.word_contrastive import WordContrastive
from xrealign_bench.specs import Objective, Recipe
from xrealign_bench.specs.methods import METHODS


def test_every_method_of_a_recipe_has_a_loss() -> None:
    assert set(METHODS) == {"word_contrastive", "sentence_contrastive", "continued_pretraining"}
    assert {recipe(method=name).method for name in ("none", *METHODS)} == {"none", *METHODS}
    losses = {name: type(load_pair_loss(name, Objective())) for name in METHODS if METHODS[name].is_contrastive}
    assert losses == {"word_contrastive": WordContrastive, "sentence_contrastive": SentenceContrastive}


def test_only_methods_on_words_need_links() -> None:
    needs = {name: recipe(method=name).needs_links for name in ("none", *METHODS)}
    assert [name for name, needed in needs.items() if needed] == ["word_contrastive"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "continued_pretraining", "aligner": "gold"},
            "method 'continued_pretraining' contrasts nothing, so aligner 'gold' would have no effect; remove it",
        ),
        (
            {"method": "continued_pretraining", "objective": {"temperature": 0.2}},
            r"contrasts nothing, so objective\.temperature would have no effect; remove it \[type",
        ),
        (
            {"method": "continued_pretraining", "parallel": {"control": "shuffled_pairs"}},
            r"contrasts nothing, so parallel\.control 'shuffled_pairs' would have no effect; remove it",
        ),
        (
            {"method": "sentence_contrastive", "parallel": {"control": "random_words"}},
            r"contrasts sentences, so parallel\.control 'random_words' would have no effect; remove it",
        ),
        (
            {"method": "continued_pretraining", "attention": "bidirectional"},
            "predicts a decoder's next token, and with attention 'bidirectional' the decoder would see it; remove",
        ),
        (
            {"method": "sentence_contrastive", "aligner": "gold"},
            "method 'sentence_contrastive' contrasts sentences, so aligner 'gold' would have no effect; remove it",
        ),
        (
            {"method": "sentence_contrastive", "objective": {"pooling": "mean"}},
            r"so objective\.pooling would have no effect; remove it \(objective\.sentence_pooling is for sentences\)",
        ),
        (
            {"method": "word_contrastive", "objective": {"sentence_pooling": "as_run"}},
            r"so objective\.sentence_pooling would have no effect; remove it \(objective\.pooling is for words\)",
        ),
    ],
)
def test_options_of_another_method_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**settings)


def recipe(**settings: object) -> Recipe:
    return Recipe.model_validate({"name": "one", "title": "One", **settings})

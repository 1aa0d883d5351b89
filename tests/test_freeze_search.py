"""Freeze search. Truth: lists of blocks written by hand, and the gains in the results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pytest
import yaml

from tests.small import BLOCKS, Ran, World, command
from xrealign_bench.errors import UserError
from xrealign_bench.freeze_search import search_recipes
from xrealign_bench.results.storage import read_comparison
from xrealign_bench.specs import Freeze, Recipe, find_spec

WorldMaker = Callable[..., World]
FULL = find_spec("alignfreeze-full", Recipe)


@pytest.mark.parametrize(
    ("pattern", "frozen"),
    [
        ("front", {1: [0], 2: [0, 1], 3: [0, 1, 2]}),
        ("back", {1: [3], 2: [2, 3], 3: [1, 2, 3]}),
        ("single", {0: [0], 1: [1], 2: [2], 3: [3]}),
        ("second", {0: [0, 2], 1: [1, 3]}),
    ],
)
def test_patterns_of_four_blocks(pattern: str, frozen: dict[int, list[int]]) -> None:
    points = search_recipes(FULL, 4, [pattern])
    assert {point.number: point.recipe.freeze.blocks for point in points} == frozen
    assert [point.recipe.name for point in points] == [f"alignfreeze-full-{pattern}-{number}" for number in frozen]
    plain = {"name": "", "title": "", "freeze": Freeze()}
    assert all(point.recipe.model_copy(update=plain) == FULL.model_copy(update=plain) for point in points)


def test_what_else_is_frozen_stays_so() -> None:
    base = FULL.model_copy(update={"freeze": Freeze(embeddings=True, train_only="biases")})
    assert [p.recipe.freeze for p in search_recipes(base, 2, ["front"])] == [
        Freeze(blocks=[0], embeddings=True, train_only="biases")
    ]


@pytest.mark.parametrize(
    ("recipe", "blocks", "message"),
    [
        (
            "alignfreeze-front",
            4,
            "recipe 'alignfreeze-front': the search freezes the blocks of a recipe that realigns and",
        ),
        ("finetune-only", 4, "recipe 'finetune-only': the search freezes"),
        ("alignfreeze-full", 1, "has one block"),
    ],
)
def test_what_can_not_be_searched(recipe: str, blocks: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        search_recipes(find_spec(recipe, Recipe), blocks, ["front"])


def test_a_whole_search(new_world: WorldMaker) -> None:
    world = new_world()
    arguments = ["freeze-search", *world.arguments[1:], "--pattern", "front", "--pattern", "second"]
    planned = command(*arguments, "--dry-run", "--json")
    assert planned.status == 0 and not world.output.exists()
    stages = json.loads(planned.out)["stages"]
    # One baseline, one set of pairs; a realignment for nothing, three fronts and two halves frozen.
    kinds = [stage["stage_type"] for stage in stages]
    assert (kinds.count("align"), kinds.count("realign"), kinds.count("finetune")) == (1, 6, 7)
    ran: Ran = command(*arguments)
    assert ran.status == 0, ran.err
    (folder,) = world.output.glob("freeze-search/small-1.0/*")
    rows = list(csv.DictReader((folder / "gain.csv").open()))
    assert [(row["pattern"], row["number"]) for row in rows] == [
        ("none", "0"), ("front", "1"), ("front", "2"), ("front", "3"), ("second", "0"), ("second", "1"),
    ]  # fmt: skip
    assert (folder / "gain.png").read_bytes().startswith(b"\x89PNG")
    for row in rows:
        comparison = read_comparison(world.result(row["recipe"]))
        assert comparison is not None
        gain = comparison.gains["all"]
        assert [row["all"], row["all_low"]] == [str(round(100 * (end or 0.0), 4)) for end in (gain.mean, gain.low)]
    again = folder / "alignfreeze-full-front-2.yaml"
    assert yaml.safe_load(again.read_text())["freeze"] == {"blocks": [0, 1]}
    ran = world.evaluate("--recipe", again)
    assert ran.status == 0 and "0 stages run" in ran.err
    assert BLOCKS == 4

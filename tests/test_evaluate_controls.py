"""Placebo controls from end to end. Truth: what the results record, and the recipe without the control."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.small import World, write_recipe, write_suite
from xrealign_bench.results.records import RealignmentRecord
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs.recipe import Control

CONTROLS = get_args(Control)
DURING = {"schedule": {"batch_size": 4, "when": "during"}}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    **{control.replace("_", "-"): {"parallel": {"control": control}} for control in CONTROLS},
    "joint": DURING,
    "joint-shuffled": DURING | {"parallel": {"control": "shuffled_pairs"}},
    "pretrained": {"method": "continued_pretraining"},
    "joint-pretrained": DURING | {"method": "continued_pretraining"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    folder = tmp_path_factory.mktemp("controls")
    world = World(folder, write_suite(folder, target_languages=["de"], seeds=[3]), small_checkpoint)
    paths = [write_recipe(folder, name=name, **changes) for name, changes in RECIPES.items()]
    ran = world.evaluate(*(word for path in paths for word in ("--recipe", path)))
    assert ran.status == 0, ran.err
    return world


def record_of(world: World, recipe: str) -> RealignmentRecord:
    (record,) = read_result(world.result(recipe)).realignment
    return record


@pytest.mark.parametrize("control", [control.replace("_", "-") for control in CONTROLS])
def test_a_control_reads_as_many_pairs_and_links_and_trains_otherwise(world: World, control: str) -> None:
    plain, found = record_of(world, "plain"), record_of(world, control)
    equal = ("seed", "steps", "learning_rate", "pairs", "pairs_seen", "links", "trained_parameters", "output_layer")
    assert [getattr(found, field) for field in equal] == [getattr(plain, field) for field in equal]
    assert found.first_loss != plain.first_loss


def test_a_control_works_during_fine_tuning(world: World) -> None:
    plain, found = record_of(world, "joint"), record_of(world, "joint-shuffled")
    assert found.links == plain.links
    assert found.first_loss != plain.first_loss


@pytest.mark.parametrize("recipe", ["pretrained", "joint-pretrained"])
def test_continued_pretraining_says_which_output_layer_it_trained(world: World, recipe: str) -> None:
    """The small checkpoint is an encoder without an output layer."""
    record = record_of(world, recipe)
    assert record.output_layer == "new"
    assert (record.pairs_seen, set(record.links.values())) == ({"de": 12}, {0})
    assert record.frozen_blocks == [0, 1]
    assert record.first_loss == pytest.approx(9.4, abs=1.0)  # the logarithm of 12,000 words


def test_recipes_share_all_that_is_read(world: World) -> None:
    encoded = [
        {stage.key for stage in read_result(world.result(recipe)).stages if stage.stage_type == "encode"}
        for recipe in ("plain", "shuffled-pairs", "source-with-itself", "joint-shuffled")
    ]
    assert all(keys == encoded[0] for keys in encoded)


def test_too_few_pairs_to_shuffle_are_told(new_world: Callable[..., World]) -> None:
    world = new_world()
    recipe = write_recipe(world.folder, parallel={"control": "shuffled_pairs"})
    ran = world.evaluate("--recipe", recipe, "--limit", 1)
    assert ran.status == 2
    assert "parallel.control 'shuffled_pairs': 'de' has fewer than 2 usable pairs (1)" in ran.err
    assert "Traceback" not in ran.err

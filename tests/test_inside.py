"""The command `analyse`. Truth: stored stages, the table that is written, and the table that is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.small import BLOCKS, SEEDS, TARGETS, Ran, World, command, write_recipe, write_suite
from xrealign_bench.results.analysis_files import read_analysis


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    folder = tmp_path_factory.mktemp("world")
    write_recipe(folder)
    return World(folder, write_suite(folder), small_checkpoint)


def analyse(world: World, *more: object, with_charts: bool = False) -> Ran:
    recipe = [] if "--recipe" in more else ["--recipe", world.folder / "mine.yaml"]
    words = [*recipe, "--sentences", 100, "--seed", SEEDS[0], *more]
    return command("analyse", *world.arguments[1:], *words, with_charts=with_charts)


def test_the_plan_says_what_it_costs(small: World) -> None:
    planned = analyse(small, "--dry-run", "--json")
    assert planned.status == 0, planned.err
    kinds = {row["stage_type"]: row["stages"] for row in json.loads(planned.out)["estimate"]}
    # Pairs of three languages to realign on, and three to analyse; a baseline and a recipe.
    assert kinds == {"tokenise": 4, "align": 6, "encode": 6, "realign": 1, "finetune": 2, "predict": 6, "analyse": 2}


def test_no_compute_refuses_what_is_not_stored(small: World) -> None:
    refused = analyse(small, "--no-compute")
    assert refused.status == 2
    assert refused.err.startswith("error: --no-compute: 'fine-tune phrases after finetune-only, seed 3' is not in")
    assert len(refused.err.splitlines()) == 1


@pytest.mark.slow
def test_a_whole_analysis(small: World) -> None:
    ran = analyse(small)
    assert ran.status == 0, ran.err
    (path,) = small.output.glob("analysis/small-1.0/*/analysis--seed3--*.csv")
    table = pd.read_csv(path)
    assert list(table.columns) == [
        "recipe", "task", "seed", "form", "language", "tier", "block", "measure", "item", "value", "n"
    ]  # fmt: skip
    assert table.groupby("recipe", sort=False).form.unique().map(list).to_dict() == {
        "finetune-only": ["initial", "finetuned"],
        "mine": ["initial", "realigned", "finetuned"],
    }
    by_language = table.drop_duplicates("language").set_index("language").tier
    assert by_language.to_dict() == {"de": "high", "sw": "low", "th": "medium", "en": "source", "all": "all"}
    endings = ("--curves.png", "--gradients.png", "--languages.png", ".csv", ".json", ".parquet")
    assert sorted(file.name for file in path.parent.iterdir()) == [path.stem + ending for ending in endings]
    assert analyse(small, "--measure", "drift").status == 0
    assert len(list(path.parent.glob("*.csv"))) == 2 and path.is_file()  # a smaller analysis replaces nothing
    record = read_analysis(path.with_suffix(".json")).record
    assert record.frozen_blocks == {"finetune-only": [], "mine": [0, 1]} and record.left_out == {}
    assert record.languages == dict.fromkeys(TARGETS, 100) and record.corpora == ["pairs"]
    assert len(record.stages) == 2 and record.seeds == [3]
    pd.testing.assert_frame_equal(pd.read_parquet(path.with_suffix(".parquet")).value.to_frame(), table[["value"]])
    printed = next(line for line in ran.out.splitlines() if line.startswith("mine") and "realigned" in line).split()
    own = table[(table.recipe == "mine") & (table.form == "realigned") & (table.measure == "mexa")]
    mean = own[own.block >= 0].value.mean()
    assert float(printed[3]) == pytest.approx(mean, abs=6e-4) and len(own) == len(TARGETS) * (BLOCKS + 1)


@pytest.mark.slow
def test_stored_stages_are_not_run_again(small: World) -> None:
    again = analyse(small, "--json")
    assert again.status == 0, again.err
    assert "27 stages over 1 seed (3); 27 stored" in again.err
    rows = json.loads(again.out)
    assert {row["block"] for row in rows} == {None, *range(-1, BLOCKS)}
    assert analyse(small, "--no-compute").status == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--recipe", "finetune-only", "--measure", "gradients"],
            "--measure gradients: recipe 'finetune-only' has no realignment loss",
        ),
        (["--corpus", "{world}/pairs.yaml"], "recipe 'mine' realigns on sentences of the corpus 'pairs' in 'de'"),
        (["--corpus", "nowhere"], "unknown corpus 'nowhere'"),
        (["--recipe", "{world}/tokenizer.yaml"], "tokenizer: no such field; allowed: name, title, "),
        (
            ["--recipe", "finetune-only", "--measure", "anchors"],
            "--measure anchors: recipe 'finetune-only' realigns no linked words; leave it out or choose another recipe",
        ),
        (["--sentences", "99"], "invalid value for '--sentences': 99 is not in the range x>=100"),
    ],
)
def test_what_can_not_be_analysed_is_told_in_one_sentence(small: World, more: list[str], message: str) -> None:
    write_recipe(small.folder, name="tokenizer", tokenizer="org/other")
    refused = analyse(small, *(word.format(world=small.folder) for word in more))
    assert refused.status == 2 and message in refused.err
    assert len(refused.err.splitlines()) == 1 and "Traceback" not in refused.err


@pytest.mark.slow
def test_the_baseline_is_left_out_of_measures_that_it_lacks(small: World) -> None:
    ran = analyse(small, "--measure", "gradients", "--json")
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)
    assert {row["recipe"] for row in rows} == {"mine"}
    assert {row["measure"] for row in rows} == {"gradient_cosine", "gradient_cosine_std"}


@pytest.mark.slow
def test_figures_are_drawn(small: World) -> None:
    assert analyse(small, with_charts=True).status == 0
    for path in small.output.glob("analysis/small-1.0/*/*.png"):
        assert path.read_bytes().startswith(b"\x89PNG\r\n") and path.stat().st_size > 10_000

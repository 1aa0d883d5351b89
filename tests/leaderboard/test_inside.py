"""The section "Inside" of boards and pages. Truth: the stored table, from which each shown number is computed again."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.leaderboard.test_board import BASELINE, entry
from tests.leaderboard.test_build import store
from tests.leaderboard.test_links import broken_links
from tests.leaderboard.test_site import Page
from tests.scoring.builder import LANGUAGES
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.inside_chart import COSINES, draw_cosines, draw_gradients, draw_tiers
from xrealign_bench.leaderboard.inside_summary import summarise
from xrealign_bench.leaderboard.site.build import build_site
from xrealign_bench.results.analysis_files import AnalysedRecipe, AnalysisRecord, find_analyses, write

SEEDS = [1, 2, 3]
FORMS = {"finetune-only": ["initial", "finetuned"], "good": ["initial", "realigned", "finetuned"]}
BLOCKS = [-1, 0, 1]


def make_table() -> pd.DataFrame:
    """MEXA of all languages and blocks, and gradient cosines of the recipe, all different."""
    random = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    for recipe, forms in FORMS.items():
        for seed in SEEDS:
            for form in forms:
                cell = (recipe, "tags", seed, form)
                for language in LANGUAGES:
                    place = (*cell, language.code, language.tier)
                    rows += [(*place, block, "mexa", "", random.random(), 100) for block in BLOCKS]
                    rows.append((*place, None, "mexa_mean", "", random.random(), 100))
                    rows.append((*place, None, "anchors_among_lost", "", random.random(), 9))
                if recipe == "good":
                    rows += [(*cell, "all", "all", b, name, "", random.random(), 8) for b in BLOCKS for name in COSINES]
    columns = ["recipe", "task", "seed", "form", "language", "tier", "block", "measure", "item", "value", "n"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(block=table["block"].astype("Int16"))


def make_record(**fields: Any) -> AnalysisRecord:
    result = BASELINE.result
    return AnalysisRecord(
        **{
            "harness_version": "0.0.0",
            "created": datetime(2026, 1, 2, tzinfo=UTC),
            "command": "none",
            "suite": result.suite.id,
            "suite_digest": result.suite_digest,
            "checkpoint": result.checkpoint.id,
            "revision": None,
            "weights_sha256": result.checkpoint.weights_sha256,
            "recipes": [
                AnalysedRecipe(name=name, recipe_digest="0" * 64, frozen_blocks=[0] * (name == "good"))
                for name in FORMS
            ],
            "tasks": ["tags"],
            "seeds": SEEDS,
            "languages": {language.code: 100 for language in LANGUAGES},
            "left_out": {"am": 30},
            "sentences": 100,
            "pooling": "weighted_mean",
            "measures": ["alignment"],
            "corpora": ["toy"],
            "packages": {},
            "stages": [],
            "table_sha256": "0" * 64,
            **fields,
        }
    )


def write_all(root: Path, **fields: Any) -> tuple[Path, Path]:
    """Write results and an analysis, and return the folder of results and the analysis' record."""
    flat = store(root / "flat", BASELINE, entry("good", 0.05, 0.04, 0.06))
    shutil.copytree(flat, root / "results" / "toy-1.0" / "mini")
    (root / "analysis" / "toy-1.0" / "mini").mkdir(parents=True)
    _, record = write(root / "analysis" / "toy-1.0" / "mini" / "analysis--x1.0", make_table(), make_record(**fields))
    return root / "results", record


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inside")
    results, _ = write_all(root)
    build(results, root)
    build_site(results, root / "site")
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> Page:
    return Page(root / "site/toy-1.0/checkpoints/mini/index.html")


def mean_by_seed(recipe: str, form: str, measure: str = "mexa") -> list[float]:
    table = make_table()
    own = table[(table.recipe == recipe) & (table.form == form) & (table.measure == measure)]
    own = own[own.block.isna() | (own.block >= 0)]
    return [float(own[own.seed == seed].value.mean()) for seed in SEEDS]


def shown(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ±{np.std(values, ddof=1):.3f}"


def test_the_table_of_means_is_that_of_the_stored_values(page: Page, root: Path) -> None:
    text = (root / "toy-1.0" / "README.md").read_text()
    for recipe, forms in FORMS.items():
        for form in forms:
            mexa = shown(mean_by_seed(recipe, form))
            lost = shown(mean_by_seed(recipe, form, "anchors_among_lost"))
            row = next(row for row in page.rows if row[:2] == [recipe, form])
            assert mexa in row and lost in row
            line = next(line for line in text.splitlines() if line.startswith(f"| {recipe} | {form} |"))
            assert mexa in line and lost in line


def test_correlations_are_those_of_the_stored_values_with_the_scores(page: Page, root: Path) -> None:
    table, results = make_table(), root / "results/toy-1.0/mini"
    text = (root / "toy-1.0" / "README.md").read_text()
    for recipe, forms in FORMS.items():
        scores: dict[str, list[float]] = {}
        for score in json.loads((results / recipe / "result.json").read_text())["scores"]:
            scores.setdefault(score["language"], []).append(score["metrics"]["accuracy"])
        gold = [np.mean(scores[language.code]) for language in LANGUAGES]
        for form in forms:
            own = table[(table.recipe == recipe) & (table.form == form) & table.measure.isin(["mexa", "mexa_mean"])]
            means = own.groupby([own.block.fillna(9), "language"]).value.mean()
            whole, *rs = (np.corrcoef(means[b][[x.code for x in LANGUAGES]], gold)[0, 1] for b in (9, *BLOCKS))
            low, high = np.tanh(np.arctanh(whole) + np.array([-1.959964, 1.959964]))
            shown = [f"{whole:.2f} [{low:.2f}, {high:.2f}]", *(f"{r:.2f}" for r in rs)]
            assert [recipe, form, "4", *shown] in page.rows
            assert f"| {recipe} | {form} | 4 | {' | '.join(shown)} |" in text


def test_the_heat_map_has_the_change_of_each_language_and_block(page: Page) -> None:
    table = make_table()
    for recipe, form in (("good", "realigned"), ("finetune-only", "finetuned")):
        own = table[(table.recipe == recipe) & (table.measure == "mexa")]
        means = own.groupby(["form", "language", "block"]).value.mean()
        assert f"from the initial to the {form} form by language and block, in points, {recipe}" in page.text
        for language in LANGUAGES:
            change = [100 * (means[form, language.code, b] - means["initial", language.code, b]) for b in BLOCKS]
            rows = [row for row in page.rows if row[0].endswith(f"({language.code})")]
            assert [f"{each:+.1f}" for each in change] in [row[-len(BLOCKS) :] for row in rows]


def test_what_was_read_is_said_and_linked(page: Page, root: Path) -> None:
    said = "at most 100 sentence pairs of 4 languages that no recipe realigns on (toy), with 3 seeds"
    assert said in page.text and "am (30)" in page.text and "weighted mean" in page.text
    assert "blocks 0 frozen in realignment" in page.text
    copied = page.path.parent
    stored = root / "analysis/toy-1.0/mini"
    for name in ("analysis--x1.0.json", "analysis--x1.0.parquet"):
        assert (copied / name).read_bytes() == (stored / name).read_bytes()
    assert list(broken_links(page.path.parents[3])) == []
    assert "(../analysis/toy-1.0/mini/analysis--x1.0.json)" in (root / "toy-1.0" / "README.md").read_text()


def test_curves_and_cosines_are_means_and_deviations_of_the_stored_values() -> None:
    from matplotlib.figure import Figure

    table = make_table()
    axes = Figure().add_subplot()
    own = table[(table.recipe == "good") & (table.measure == "mexa")]
    draw_tiers(axes, own[(own.tier == "low") & (own.form == "finetuned")])
    low = own[(own.tier == "low") & (own.form == "finetuned")].groupby(["block", "seed"]).value.mean().unstack()
    (line,), (band,) = axes.lines, axes.collections
    np.testing.assert_allclose(np.array(line.get_ydata(), float), low.mean(axis=1))
    ys = band.get_paths()[0].vertices[:, 1]  # type: ignore[index]
    assert ys.max() == pytest.approx((low.mean(axis=1) + low.std(axis=1)).max())
    axes = Figure().add_subplot()
    own = table[(table.recipe == "good") & (table.form == "realigned") & table.measure.isin(COSINES)]
    draw_cosines(axes, own, frozen=[0])
    cosines, batches = (own[own.measure == name].groupby(["block", "seed"]).value.mean().unstack() for name in COSINES)
    (container,) = axes.containers
    np.testing.assert_allclose(np.array(container.lines[0].get_ydata(), float), cosines.mean(axis=1))  # type: ignore[union-attr]
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in container.lines[2][0].get_segments()]  # type: ignore[union-attr]
    np.testing.assert_allclose(lengths, np.hypot(batches.mean(axis=1), cosines.std(axis=1)))
    assert [patch.get_x() for patch in axes.patches] == [-0.5]  # type: ignore[attr-defined]


def test_every_panel_labels_all_blocks_and_frozen_ones_without_a_gradient() -> None:
    table = make_table()
    other = table[table.recipe == "good"].assign(recipe="better")
    figure = draw_gradients(pd.concat([table, other]), {"good": [1, 2]}, "toy")
    assert figure is not None
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["emb.", "0", "1", "2"]
        assert axes.get_xlim()[1] > 2.4


def test_one_seed_has_no_spread() -> None:
    table = make_table()
    rows = summarise(table[table.seed == 1])
    assert all(mean.std is None for row in rows for mean in row.means.values())


def test_boards_without_an_analysis_say_nothing_of_it(tmp_path: Path) -> None:
    results, record = write_all(tmp_path)
    shutil.rmtree(record.parent)
    build(results, tmp_path)
    assert "Inside" not in (tmp_path / "toy-1.0" / "README.md").read_text()
    assert find_analyses(results / "toy-1.0" / "mini") == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"suite_digest": "1" * 64}, "is an analysis of another suite than the results beside it"),
        ({"weights_sha256": "1" * 64}, "is an analysis of other weights than the results beside it"),
    ],
)
def test_an_analysis_of_something_else_is_refused(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    results, record = write_all(tmp_path, **fields)
    with pytest.raises(UserError) as raised:
        build(results, tmp_path)
    assert str(raised.value) == f"{record}: {message}; remove it, or analyse again"


def test_a_damaged_analysis_is_refused(tmp_path: Path) -> None:
    results, record = write_all(tmp_path)
    table = record.with_name("analysis--x1.0.parquet")
    table.write_bytes(table.read_bytes() + b"0")
    with pytest.raises(UserError, match=r"\.parquet: was changed since it was written; restore it, or analyse again"):
        build(results, tmp_path)
    table.unlink()
    with pytest.raises(UserError, match=r"\.parquet: is missing; restore it, or analyse again"):
        build_site(results, tmp_path / "site")
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"seeds": "all"}))
    with pytest.raises(UserError, match=r"analysis--x1\.0\.json: seeds: "):
        build(results, tmp_path)

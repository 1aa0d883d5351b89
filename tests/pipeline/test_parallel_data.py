"""How many pairs a recipe reads, and languages that differ by seed. Truth: counts by hand, and the published draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipeline.test_plan import CHECKPOINT, keys, request
from tests.small import TARGETS
from xrealign_bench.aligners import Resources, registry
from xrealign_bench.data import DataLocation, Links, ParallelText
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.languages import select
from xrealign_bench.pipeline import preflight
from xrealign_bench.pipeline.plan import Plan, Run
from xrealign_bench.pipeline.planning import make_plan
from xrealign_bench.pipeline.planning.parallel_data import pairs_needed
from xrealign_bench.pipeline.stage import RunContext, Workspace
from xrealign_bench.pipeline.stages import Align, Realign
from xrealign_bench.specs import Corpus, Task

AS_NEEDED: dict[str, Any] = {"corpus": {"pairs": "as_needed"}}
DEMO_TARGETS = ["af", "de", "et", "fr", "jv", "ha", "sw", "th", "tr", "zh"]
DEMO_TASK: dict[str, Any] = {"configs": {code: code for code in ["en", *DEMO_TARGETS]}}


def schedule(steps: int, batch_size: int = 16) -> dict[str, Any]:
    return {"schedule": {"steps": steps, "batch_size": batch_size}}


def pairs_read(plan: Plan, run: Run) -> set[Any]:
    return {stage.settings.corpus.pairs for stage in plan.aligned(run).values()}


@pytest.mark.parametrize(
    ("languages", "read"),
    # 24,544 steps of 16 pairs, as in the low-resource study, are 392,704 pairs.
    [(65, 20_000), (34, 20_000), (20, 20_000), (19, 50_000), (10, 50_000), (5, 100_000), (1, 500_000)],
)
def test_as_many_pairs_are_read_as_are_drawn_from_a_language(languages: int, read: int) -> None:
    """392,704 / 20 = 19,635.2 still fits into 20,000; / 19 = 20,668.6, / 10 = 39,270.4, / 5 = 78,540.8."""
    asked = request(recipe=schedule(24_544))
    assert pairs_needed(asked, asked.recipes[1], languages) == read


def test_uniform_draws_need_four_standard_deviations_more() -> None:
    """19,635.2 pairs and four times their root, 560.5, are more than 20,000."""
    asked = request(recipe=schedule(24_544) | {"parallel": {"mixing": "uniform"}})
    assert pairs_needed(asked, asked.recipes[1], 20) == 50_000
    assert pairs_needed(asked, asked.recipes[1], 21) == 20_000


def test_a_recipe_that_draws_from_few_pairs_reads_few() -> None:
    asked = request(recipe=schedule(24_544) | {"parallel": {"pairs": {"default": 581, "xlm-roberta": 519}}})
    assert pairs_needed(asked, asked.recipes[1], 5) == 20_000


def test_the_longest_training_of_the_suite_decides_whichever_tasks_are_evaluated() -> None:
    task = request().tasks[0]
    tasks = [task, Task.model_validate(task.model_dump() | {"name": "longer"})]
    suite = {"tasks": ["phrases", "longer"], "finetuning_by_task": {"longer": {"steps": 60_000}}}
    asked = request(recipe={"schedule": {"batch_size": 4}}, suite=suite, suite_tasks=tasks, **AS_NEEDED)
    plans = [make_plan(asked), make_plan(request(
        recipe={"schedule": {"batch_size": 4}}, suite=suite, suite_tasks=tasks, tasks=tasks[:1], **AS_NEEDED
    ))]  # fmt: skip
    # 60,000 * 4 / 3 languages = 80,000
    assert [pairs_read(plan, plan.runs[1]) for plan in plans] == [{100_000}, {100_000}]


def test_as_needed_is_the_same_work_as_the_number_written_out() -> None:
    needed = keys(make_plan(request(**AS_NEEDED)))
    assert needed == keys(make_plan(request(corpus={"pairs": 20_000})))


def test_the_suite_may_set_the_steps_of_realignment_for_all_tasks() -> None:
    """The low-resource study realigned 24,544 steps for each task."""
    task = request().tasks[0]
    tasks = [task, Task.model_validate(task.model_dump() | {"name": "longer"})]
    suite = {"tasks": ["phrases", "longer"], "finetuning_by_task": {"longer": {"steps": 9}}}

    def steps(recipe: dict[str, Any], **more: Any) -> dict[str, int]:
        plan = make_plan(request(recipe=recipe, suite=suite | more, suite_tasks=tasks))
        refs = {name: plan.stages[ref] for (name, seed), ref in plan.runs[1].realign.items() if seed == 3}
        return {name: stage.steps for name, stage in refs.items() if isinstance(stage, Realign)}

    assert steps({}) == {"phrases": 3, "longer": 9}
    assert steps({}, realignment_steps=5) == {"phrases": 5, "longer": 5}
    assert steps(schedule(4), realignment_steps=5) == {"phrases": 4, "longer": 4}
    plan = make_plan(request(suite=suite | {"realignment_steps": 5}, suite_tasks=tasks))
    assert len({ref for (_, seed), ref in plan.runs[1].realign.items() if seed == 3}) == 1


def test_pairs_that_a_corpus_lacks_are_refused_before_any_work() -> None:
    make_plan(request(recipe={"parallel": {"pairs": 10}}))
    with pytest.raises(UserError) as caught:
        make_plan(request(recipe={"parallel": {"pairs": 11}}))
    assert str(caught.value) == (
        "recipe 'mine': parallel.pairs asks for 11 pairs of each language, and there are 10 of 'de', 10 of 'sw', "
        "10 of 'th'; ask for fewer, or leave these languages out"
    )


def realigned(plan: Plan, seed: int) -> set[str]:
    stage = plan.stages[plan.runs[1].realign["phrases", seed]]
    assert isinstance(stage, Realign)
    assert set(stage.inputs.pairs.values()) <= set(plan.stages)
    return set(stage.inputs.pairs)


def test_languages_can_be_drawn_anew_for_each_training_seed() -> None:
    suite = {"target_languages": DEMO_TARGETS}
    languages = {"parallel": {"languages": {"select": "random", "n": 4, "seed": "training"}}}
    plan = make_plan(request(recipe=languages, suite=suite, task=DEMO_TASK))
    there = set(phrases.LANGUAGES) & set(DEMO_TARGETS)
    drawn = {seed: set(select("random", 4, there, seed=seed).languages) for seed in (3, 7)}
    assert {seed: realigned(plan, seed) for seed in (3, 7)} == drawn
    assert drawn[3] != drawn[7]
    assert set(plan.runs[1].align) == drawn[3] | drawn[7]
    once = {"parallel": {"languages": {"select": "random", "n": 4, "seed": 3}}}
    fixed = make_plan(request(recipe=once, suite=suite, task=DEMO_TASK))
    assert fixed.runs[1].realign["phrases", 3] == plan.runs[1].realign["phrases", 3]
    assert realigned(fixed, 7) == drawn[3]


def test_the_published_draws_are_realigned_by_seed() -> None:
    """Typed from the study's raw results (random_5, seeds 42 and 66)."""
    suite = {"target_languages": DEMO_TARGETS, "seeds": [42, 66]}
    subset = {"parallel": {"languages": {"subset": "lowresource/random-5"}}}
    plan = make_plan(request(recipe=subset, suite=suite, task=DEMO_TASK))
    assert realigned(plan, 42) == {"af", "de", "jv", "ln", "tn"} - set(plan.runs[1].without_data)
    assert realigned(plan, 66) == {"et", "om", "kk", "tr", "xh"} - set(plan.runs[1].without_data)
    assert sorted(plan.runs[1].without_data) == ["kk", "ln", "om", "tn", "xh"]  # CLDR has no phrases of theirs
    with pytest.raises(UserError, match="was drawn for each of the seeds 17, 23, 42, 66, and not for 3; use those"):
        make_plan(request(recipe=subset))


def test_the_targets_are_those_of_the_small_suite() -> None:
    assert {stage.settings.target for stage in make_plan(request()).stages.values() if isinstance(stage, Align)} == set(
        TARGETS
    )


EFLOMAL = {"kind": "eflomal"}
ALIGNERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "symmetrisation": (EFLOMAL, EFLOMAL | {"symmetrisation": "grow-diag-final-and"}),
    "aligned pairs": (EFLOMAL, EFLOMAL | {"pairs": 50}),
    "case": ({"kind": "lexicon"}, {"kind": "lexicon", "case": "match"}),
}


@pytest.mark.parametrize(("plain", "changed"), ALIGNERS.values(), ids=ALIGNERS)
def test_the_settings_of_an_aligner_are_part_of_the_keys(plain: dict[str, Any], changed: dict[str, Any]) -> None:
    by_name, by_mapping, other = (
        keys(make_plan(request(recipe={"aligner": aligner}))) for aligner in (plain["kind"], plain, changed)
    )
    assert by_name == by_mapping
    assert not by_name["align"] & other["align"]
    of_suite = {"parallel": {"corpus": "pairs", "aligner": changed}}
    assert keys(make_plan(request(suite=of_suite))) == other


def test_the_similarity_of_a_named_checkpoint_depends_on_that_one_alone(small_checkpoint: Path) -> None:
    aligner = {"aligner": {"kind": "similarity", "checkpoint": str(small_checkpoint)}}
    named = make_plan(request(recipe=aligner))
    other = make_plan(request(recipe=aligner, checkpoint={"weights_sha256": "x" * 64}))
    own = make_plan(request(recipe={"aligner": "similarity"}))
    assert keys(named)["align"] == keys(other)["align"] and not keys(named)["align"] & keys(own)["align"]
    (stage, *_) = named.aligned(named.runs[1]).values()
    assert stage.aligner_checkpoint is not None and stage.aligner_checkpoint.folder == small_checkpoint
    assert stage.settings.checkpoint is not None
    assert stage.settings.checkpoint.weights == stage.aligner_checkpoint.weights_sha256 != "w" * 64
    assert str(small_checkpoint) not in str(stage.description())
    assert all(stage.aligner_checkpoint is None for stage in own.aligned(own.runs[1]).values())


def test_an_aligner_checkpoint_that_is_absent_is_one_sentence(tmp_path: Path) -> None:
    aligner = {"kind": "similarity", "checkpoint": f"{tmp_path}/none"}
    with pytest.raises(UserError) as caught:
        make_plan(request(recipe={"aligner": aligner}))
    assert str(caught.value) == (
        f"recipe 'mine': aligner.checkpoint: checkpoint {tmp_path}/none: there is no such folder"
    )


def test_an_aligner_whose_package_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_is_installed", lambda package: package != "systran-align")
    with pytest.raises(UserError, match="'fast-align' needs the package systran-align; install it with pip install 'x"):
        make_plan(request(recipe={"aligner": "fast-align"}))


def test_pairs_beyond_those_that_are_kept_are_aligned_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten pairs are kept; the aligner sees thirty, and the first ten of its links are stored."""
    seen: list[ParallelText] = []

    def link_first_words(text: ParallelText, resources: Resources) -> list[Links]:
        seen.append(text)
        return [[(0, len(target) - 1)] for target in text.target_words]

    toy = replace(registry.ALIGNERS["eflomal"], align=link_first_words)
    monkeypatch.setitem(registry.ALIGNERS.shipped, "eflomal", toy)
    plan = make_plan(request(recipe={"aligner": {"kind": "eflomal", "pairs": 30}}))
    stage = plan.aligned(plan.runs[1])["de"]
    context = RunContext(CHECKPOINT, DataLocation(offline=True), "cpu")
    stage.run(Workspace(context, lambda ref: tmp_path, tmp_path, lambda *_: None))
    rows = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert (len(seen[0].source_words), len(rows)) == (30, 10)
    assert [row["source_words"] for row in rows] == seen[0].source_words[:10]
    (record,) = json.loads((tmp_path / "data.json").read_text())
    assert record["examples"] == 10


def test_a_filter_is_part_of_the_keys_and_its_column_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pairs-en-de.tsv").write_text("en\tde\tscore\na\tb\t0.4\nc\td\t0.9\n")
    source = {"kind": "files", "train": "pairs-{config}.tsv"}
    fields = {"name": "pairs", "title": "Own", "licence": "none", "source": source, "config": "{source}-{target}"}
    corpus = Corpus.model_validate(fields, context={"folder": tmp_path})

    def plan(recipe: dict[str, Any]) -> Plan:
        asked = request(recipe={"aligner": "eflomal"} | recipe)
        loaded = replace(asked.loaded, corpora={"pairs": corpus})
        return make_plan(replace(asked, loaded=loaded))

    filtered, other = (
        keys(plan({"parallel": {"filter": {"column": "score", "at_least": least}}})) for least in (0.5, 0.8)
    )
    assert not filtered["align"] & other["align"] and not filtered["align"] & keys(plan({}))["align"]
    with pytest.raises(UserError, match=r"recipe 'mine': parallel\.filter: unknown column of .*: 'scores'; did"):
        plan({"parallel": {"filter": {"column": "scores", "at_least": 0.5}}})
    with pytest.raises(UserError, match=r"recipe 'mine': parallel\.filter: the corpus 'pairs' is embedded and has no"):
        make_plan(request(recipe={"parallel": {"filter": {"column": "score", "at_least": 0.5}}}))

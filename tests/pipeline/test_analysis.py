"""The stage `analyse`. Truth: transformers' hidden states, retrieval by hand, and the stages that recipes share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Features, Value
from transformers import AutoModel, AutoTokenizer

from tests.data.hub_folder import write_rows
from tests.small import BLOCKS, CORPUS, TARGETS, write_checkpoint, write_recipe, write_suite, write_yaml
from tests.test_retrieval_suite import FOUND
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare, run_context
from xrealign_bench.pipeline.executor import run_serially
from xrealign_bench.pipeline.files import read_json
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.pipeline.planning.analysis import AnalysisOptions, plan_analysis
from xrealign_bench.pipeline.stages.analyse import TABLE, TEXTS
from xrealign_bench.pipeline.store import Store
from xrealign_bench.specs import Corpus

SENTENCES = 120


def write_world(folder: Path, **suite: Any) -> Options:
    checkpoint = folder / "bert"
    if not checkpoint.exists():
        write_checkpoint(checkpoint)
    return Options(
        checkpoint=str(checkpoint),
        recipes=[str(write_recipe(folder))],
        suite=str(write_suite(folder, **suite)),
        seeds=[3],
        offline=True,
        device="cpu",
    )


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return write_world(tmp_path_factory.mktemp("analysis"))


@pytest.fixture(scope="module")
def ran(options: Options, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    plan = plan_analysis(prepare(options), AnalysisOptions(sentences=SENTENCES))
    store = Store(tmp_path_factory.mktemp("store"))
    outcome = run_serially(plan, store, run_context(plan.request, "cpu"), lambda _: None)
    assert not outcome.failed
    return plan, store


def table(ran: tuple[Plan, Store], run: int) -> pd.DataFrame:
    plan, store = ran
    return pq.read_table(store.read(*plan.runs[run].analyse["phrases", 3]).folder / TABLE).to_pandas()


def value(found: pd.DataFrame, **cell: Any) -> float:
    for name, wanted in cell.items():
        found = found[found[name] == wanted]
    assert len(found) == 1
    return float(found.value.iloc[0])


def test_every_form_block_and_language_is_measured(ran: tuple[Plan, Store]) -> None:
    found = table(ran, 1)
    assert list(found.form.unique()) == ["initial", "realigned", "finetuned"]
    for measure in ("mexa", "retrieval_from_source", "word_precision"):
        own = found[found.measure == measure]
        assert set(zip(own.form, own.language, own.block, strict=True)) == {
            (form, language, block)
            for form in ("initial", "realigned", "finetuned")
            for language in TARGETS
            for block in range(-1, BLOCKS)
        }
    assert not found.value.isna().any()
    assert set(found[found.measure == "cka"].form) == {"realigned", "finetuned"}
    assert set(table(ran, 0).form) == {"initial", "finetuned"}


def test_retrieval_is_that_of_transformers_hidden_states(ran: tuple[Plan, Store], options: Options) -> None:
    """Mean of the sub-words of all words after each block, with the tokenizer and model that transformers loads."""
    tokenizer, model = (auto.from_pretrained(options.checkpoint) for auto in (AutoTokenizer, AutoModel))
    rows = phrases.parallel_rows("en", "de", 200, held_out=True)
    sides: list[dict[tuple[int, ...], Any]] = [{}, {}]
    kept: list[tuple[Any, Any]] = []
    for row in rows:
        both = [tokenizer(words, is_split_into_words=True) for words in (row.source_words, row.target_words)]
        ids = [tuple(each.input_ids) for each in both]
        if len(kept) < SENTENCES and all(own not in side for own, side in zip(ids, sides, strict=True)):
            kept.append((both[0], both[1]))
            for own, side in zip(ids, sides, strict=True):
                side[own] = None
    vectors: list[list[list[np.ndarray]]] = [[], []]
    for pair in kept:
        for side, encoded in zip(vectors, pair, strict=True):
            with torch.no_grad():
                hidden = model(torch.tensor([encoded.input_ids]), output_hidden_states=True).hidden_states
            inside = [place for place, word in enumerate(encoded.word_ids()) if word is not None]
            side.append([layer[0, inside].mean(0).numpy() for layer in hidden])
    found = table(ran, 1)
    for block in (-1, 1, BLOCKS - 1):
        left, right = (np.array([text[block + 1] for text in side], np.float64) for side in vectors)
        left, right = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (left, right))
        hits = float(np.mean((left @ right.T).argmax(1) == np.arange(len(left))))
        cell = {"form": "initial", "language": "de", "block": block, "measure": "retrieval_from_source"}
        assert value(found, **cell) == pytest.approx(hits, abs=2 / SENTENCES)


def test_the_initial_form_is_the_same_in_every_recipe(ran: tuple[Plan, Store]) -> None:
    shared = [found[(found.form == "initial") & (found.measure == "mexa")] for found in (table(ran, 0), table(ran, 1))]
    assert shared[0].value.tolist() == shared[1].value.tolist()


def test_errors_add_up_to_the_score(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    found = table(ran, 1)
    for language in TARGETS:
        score = read_json(store.read(*plan.runs[1].predict["phrases", language, 3]).folder / "score.json")
        for measure in ("error_by_label", "error_by_frequency"):
            own = found[(found.measure == measure) & (found.language == language)]
            assert own.n.sum() == score["counted"]
            assert 1 - (own.value * own.n).sum() / own.n.sum() == pytest.approx(score["metrics"]["accuracy"])


def test_anchors_are_counted_among_all_scored_words_and_among_those_that_the_baseline_got_right(
    ran: tuple[Plan, Store],
) -> None:
    plan, store = ran
    found = table(ran, 1)
    assert not found[found.measure == "anchors_among_all"].value.isin([0.0, 1.0]).all()
    for language in TARGETS:
        right = []
        for run in plan.runs:
            read = pq.read_table(store.read(*run.predict["phrases", language, 3]).folder / "predictions.parquet")
            columns = [read[name].combine_chunks().flatten().to_pylist() for name in ("gold", "predicted", "scored")]
            right.append([gold == predicted for gold, predicted, scored in zip(*columns, strict=True) if scored])
        lost = sum(before and not after for before, after in zip(*right, strict=True))
        own = found[found.language == language]
        assert own[own.measure == "anchors_among_all"].n.tolist() == [len(right[1])]
        assert own[own.measure == "anchors_among_lost"].n.tolist() == [lost] * bool(lost)
    assert not table(ran, 0).measure.str.startswith("anchors").any()


def test_gradients_of_blocks_that_the_loss_reaches_are_compared(ran: tuple[Plan, Store]) -> None:
    found = table(ran, 1)
    own = found[found.measure == "gradient_cosine"]
    assert set(zip(own.form, own.block, strict=True)) == {
        (form, block) for form in ("initial", "realigned", "finetuned") for block in range(-1, BLOCKS - 1)
    }
    assert own.value.between(-1, 1).all()
    assert not (table(ran, 0).measure == "gradient_cosine").any()


def test_what_was_read_is_recorded(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    texts = read_json(store.read(*plan.runs[1].analyse["phrases", 3]).folder / TEXTS)
    assert texts == {"sentences": dict.fromkeys(TARGETS, SENTENCES), "left_out": {}}


def test_an_analysis_shares_the_stages_of_an_evaluation(options: Options) -> None:
    evaluation = prepare(options)
    known = set(evaluation.stages)
    part = plan_analysis(evaluation, AnalysisOptions(sentences=SENTENCES))
    added = {ref.stage_type for ref in set(part.stages) - known}
    assert added == {"align", "encode", "analyse"}
    assert {ref.stage_type for ref in set(part.stages) & known} >= {"realign", "finetune", "predict"}


def test_a_language_with_too_few_sentences_is_left_out_and_counted(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = phrases.parallel_rows

    def few_in_sw(source: str, target: str, size: int, *args: Any, **more: Any) -> Any:
        return everything(source, target, min(size, 30) if target == "sw" else size, *args, **more)

    monkeypatch.setattr(phrases, "parallel_rows", few_in_sw)
    asked = AnalysisOptions(sentences=SENTENCES, measures=["drift"])
    plan = plan_analysis(prepare(replace(options, languages=["sw", "de"])), asked)
    store = Store(tmp_path / "store")
    context = run_context(plan.request, "cpu")
    assert not run_serially(plan, store, context, lambda _: None).failed
    texts = read_json(store.read(*plan.runs[1].analyse["phrases", 3]).folder / TEXTS)
    assert texts == {"sentences": {"de": SENTENCES}, "left_out": {"sw": 30}}
    none = plan_analysis(prepare(replace(options, languages=["sw"])), asked)
    with pytest.raises(UserError, match=r"no language has 100 different sentence pairs .*\(there are 30 of 'sw'\)"):
        run_serially(none, store, context, lambda _: None)


def refused(options: Options, asked: AnalysisOptions) -> str:
    with pytest.raises(UserError) as raised:
        plan_analysis(prepare(options), asked)
    return str(raised.value)


def test_sentences_that_a_recipe_realigns_on_are_refused(options: Options) -> None:
    own = Corpus.model_validate(CORPUS)
    assert refused(options, AnalysisOptions(corpora=[own])) == (
        "recipe 'mine' realigns on sentences of the corpus 'pairs' in 'de' that the analysis would read; name another "
        "parallel corpus with --corpus"
    )


def test_a_measure_that_no_recipe_has_is_refused(options: Options) -> None:
    message = refused(replace(options, recipes=["finetune-only"]), AnalysisOptions(measures=["gradients"]))
    assert message == (
        "--measure gradients: recipe 'finetune-only' has no realignment loss; leave it out or choose another recipe or "
        "task"
    )
    placebo = replace(options, recipes=["placebo-continued-pretraining"])
    assert "method 'continued_pretraining' has no realignment loss" in refused(
        placebo, AnalysisOptions(measures=["gradients"])
    )
    part = plan_analysis(prepare(options), AnalysisOptions(measures=["gradients"]))
    assert [len(run.analyse) for run in part.runs] == [0, 1]


def test_a_task_without_fine_tuning_has_an_initial_and_a_realigned_form(tmp_path: Path) -> None:
    """Retrieval reads no source-language examples, no head and no training data."""
    rows = [{"en": f"dog {n}", "de": f"Hund {n}", "sw": f"mbwa {n}", "th": f"หมา {n}"} for n in range(9)]
    write_rows(tmp_path / "data", "all", "test", rows, Features({name: Value("string") for name in rows[0]}))
    write_yaml(tmp_path / "found.yaml", FOUND)
    asked = replace(write_world(tmp_path, tasks=["found"]), languages=["de"], data_root=tmp_path / "data")
    plan = plan_analysis(prepare(asked), AnalysisOptions(sentences=100))
    assert {ref.stage_type for ref in plan.stages} == {"align", "encode", "realign", "analyse"}
    store = Store(tmp_path / "store")
    assert not run_serially(plan, store, run_context(plan.request, "cpu"), lambda _: None).failed
    found = pq.read_table(store.read(*plan.runs[1].analyse["found", 3]).folder / TABLE).to_pandas()
    assert list(found.form.unique()) == ["initial", "realigned"]
    assert not {"task_probe", "gradient_cosine", "error_by_label"} & set(found.measure)


def test_a_suite_that_realigns_on_everything_needs_another_corpus(tmp_path: Path) -> None:
    rows = [{"en": f"dog {n}", "de": f"Hund {n}", "sw": f"mbwa {n}", "th": f"หมา {n}"} for n in range(300)]
    features = Features({name: Value("string") for name in rows[0]})
    write_rows(tmp_path / "data", "default", "train", rows, features)
    source = {"kind": "hub", "dataset": "org/tags"}
    columns = {code: code for code in ("en", *TARGETS)}
    words = write_world(tmp_path, parallel={"corpus": "sides", "aligner": "eflomal"})
    fields = CORPUS | {"name": "sides", "source": source, "config": "default", "columns": columns, "lexicons": None}
    here = replace(words, data_root=tmp_path / "data")
    write_yaml(tmp_path / "sides.yaml", fields | {"pairs": None})
    assert "may realign on every pair of sides" in refused(here, AnalysisOptions())
    write_yaml(tmp_path / "sides.yaml", fields | {"pairs": 150})
    part = plan_analysis(prepare(here), AnalysisOptions(sentences=100))
    labels = [stage.settings for stage in part.stages.values() if stage.label == "align en-de (eflomal)"]
    assert sorted((s.corpus.skip_pairs, s.corpus.pairs) for s in labels) == [(0, 150), (150, 110)]  # type: ignore
    for pairs, there in ((201, 99), (299, 1)):
        write_yaml(tmp_path / "sides.yaml", fields | {"pairs": pairs})
        assert refused(here, AnalysisOptions()) == (
            f"no language has 100 set-aside sentence pairs in sides (there are {there} of 'de', {there} of 'sw', "
            f"{there} of 'th'); name another parallel corpus with --corpus"
        )
    write_yaml(tmp_path / "sides.yaml", fields | {"pairs": 150})
    several = [Corpus.model_validate(fields | {"skip_pairs": skipped, "pairs": 300}) for skipped in (300, 250, 180)]
    part = plan_analysis(prepare(here), AnalysisOptions(sentences=100, corpora=several))
    read = {s.settings.corpus.skip_pairs for s in part.stages.values() if s.label == "align en-de (eflomal)"}  # type: ignore
    assert read == {0, 180}
    overlapping = Corpus.model_validate(fields | {"skip_pairs": 149})
    assert "realigns on sentences of the corpus 'sides'" in refused(here, AnalysisOptions(corpora=[overlapping]))

"""The plan. Truth: which kinds of stage read a setting, by hand from what each kind does; hashes by hashlib."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from tests.small import CORPUS, RECIPE, SUITE, TASK, write_recipe, write_suite, write_yaml
from xrealign_bench.aligners import ALIGNERS
from xrealign_bench.data import SEGMENTER
from xrealign_bench.data.loaded_suite import LoadedSuite
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.evaluation import Options, prepare
from xrealign_bench.languages import select
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.compute_settings import ComputeSettings
from xrealign_bench.pipeline.plan import Plan, Request, Run
from xrealign_bench.pipeline.planning import keys as key_parts
from xrealign_bench.pipeline.planning import make_plan, parallel_data, task_data, training
from xrealign_bench.pipeline.stage import Costs, Inputs, Settings, Stage, StageRef, StageType, Workspace
from xrealign_bench.pipeline.stages import STAGES, Align, Encode, Finetune, FinetuneSettings, Realign, Tokenise
from xrealign_bench.specs import (
    Adapter,
    Corpus,
    Freeze,
    Objective,
    Parallel,
    Recipe,
    Schedule,
    Spans,
    Suite,
    Task,
    find_spec,
)

BASELINE = Recipe(name="finetune-only", title="Fine-tuning only")
CHECKPOINT = Checkpoint(
    id="tiny",
    folder=Path("/nowhere/tiny"),
    revision=None,
    model_type="bert",
    family="encoder",
    architecture="BertModel",
    config_sha256="c" * 64,
    weights_sha256="w" * 64,
    tokenizer_sha256="t" * 64,
    trust_remote_code=False,
)
COMPUTE_SETTINGS = ComputeSettings(device="cpu", dtype="float32", threads=1)
OTHER_SETTINGS = ComputeSettings(device="cpu", dtype="float32", threads=2)
STAGE_TYPES = [kind for kind in get_args(StageType) if kind != "analyse"]
"""Those of an evaluation."""
TRAINED = {"realign", "finetune", "predict"}
PAIRS = {"align", "encode"} | TRAINED
ALL = set(STAGE_TYPES)


def request(
    recipe: dict[str, Any] | None = None,
    suite: dict[str, Any] | None = None,
    task: dict[str, Any] | None = None,
    corpus: dict[str, Any] | None = None,
    checkpoint: dict[str, Any] | None = None,
    suite_tasks: list[Task] | None = None,
    **changes: Any,
) -> Request:
    """What `evaluate` would ask for, with some fields of the specs changed."""
    made_suite = Suite.model_validate(SUITE | (suite or {}))
    made_task = Task.model_validate(TASK | (task or {}))
    tasks = suite_tasks or [made_task]
    corpora = {
        "pairs": Corpus.model_validate(CORPUS | (corpus or {})),
        "more": Corpus.model_validate(CORPUS | {"name": "more", "pairs": 9}),
    }
    fields: dict[str, Any] = {
        "checkpoint": replace(CHECKPOINT, **(checkpoint or {})),
        "recipes": [BASELINE, Recipe.model_validate(RECIPE | (recipe or {}))],
        "loaded": LoadedSuite("suite.yaml", made_suite, tasks, corpora, None),
        "tasks": tasks,
        "languages": made_suite.target_languages,
        "seeds": made_suite.seeds,
        "limit": None,
        "location": DataLocation(offline=True),
        "compute_settings": COMPUTE_SETTINGS,
    }
    return Request(**fields | changes)


def keys(plan: Plan, run: int = 1) -> dict[str, set[str]]:
    """Kind -> the keys of the stages behind one recipe."""
    refs = plan.ancestors(plan.runs[run].predict.values())
    return {kind: {ref.key for ref in refs if ref.stage_type == kind} for kind in STAGE_TYPES}


def finetuning(**changes: Any) -> dict[str, Any]:
    return {"suite": {"finetuning": SUITE["finetuning"] | changes}}


def schedule(**changes: Any) -> dict[str, Any]:
    return {"recipe": {"schedule": RECIPE["schedule"] | changes}}


COVERED: list[tuple[str, dict[str, Any], set[str]]] = [
    ("checkpoint weights", {"checkpoint": {"weights_sha256": "x" * 64}}, TRAINED),
    ("checkpoint config", {"checkpoint": {"config_sha256": "x" * 64}}, TRAINED),
    ("checkpoint tokenizer", {"checkpoint": {"tokenizer_sha256": "x" * 64}}, {"tokenise", "encode"} | TRAINED),
    ("compute_settings", {"compute_settings": OTHER_SETTINGS}, TRAINED),
    ("limit", {"limit": 5}, ALL),
    ("seeds", {"seeds": [4, 8]}, TRAINED),
    ("source language", {"suite": {"source_language": "fr"}}, ALL),
    ("steps", finetuning(steps=4), TRAINED),
    ("steps of the model", finetuning(steps={"default": 3, "bert": 4}), TRAINED),
    ("batch size", finetuning(batch_size=9), {"finetune", "predict"}),
    ("max length", finetuning(max_length=33), {"tokenise", "encode"} | TRAINED),
    ("learning rate", finetuning(learning_rate={"default": 2e-3}), TRAINED),
    ("learning rate of the model", finetuning(learning_rate={"default": 1e-3, "bert": 2e-3}), TRAINED),
    ("learning rate schedule", finetuning(lr_schedule="constant"), {"finetune", "predict"}),
    ("head", {"suite": {"head": "transformers"}}, {"finetune", "predict"}),
    ("adapter of fine-tuning", finetuning(adapter={"r": 4}), {"finetune", "predict"}),
    ("warm-up", finetuning(warmup=0.2), {"finetune", "predict"}),
    ("lone word markers", {"suite": {"lone_word_markers": "delete"}}, {"tokenise", "encode"} | TRAINED),
    ("long sentences", {"suite": {"long_sentences": "truncate"}}, {"tokenise", "finetune", "predict"}),
    ("test max length", finetuning(test_max_length=48), {"tokenise", "predict"}),
    ("suite's aligner", {"suite": {"parallel": {"corpus": "pairs", "aligner": "lexicon"}}}, PAIRS),
    ("suite's corpus", {"suite": {"parallel": {"corpus": "more", "aligner": "gold"}}}, PAIRS),
    ("labels", {"task": {"labels": TASK["labels"][::-1]}}, {"tokenise", "finetune", "predict"}),
    ("scored words", {"task": {"scored_words": "all"}}, {"tokenise", "finetune", "predict"}),
    ("unscored labels", {"task": {"unscored_labels": ["O"]}}, {"tokenise", "finetune", "predict"}),
    ("test examples", {"task": {"test_examples": 13}}, {"tokenise", "predict"}),
    ("train examples", {"task": {"train_examples": 25}}, {"tokenise", "finetune", "predict"}),
    ("pairs of the corpus", {"corpus": {"pairs": 11}}, PAIRS),
    ("aligner", {"recipe": {"aligner": "lexicon"}}, PAIRS),
    ("eflomal", {"recipe": {"aligner": "eflomal"}}, PAIRS),
    ("corpus", {"recipe": {"parallel": {"corpus": "more"}}}, PAIRS),
    ("languages", {"recipe": {"parallel": {"languages": ["de", "sw"]}}}, PAIRS),
    ("random weights", {"recipe": {"initialisation": "random"}}, TRAINED),
    ("frozen blocks", {"recipe": {"freeze": {"blocks": "upper_half"}}}, TRAINED),
    ("frozen embeddings", {"recipe": {"freeze": {"blocks": "lower_half", "embeddings": True}}}, TRAINED),
    ("biases alone", {"recipe": {"freeze": {"train_only": "biases"}}}, TRAINED),
    ("adapter", {"recipe": {"adapter": {}}}, TRAINED),
    ("rank of the adapter", {"recipe": {"adapter": {"r": 4}}}, TRAINED),
    ("temperature", {"recipe": {"objective": {"temperature": 0.2}}}, TRAINED),
    ("layer", {"recipe": {"objective": {"layer": "last"}}}, TRAINED),
    ("pooling", {"recipe": {"objective": {"pooling": "mean"}}}, TRAINED),
    ("projection", {"recipe": {"objective": {"projection": None}}}, TRAINED),
    ("regularisation", {"recipe": {"objective": {"regularisation": {"weight": 1}}}}, TRAINED),
    ("mixing", {"recipe": {"parallel": {"mixing": "uniform"}}}, TRAINED),
    ("pairs of the recipe", {"recipe": {"parallel": {"pairs": 5}}}, TRAINED),
    ("pairs of the model", {"recipe": {"parallel": {"pairs": {"default": 10, "bert": 5}}}}, TRAINED),
    ("control", {"recipe": {"parallel": {"control": "shuffled_pairs"}}}, TRAINED),
    ("continued pre-training", {"recipe": {"method": "continued_pretraining"}}, PAIRS),
    ("realignment steps of the suite", {"suite": {"realignment_steps": 4}}, TRAINED),
    ("method", {"recipe": {"method": "sentence_contrastive"}}, PAIRS),
    ("joint", schedule(when="during"), TRAINED),
    ("negatives", {"recipe": {"objective": {"negatives": "other_language"}}}, TRAINED),
    ("realignment steps", schedule(steps=4), TRAINED),
    ("realignment batch size", schedule(batch_size=5), TRAINED),
    ("realignment max length", schedule(max_length=31), {"encode"} | TRAINED),
    ("realignment learning rate", schedule(learning_rate=1e-4), TRAINED),
    ("realignment schedule", schedule(lr_schedule="linear"), TRAINED),
]  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> dict[str, set[str]]:
    return keys(make_plan(request()))


@pytest.mark.parametrize(("changes", "kinds"), [row[1:] for row in COVERED], ids=[row[0] for row in COVERED])
def test_a_setting_changes_the_keys_of_what_depends_on_it(
    plain: dict[str, set[str]], changes: dict[str, Any], kinds: set[str]
) -> None:
    changed = keys(make_plan(request(**changes)))
    assert {kind for kind in STAGE_TYPES if changed[kind] != plain[kind]} == kinds


def test_repair_and_segmentation_change_the_keys_of_what_depends_on_them(tmp_path: Path) -> None:
    """Repaired are predictions: nothing is fine-tuned again. Segmented are some languages."""
    names = ["O", "B-X", "I-X"]
    tags = {tag: "O" for tag in TASK["labels"] if tag != "O"}
    entities: dict[str, Any] = {"labels": names, "metric": "entity_f1", "scored_words": "all", "label_map": tags}
    entities["columns"] = {"words": "words", "labels": "labels"}
    plans = [
        make_plan(request(task=entities | changes)) for changes in ({}, {"repair": "wu-dredze"}, {"segment": ["th"]})
    ]
    plain, repaired, segmented = (keys(plan) for plan in plans)
    assert {kind for kind in STAGE_TYPES if repaired[kind] != plain[kind]} == {"tokenise", "predict"}
    assert {kind for kind in STAGE_TYPES if segmented[kind] != plain[kind]} == {"tokenise", "predict"}
    changed = {language for _, language in plans[0].test if plans[0].test["phrases", language]
               != plans[2].test["phrases", language]}  # fmt: skip
    assert changed == {"th"}
    stage = plans[2].stages[plans[2].test["phrases", "th"]]
    assert isinstance(stage, Tokenise) and stage.settings.segmenter == SEGMENTER


def test_what_a_decoder_sees_changes_the_keys_of_all_that_runs_it() -> None:
    decoder: dict[str, Any] = {"checkpoint": {"family": "decoder"}}
    own, both = (keys(make_plan(request(**decoder, recipe={"attention": name}))) for name in ("own", "bidirectional"))
    assert {kind for kind in STAGE_TYPES if own[kind] != both[kind]} == TRAINED
    with pytest.raises(
        UserError, match="recipe 'mine' makes a decoder's attention bidirectional, and the checkpoint tiny is"
    ):
        make_plan(request(recipe={"attention": "bidirectional"}))


def test_every_setting_of_a_recipe_is_in_the_table_above_or_does_not_count() -> None:
    """A field that is added to the specs has to be thought of here."""
    assert set(Recipe.model_fields) == {
        "name", "title", "description", "citation",  # not read by any stage
        "initialisation", "attention", "method", "aligner", "freeze", "adapter", "objective", "parallel", "schedule",
    }  # fmt: skip
    assert {
        spec.__name__.lower(): set(spec.model_fields) for spec in (Adapter, Freeze, Objective, Parallel, Schedule)
    } == {
        "adapter": {"kind", "r", "alpha", "dropout"},
        "freeze": {"blocks", "embeddings", "train_only"},
        "objective": {
            "temperature",
            "layer",
            "pooling",
            "projection",
            "negatives",
            "sentence_pooling",
            "regularisation",
        },
        "parallel": {"corpus", "languages", "mixing", "pairs", "filter", "control"},
        "schedule": {"when", "steps", "batch_size", "max_length", "learning_rate", "lr_schedule", "weight"},
    }


def test_the_data_are_part_of_the_keys(plain: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "fingerprint", lambda: "d" * 64)
    changed = keys(make_plan(request()))
    assert all(not changed[kind] & plain[kind] for kind in STAGE_TYPES)


SCHEDULE_DURING: dict[str, Any] = {"batch_size": 4, "when": "during"}
JOINT: dict[str, Any] = {"schedule": SCHEDULE_DURING}
JOINT_COVERED: list[tuple[str, dict[str, Any]]] = [
    ("weight", {"schedule": {"batch_size": 4, "when": "during", "weight": 0.5}}),
    ("batch size", {"schedule": {"batch_size": 5, "when": "during"}}),
    ("alternation", {"schedule": {"batch_size": 4, "when": "alternate"}}),
    ("frozen blocks", {"freeze": {"blocks": "upper_half"}}),
    ("temperature", {"objective": {"temperature": 0.2}}),
    ("mixing", {"parallel": {"mixing": "uniform"}}),
    ("pairs", {"parallel": {"pairs": 5}}),
    ("random weights", {"initialisation": "random"}),
]


@pytest.mark.parametrize("changes", [row[1] for row in JOINT_COVERED], ids=[row[0] for row in JOINT_COVERED])
def test_a_joint_fine_tuning_depends_on_the_settings_of_realignment(changes: dict[str, Any]) -> None:
    before, after = (keys(make_plan(request(recipe=JOINT | more))) for more in ({}, changes))
    assert {kind for kind in STAGE_TYPES if before[kind] != after[kind]} == {"finetune", "predict"}


def test_joint_realignment_is_a_part_of_fine_tuning() -> None:
    plan = make_plan(request(recipe=JOINT))
    assert {ref.stage_type for ref in plan.stages} == ALL - {"realign"}
    run = plan.runs[1]
    assert run.realign == run.finetune
    stage = plan.stages[run.finetune["phrases", 3]]
    assert isinstance(stage, Finetune)
    encoded = {stage.inputs.pairs[language]: run.align[language] for language in run.align}
    assert stage.inputs.by_role() == {
        "train": plan.train["phrases"],
        **{f"pairs-{c}": e for c, e in zip(run.align, encoded, strict=True)},
    }
    assert {ref for need in encoded for ref in plan.inputs(need)} == set(run.align.values())
    assert stage.settings.initialisation == "checkpoint"


def test_sentences_need_no_aligner() -> None:
    """Not even if the suite has one that can't align the corpus."""
    sentences = {"recipe": {"method": "sentence_contrastive"}, "corpus": {"lexicons": None}}
    plan = make_plan(request(**sentences, suite={"parallel": {"corpus": "pairs", "aligner": "lexicon"}}))
    assert keys(plan) == keys(make_plan(request(**sentences)))
    read = [stage for stage in plan.stages.values() if isinstance(stage, Align)]
    assert [stage.label for stage in read] == ["read pairs en-de", "read pairs en-sw", "read pairs en-th"]
    assert all(stage.settings.aligner is None for stage in read)


def fix_versions(monkeypatch: pytest.MonkeyPatch, version: Callable[[str], str]) -> None:
    for module in (key_parts, parallel_data, training):
        monkeypatch.setattr(module, "package_version", version)


def test_the_key_of_a_realignment_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, every store loses its realignments: never by accident."""
    fix_versions(monkeypatch, lambda package: "1.0")
    monkeypatch.setattr(phrases, "fingerprint", lambda: "d" * 64)
    ref = make_plan(request()).runs[1].realign["phrases", 3]
    assert ref.key == "3168d255a650fb39c0bcc56cb95c5562f72c6c443c4d57233f900e9d20576cde"


def test_what_is_computed_with_an_adapter_depends_on_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored before it was loaded as PEFT loads it is not reused; that of other checkpoints is."""
    adapter, versions = {"adapter": Path("/nowhere/adapter")}, {"peft": "1"}
    fix_versions(monkeypatch, lambda package: versions.get(package, "1"))
    plain, older = keys(make_plan(request())), keys(make_plan(request(checkpoint=adapter)))
    versions["peft"] = "2"
    newer = keys(make_plan(request(checkpoint=adapter)))
    assert keys(make_plan(request())) == plain
    for other in (plain, newer):
        assert {kind for kind in STAGE_TYPES if other[kind] != older[kind]} == TRAINED


def test_the_similarity_aligner_depends_on_the_checkpoint() -> None:
    by_similarity = {"recipe": {"aligner": "similarity"}}
    before = keys(make_plan(request(**by_similarity)))
    for change in (
        {"checkpoint": {"weights_sha256": "x" * 64}},
        {"compute_settings": OTHER_SETTINGS},
        finetuning(max_length=33),
    ):
        assert not keys(make_plan(request(**by_similarity, **change)))["align"] & before["align"]


NOT_COVERED: dict[str, dict[str, Any]] = {
    "recipe": {"recipe": {"name": "other", "title": "Other", "description": "d", "citation": "c"}},
    "task": {"task": {"title": "Other", "citation": "c", "licence": "l"}},
    "corpus": {"corpus": {"title": "Other", "citation": "c", "licence": "l"}},
    "suite": {
        "suite": {
            "name": "other",
            "version": "2.0",
            "title": "Other",
            "description": "d",
            "controls": ["random-init-finetune"],
            "tiers": {"high": [5], "medium": [3, 4], "low": [0, 1, 2]},
            "bands": {"cuts": [0.1, 0.2]},
            "checkpoint": "elsewhere",
        }
    },
    "place of the checkpoint": {
        "checkpoint": {"id": "other", "folder": Path("/else"), "revision": "r", "architecture": "X"}
    },
    "learning rate of another model": finetuning(learning_rate={"default": 1e-3, "xlm-roberta": 2e-3}),
    "steps of another model": finetuning(steps={"default": 3, "xlm-roberta": 4}),
    "test max length as in training": finetuning(test_max_length=32),
    "the same said in other words": schedule(steps=3, learning_rate=1e-3, max_length=32),
    "aligner of the suite by name": {"recipe": {"aligner": "gold", "parallel": {"corpus": "pairs"}}},
    "languages of the suite by name": {"recipe": {"parallel": {"languages": ["th", "de", "swa"]}}},
    "offline": {"location": DataLocation(offline=False)},
}


@pytest.mark.parametrize("changes", NOT_COVERED.values(), ids=NOT_COVERED.keys())
def test_what_changes_no_result_changes_no_key(plain: dict[str, set[str]], changes: dict[str, Any]) -> None:
    assert keys(make_plan(request(**changes))) == plain


def test_fewer_test_languages_mean_fewer_predictions_and_the_same_realignment(plain: dict[str, set[str]]) -> None:
    """A recipe must not become another one because somebody looks at fewer languages."""
    fewer = keys(make_plan(request(languages=["sw"], seeds=[7])))
    assert all(fewer[kind] < plain[kind] for kind in ("tokenise", *TRAINED))
    assert all(fewer[kind] == plain[kind] for kind in ("align", "encode"))


class ToySettings(Settings):
    b: int
    a: list[Any]
    left_out: str = "default"


@dataclass(frozen=True)
class ToyInputs(Inputs):
    refs: dict[str, StageRef]

    def by_role(self) -> dict[str, StageRef]:
        return self.refs


class Toy(Stage):
    def run(self, workspace: Workspace) -> Costs:
        raise NotImplementedError


@pytest.mark.parametrize("stage_class", STAGES, ids=lambda stage_class: stage_class.stage_type)
def test_a_key_is_the_hash_of_canonical_json(stage_class: type[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "stage_type", stage_class.stage_type, raising=False)
    monkeypatch.setattr(Toy, "code_version", stage_class.code_version, raising=False)
    refs = {"two": StageRef("align", "1" * 64), "one": StageRef("tokenise", "0" * 64)}
    stage = Toy("only for people", ToySettings(b=1, a=[1.5, None, "ก"]), ToyInputs(refs))
    written = (
        '{"inputs":{"one":"' + "0" * 64 + '","two":"' + "1" * 64 + '"},"kind":"' + stage_class.stage_type + '",'
        '"settings":{"a":[1.5,null,"ก"],"b":1},"version":' + str(stage_class.code_version) + "}"
    )
    assert stage.key == hashlib.sha256(written.encode()).hexdigest()
    again = Toy("another label", ToySettings(a=[1.5, None, "ก"], b=1), ToyInputs(dict(reversed(refs.items()))))
    assert again.key == stage.key


SORTS_OF_RECIPES: dict[str, dict[str, Any]] = {
    "joint": {"schedule": {"batch_size": 4, "when": "during", "weight": 0.5}},
    "adapter": {"adapter": {"r": 4}},
    "sentence": {"method": "sentence_contrastive"},
    "random": {"initialisation": "random"},
    "lexicon": {"aligner": "lexicon"},
    "eflomal": {"aligner": "eflomal"},
    "similarity": {"aligner": "similarity"},
}
PLAIN: dict[str, Any] = {
    "name": "plain",
    "title": "Plain text",
    "licence": "CC0",
    "kind": "language_modelling",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "configs": {code: code for code in ("en", "de", "sw", "th")},
    "columns": {"text": "text"},
    "metric": "compression",
}


def digest_of(plan: Plan) -> str:
    return hashlib.sha256(json.dumps([[stage.label, stage.key] for stage in plan.stages.values()]).encode()).hexdigest()


def test_the_keys_of_whole_plans_are_those_of_version_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digests were computed by the code before settings had types, when they were dictionaries."""
    fix_versions(monkeypatch, lambda package: "1.0")
    monkeypatch.setattr(phrases, "fingerprint", lambda: "d" * 64)
    named = [Recipe.model_validate(RECIPE | {"name": name} | change) for name, change in SORTS_OF_RECIPES.items()]
    encoder = make_plan(request(recipes=[BASELINE, *named]))
    decoder: dict[str, Any] = {"checkpoint": {"family": "decoder"}}
    shared = COMPUTE_SETTINGS.model_copy(update={"processes": 2})
    bidirectional = Recipe.model_validate(RECIPE | {"attention": "bidirectional"})
    distributed = make_plan(request(recipes=[BASELINE, bidirectional], compute_settings=shared, **decoder))
    assert [digest_of(plan) for plan in (encoder, distributed)] == [
        "235e1c2b79da1cd899e9acf4c36630d8a1a0a8c1a8028aadf7379b424f056f74",
        "8323ca6ef1cb70a8819fc6822220dec194bde0d7bf2a527548566788d8664f13",
    ]


def test_the_keys_of_a_plan_without_fine_tuning_are_those_of_version_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def locate(task: Task, language: str, split: str, _: DataLocation) -> LocatedSplit:
        return LocatedSplit("org/tags", language, split, "r", f"{language}-{split}", ())

    fix_versions(monkeypatch, lambda package: "1.0")
    monkeypatch.setattr(phrases, "fingerprint", lambda: "d" * 64)
    monkeypatch.setattr(task_data, "locate_task", locate)
    tasks = [Task.model_validate(PLAIN)]
    random = [Recipe(name=name, title=name[0].upper(), initialisation="random") for name in ("rnd", "bi")]
    plan = make_plan(
        request(
            recipes=[BASELINE, Recipe.model_validate(RECIPE), *random],
            suite={"tasks": ["plain"]},
            suite_tasks=tasks,
            tasks=tasks,
            limit=5,
            checkpoint={"family": "decoder"},
            compute_settings=COMPUTE_SETTINGS.model_copy(update={"dtype": "bfloat16", "gradient_checkpointing": True}),
        )
    )
    assert digest_of(plan) == "888a13bb1d0d1f55d998f45f0ceeb1247c23d5bf307678ff40db32300e94a15f"


def test_a_changed_aligner_of_the_same_name_is_another_key(
    monkeypatch: pytest.MonkeyPatch, plain: dict[str, set[str]]
) -> None:
    newer = replace(ALIGNERS["gold"], version=2)
    monkeypatch.setitem(ALIGNERS.shipped, "gold", newer)
    changed = keys(make_plan(request()))
    assert {kind for kind in STAGE_TYPES if changed[kind] != plain[kind]} == PAIRS


def test_another_version_of_the_code_is_another_key(
    monkeypatch: pytest.MonkeyPatch, plain: dict[str, set[str]]
) -> None:
    monkeypatch.setattr(Encode, "code_version", 99)
    changed = keys(make_plan(request()))
    assert {kind for kind in STAGE_TYPES if changed[kind] != plain[kind]} == {"encode"} | TRAINED


def test_what_recipes_share_is_planned_once() -> None:
    full = Recipe.model_validate(RECIPE | {"name": "full", "freeze": {}})
    twin = Recipe.model_validate(RECIPE | {"name": "twin"})
    plan = make_plan(request(recipes=[BASELINE, Recipe.model_validate(RECIPE), full, twin]))
    counts = {kind: sum(ref.stage_type == kind for ref in plan.stages) for kind in STAGE_TYPES}
    # en train, and en de sw th test; three languages; two seeds x two (three) ways to train; in four languages each
    assert counts == {"tokenise": 5, "align": 3, "encode": 3, "realign": 4, "finetune": 6, "predict": 24}
    assert keys(plan, 1) == keys(plan, 3)
    assert keys(plan, 1)["tokenise"] == keys(plan, 0)["tokenise"]


def test_one_realignment_serves_all_tasks() -> None:
    tasks = [Task.model_validate(TASK), Task.model_validate(TASK | {"name": "again", "test_examples": 5})]
    suite = {"tasks": ["phrases", "again"]}
    plan = make_plan(request(suite=suite, suite_tasks=tasks, tasks=tasks))
    assert sum(ref.stage_type == "realign" for ref in plan.stages) == 2
    assert sum(ref.stage_type == "finetune" for ref in plan.stages) == 8
    assert plan.runs[1].realign["phrases", 3] == plan.runs[1].realign["again", 3]


def two_tasks(suite: dict[str, Any], recipe: dict[str, Any] | None = None, **second: Any) -> Plan:
    tasks = [Task.model_validate(TASK), Task.model_validate(TASK | {"name": "again", "test_examples": 5} | second)]
    return make_plan(
        request(suite={"tasks": ["phrases", "again"]} | suite, recipe=recipe, suite_tasks=tasks, tasks=tasks)
    )


def finetuned(plan: Plan, run: int, task: str) -> FinetuneSettings:
    stage = plan.stages[plan.runs[run].finetune[task, 3]]
    assert isinstance(stage, Finetune)
    return stage.settings


def realigned_for(plan: Plan, task: str) -> Realign:
    stage = plan.stages[plan.runs[1].realign[task, 3]]
    assert isinstance(stage, Realign)
    return stage


def test_a_task_may_be_fine_tuned_otherwise() -> None:
    plan = two_tasks({"finetuning_by_task": {"again": {"steps": 7, "max_length": 16}}})
    settings = [finetuned(plan, 0, name).finetuning for name in ("phrases", "again")]
    assert [(each.steps, each.batch_size, each.max_length) for each in settings] == [(3, 8, 32), (7, 8, 16)]
    tokenised = [plan.stages[plan.train[name]] for name in ("phrases", "again")]
    assert [stage.settings.max_length for stage in tokenised if isinstance(stage, Tokenise)] == [32, 16]
    # What matches fine-tuning is realigned for each task apart, what is fixed serves both.
    apart = [realigned_for(plan, name) for name in ("phrases", "again")]
    assert [stage.steps for stage in apart] == [3, 7]
    # Pairs are as long whatever they serve: longer windows of one task alone do not call for a realignment of its own.
    pairs = [plan.stages[stage.inputs.pairs["de"]] for stage in apart]
    assert [stage.settings.max_length for stage in pairs if isinstance(stage, Encode)] == [32, 32]
    longer = two_tasks({"finetuning_by_task": {"again": {"max_length": 16}}})
    fixed = {"schedule": {"steps": 5, "learning_rate": 1e-3}}
    for once in (longer, two_tasks({"finetuning_by_task": {"again": {"steps": 7, "max_length": 16}}}, fixed)):
        assert once.runs[1].realign["phrases", 3] == once.runs[1].realign["again", 3]


def test_a_suite_may_let_realignment_match_its_own_fine_tuning_alone() -> None:
    change = {"steps": 7, "learning_rate": {"default": 0.5}}
    plan = two_tasks({"finetuning_by_task": {"again": change}, "realignment_matches": "suite"})
    assert plan.runs[1].realign["phrases", 3] == plan.runs[1].realign["again", 3]
    settings = realigned_for(plan, "again").settings
    assert (settings.steps, settings.learning_rate) == (3, 1e-3)
    assert finetuned(plan, 1, "again").finetuning.steps == 7


def test_a_task_is_tested_in_the_languages_that_it_has() -> None:
    plan = two_tasks({}, configs={"en": "en", "sw": "sw"})
    assert [language for task, language in plan.test if task == "again"] == ["en", "sw"]
    assert {language for _, language, _ in plan.runs[1].predict} == {"en", "de", "sw", "th"}


def test_one_task_of_a_suite_is_planned_in_its_languages() -> None:
    tasks = [
        Task.model_validate(TASK),
        Task.model_validate(TASK | {"name": "again", "configs": {"en": "en", "sw": "sw"}}),
    ]
    both: dict[str, Any] = {"suite": {"tasks": ["phrases", "again"]}, "suite_tasks": tasks}
    plan = make_plan(request(**both, tasks=tasks[1:]))
    assert list(plan.test) == [("again", "en"), ("again", "sw")]
    with pytest.raises(UserError, match="task 'again' has none of the languages de; name others, or other tasks"):
        make_plan(request(**both, tasks=tasks, languages=["de"]))


def test_languages_may_be_read_from_another_corpus() -> None:
    plan = make_plan(request(suite={"parallel": SUITE["parallel"] | {"other_corpora": {"more": ["sw", "qu"]}}}))
    corpora = {language: stage.settings.corpus.name for language, stage in plan.aligned(plan.runs[1]).items()}
    assert corpora == {"de": "pairs", "sw": "more", "th": "pairs"}
    own = make_plan(
        request(
            suite={"parallel": SUITE["parallel"] | {"other_corpora": {"more": ["sw"]}}},
            recipe={"parallel": {"corpus": "pairs"}},
        )
    )
    assert {stage.settings.corpus.name for stage in own.aligned(own.runs[1]).values()} == {"pairs"}


def test_pairs_of_additional_corpora_are_read_together() -> None:
    both = SUITE["parallel"] | {"additional_corpora": ["more"]}
    plan = make_plan(request(suite={"parallel": both}))
    aligned = plan.aligned(plan.runs[1])
    assert set(aligned) == {"de", "sw", "th"}
    for stage in aligned.values():
        assert stage.settings.corpus.name == "pairs"
        assert [(each.corpus.name, each.corpus.pairs) for each in stage.settings.additional] == [("more", 9)]
    alone = make_plan(request())
    assert keys(plan)["align"].isdisjoint(keys(alone)["align"])
    assert keys(plan)["finetune"].isdisjoint(keys(alone)["finetune"])
    named = make_plan(request(suite={"parallel": both}, recipe={"parallel": {"corpus": "pairs"}}))
    assert keys(named) == keys(alone)


def test_stages_come_after_what_they_need() -> None:
    plan = make_plan(request())
    seen: set[StageRef] = set()
    for ref, stage in plan.stages.items():
        assert set(stage.inputs.by_role().values()) <= seen
        assert ref == stage.ref
        seen.add(ref)


def test_languages_without_parallel_data_are_listed() -> None:
    plan = make_plan(request(recipe={"parallel": {"languages": ["de", "qu", "yo"]}}))
    assert plan.runs[1].without_data == ["qu", "yo"]
    assert list(plan.runs[1].align) == ["de"]
    assert plan.runs[0].without_data == []


MANY = ["am", "cy", "de", "fi", "ha", "hy", "ja", "sw", "ta", "th"]


def realigned(wanted: Any, **changes: Any) -> Run:
    suite = {"target_languages": MANY}
    task = {"configs": {code: code for code in ("en", "fr", *MANY)}}
    asked = request(recipe={"parallel": {"languages": wanted}}, suite=suite, task=task, **changes)
    return make_plan(asked).runs[1]


def test_a_published_subset_is_realigned_as_it_is() -> None:
    """Also what is no target; what the corpus lacks is told. The embedded corpus has neither Fon nor Lingala."""
    run = realigned({"subset": "lowresource/most-uriel-en-5"})  # fon ka kk ln om
    assert sorted([*run.align, *run.without_data]) == ["fon", "ka", "kk", "ln", "om"]
    assert {"fon", "ln"} <= set(run.without_data)


@pytest.mark.parametrize("method", ["uriel", "family", "script", "random"])
def test_a_selection_is_made_of_the_targets_with_data_and_from_the_source(
    method: Literal["uriel", "family", "script", "random"], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [code for code in MANY if code != "ja"]
    monkeypatch.setattr(parallel_data, "corpus_languages", lambda *_: there)
    run = realigned({"select": method, "n": 4})
    assert list(run.align) == list(select(method, 4, there, source="en").languages)
    assert run.without_data == []


def test_a_selection_by_urielplus_is_planned() -> None:
    chosen = list(realigned({"select": "uriel", "n": 4, "distances": "uriel+"}).align)
    assert chosen == list(select("uriel", 4, MANY, distances="uriel+").languages)
    assert chosen != list(realigned({"select": "uriel", "n": 4}).align)


def test_a_selection_does_not_depend_on_which_languages_are_looked_at() -> None:
    assert (
        realigned({"select": "uriel", "n": 3}).align == realigned({"select": "uriel", "n": 3}, languages=["de"]).align
    )


def test_a_selection_written_out_is_the_same_work() -> None:
    chosen = realigned({"select": "random", "n": 3, "seed": 5})
    assert realigned(list(chosen.align)).align == chosen.align
    assert realigned(list(chosen.align)).realign == chosen.realign


def test_a_model_type_s_steps_are_those_of_its_trainings() -> None:
    by_model = finetuning(steps={"default": 1965, "xlm-roberta": 1970})
    for model_type, steps in (("bert", 1965), ("xlm-roberta", 1970)):
        plan = make_plan(request(checkpoint={"model_type": model_type}, **by_model))
        trainings = [stage for stage in plan.stages.values() if isinstance(stage, Finetune | Realign)]
        assert {stage.steps for stage in trainings} == {steps}
        assert {stage.settings.finetuning.steps for stage in trainings if isinstance(stage, Finetune)} == {steps}


@pytest.mark.parametrize(
    ("steps", "warmup", "number", "in_key"),
    [
        (1965, 0.1, 196, None),  # 196.5, and round takes the even number
        (1970, 0.1, 197, None),
        (1975, 0.1, 197, 197),  # 197.5 was rounded to 198
        (3, 0.3, 0, 0),
        (3, 0.1, 0, None),
    ],
)
def test_warm_up_steps_are_rounded_down_and_in_the_key_if_that_is_new(
    steps: int, warmup: float, number: int, in_key: int | None
) -> None:
    plan = make_plan(request(**finetuning(steps=steps, warmup=warmup)))
    [settings] = {s.settings.warmup_steps for s in plan.stages.values() if isinstance(s, Finetune)}
    assert settings == in_key
    finetunings = [stage.settings.finetuning for stage in plan.stages.values() if isinstance(stage, Finetune)]
    assert {each.warmup_steps for each in finetunings} == {number}


def test_training_and_test_windows_of_questions_overlap_by_their_own_strides() -> None:
    task = find_spec("xquad", Task)
    spans = {"doc_stride": 32, "test_doc_stride": 128, "max_answer_length": 15}
    apart = task.model_copy(update={"spans": Spans(**spans)})
    train, test = (key_parts.only_cell(apart, "en", split).spans for split in ("train", "test"))
    assert (train.doc_stride, test.doc_stride, test.max_answer_length) == (32, 128, 15)
    other = apart.model_copy(update={"spans": Spans(**spans | {"test_doc_stride": 64})})
    assert key_parts.only_cell(other, "en", "train") == key_parts.only_cell(apart, "en", "train")
    assert key_parts.only_cell(other, "en", "test").spans.doc_stride == 64
    for split in ("train", "test"):  # as before the field was there
        assert key_parts.only_cell(task, "en", split).spans == task.spans


BAD_REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "aligner": (
        {"recipe": {"aligner": "golden"}},
        "recipe 'mine': aligner: unknown aligner 'golden'; did you mean gold",
    ),
    "corpus": (
        {"recipe": {"parallel": {"corpus": "opus"}}},
        "recipe 'mine': parallel.corpus: unknown corpus 'opus'; known: more, pairs",
    ),
    "language to realign": ({"recipe": {"parallel": {"languages": ["de", "qqq"]}}}, "unknown language 'qqq'"),
    "source language is realigned": (
        {"recipe": {"parallel": {"languages": ["de", "eng"]}}},
        "names the suite's source",
    ),
    "no language has data": ({"recipe": {"parallel": {"languages": ["qu"]}}}, "none of the languages to realign .qu."),
    "published subset": (
        {"recipe": {"parallel": {"languages": {"subset": "lowresource/most-uriel-en-6"}}}},
        "recipe 'mine': parallel.languages: unknown published subset.*did you mean lowresource/most-uriel-en-",
    ),
    "more languages than targets": (
        {"recipe": {"parallel": {"languages": {"select": "uriel", "n": 4}}}},
        "recipe 'mine': parallel.languages: 4 languages can't be chosen from a pool of 3",
    ),
    "language of the task": (
        {"suite": {"target_languages": ["de", "fi"]}},
        "unknown language of the tasks phrases: 'fi'",
    ),
    "language of the data": (
        {"task": {"configs": TASK["configs"] | {"de": "dee"}}},
        "language of the embedded data: 'dee'",
    ),
    "language of nobody": (
        {"suite": {"target_languages": ["de", "qqq"]}, "task": {"configs": TASK["configs"] | {"qqq": "de"}}},
        "unknown language 'qqq'",
    ),
    "another name of a language": (
        {"suite": {"target_languages": ["deu"]}, "task": {"configs": TASK["configs"] | {"deu": "de"}}},
        "'deu'.*'de'",
    ),
    "test windows longer than the model's positions": (
        {"checkpoint": {"longest_input": 64}} | finetuning(test_max_length=65),
        "^suite 'small': test_max_length of the task 'phrases' is 65, and the checkpoint tiny takes 64 sub-words",
    ),
    "source language": ({"suite": {"source_language": "qqq"}}, "unknown language 'qqq'"),
    "source language of nobody's task": ({"suite": {"source_language": "fi"}}, "language of the task 'phrases': 'fi'"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_what_can_not_be_evaluated_is_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_plan(request(**changes))


BAD_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seeds": [4, 7]}, r"--seed 4: is none of the suite's seeds \(3, 7\), but 7 is"),
    "task": ({"tasks": ["phrase"]}, "unknown task in this suite: 'phrase'; did you mean phrases"),
    "target": ({"languages": ["fr"]}, "unknown target language in this suite: 'fr'"),
    "language": ({"languages": ["qqq"]}, "unknown language 'qqq'"),
    "recipe": ({"recipes": ["alignfreeze-frnt"]}, "unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front"),
    "suite": ({"suite": "dem"}, "unknown suite 'dem'; did you mean demo"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_names_that_do_not_exist_are_refused(
    tmp_path: Path, small_checkpoint: Path, changes: dict[str, Any], message: str
) -> None:
    options = {"suite": str(write_suite(tmp_path)), "checkpoint": str(small_checkpoint), "device": "cpu"}
    with pytest.raises(UserError, match=message):
        prepare(Options(**options | changes))


@pytest.fixture
def options(tmp_path: Path, small_checkpoint: Path) -> Callable[..., Options]:
    def make(**changes: Any) -> Options:
        given = {"suite": str(write_suite(tmp_path / "small")), "checkpoint": str(small_checkpoint), "device": "cpu"}
        return Options(**given | changes)

    return make


def test_two_recipes_of_one_name_are_refused(tmp_path: Path, options: Callable[..., Options]) -> None:
    mine = write_recipe(tmp_path, name="alignfreeze-front")
    with pytest.raises(UserError, match="two of the recipes have the name alignfreeze-front"):
        prepare(options(recipes=["alignfreeze-front", str(mine)]))


def test_a_task_beside_the_suite_comes_before_the_shipped_one(tmp_path: Path, options: Callable[..., Options]) -> None:
    suite = str(write_suite(tmp_path, tasks=["cldr-phrases"], parallel={"corpus": "cldr", "aligner": "gold"}))
    shipped = prepare(options(suite=suite))
    assert shipped.request.tasks[0].train_examples == 3000
    write_yaml(tmp_path / "cldr-phrases.yaml", TASK | {"name": "cldr-phrases"})
    write_yaml(tmp_path / "cldr.yaml", CORPUS | {"name": "cldr"})
    beside = prepare(options(suite=suite))
    assert beside.request.tasks[0].train_examples == 24
    assert beside.request.loaded.corpora["cldr"].pairs == 10


def test_a_file_beside_the_suite_with_another_name_in_it_is_refused(
    tmp_path: Path, options: Callable[..., Options]
) -> None:
    suite = write_suite(tmp_path)
    write_yaml(tmp_path / "phrases.yaml", TASK | {"name": "phrase"})
    with pytest.raises(UserError) as raised:
        prepare(options(suite=str(suite)))
    place = f"{tmp_path}/phrases.yaml:25: name"
    assert str(raised.value) == f"{place}: is 'phrase', but the file is called phrases.yaml; give both the same name"


def test_the_baseline_is_planned_first_and_once(options: Callable[..., Options]) -> None:
    plan = prepare(options(recipes=["alignfreeze-full", "finetune-only", "alignfreeze-full"]))
    assert [run.recipe.name for run in plan.runs] == ["finetune-only", "alignfreeze-full"]


def test_choices_come_in_the_order_of_the_suite(options: Callable[..., Options]) -> None:
    plan = prepare(options(languages=["tha", "de"], seeds=[7, 3, 7]))
    assert plan.request.languages == ["de", "th"]
    assert plan.request.seeds == [3, 7]


def test_all_problems_are_told_at_once(tmp_path: Path, options: Callable[..., Options]) -> None:
    """Of recipes, suite and checkpoint."""
    parallel = {"languages": ["de", "qqq", "deu"]}
    bad = write_recipe(tmp_path, aligner="golden", freeze={"blocks": [9]}, parallel=parallel)
    joint = write_recipe(tmp_path, name="both", attention="bidirectional", schedule=SCHEDULE_DURING)
    with pytest.raises(UserError) as raised:
        prepare(options(recipes=[str(bad), str(joint), "no-such-recipe"], languages=["qqqq"], seeds=[3, 4]))
    lines = str(raised.value).splitlines()
    for number, start in enumerate(
        (
            f"{bad}:1: aligner: unknown aligner 'golden'",
            f"{bad}:10: parallel.languages.1: unknown language 'qqq'",
            f"{bad}:8: parallel.languages: names de more than once",
            "unknown recipe 'no-such-recipe'",
            "unknown language 'qqqq'",
            "--seed 4: is none of the suite's seeds",
            "recipe 'both' makes a decoder's attention bidirectional, and the checkpoint",
            "recipe 'mine': freeze.blocks names block 9",
        )
    ):
        assert lines[number].startswith(start), lines[number]
    assert len(lines) == 8


def test_with_problems_no_checkpoint_is_asked_for(tmp_path: Path, options: Callable[..., Options]) -> None:
    bad = write_recipe(tmp_path, aligner="golden")
    with pytest.raises(UserError) as raised:
        prepare(options(recipes=[str(bad)], checkpoint="nobody/no-such-checkpoint"))
    assert "golden" in str(raised.value) and "no-such-checkpoint" not in str(raised.value)


def test_a_new_version_of_an_aligner_changes_the_keys_of_its_alignments(monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_plan(request())
    name = before.request.suite.parallel.aligner
    assert ALIGNERS[name].version == 1
    assert "version" not in next(iter(before.aligned(before.runs[1]).values())).description()["settings"]
    monkeypatch.setitem(ALIGNERS.shipped, name, replace(ALIGNERS[name], version=2))
    after = make_plan(request())
    changed = {kind for kind in STAGE_TYPES if keys(before)[kind] != keys(after)[kind]}
    assert changed == PAIRS
    assert keys(before, run=0) == keys(after, run=0)

"""Builders of small results, with predictions that give exactly their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xrealign_bench.results.comparison import Comparison, Gain, LanguageChange, TaskComparison, Variance
from xrealign_bench.results.records import (
    CheckpointRecord,
    ComputeSettings,
    LanguageRecord,
    RealignmentRecord,
    Score,
    StageRecord,
)
from xrealign_bench.results.result import Result, digest_evidence, digest_suite
from xrealign_bench.results.storage import write_predictions, write_result
from xrealign_bench.scoring.aggregate import BANDS, SCORING_VERSION
from xrealign_bench.specs import (
    Bands,
    Columns,
    Corpus,
    EmbeddedData,
    Finetuning,
    Recipe,
    Suite,
    SuiteParallel,
    Task,
    digest,
    find_spec,
)


@dataclass(frozen=True)
class Lang:
    """A target language of the hand-made suite."""

    code: str
    tier: str
    distance: float = 0.3
    seen: bool | None = True
    name: str = ""


LANGUAGES = (
    Lang("de", "high", 0.1),
    Lang("fr", "high", 0.2),
    Lang("th", "medium", 0.5),
    Lang("sw", "low", 0.8, False),
)


def made_up(number: int) -> str:
    """Return a code from the private-use range of ISO 639: qaa, qab, ..."""
    return f"q{chr(97 + number // 26)}{chr(97 + number % 26)}"


TIERED = tuple(
    Lang(f"{tier[0]}q{letter}", tier, number / 10, seen=tier != "low")
    for tier in ("high", "medium", "low")
    for number, letter in enumerate("abcde", start=1)
)
"""Five languages per tier (hqa to hqe, mqa to mqe, lqa to lqe), so that each tier counts."""


def make_suite(
    languages: Sequence[Lang] = LANGUAGES,
    tasks: Sequence[str] = ("tags",),
    seeds: Sequence[int] = (1, 2),
    **fields: Any,
) -> Suite:
    return Suite(
        **{
            "name": "toy",
            "version": "1.0",
            "title": "Toy",
            "source_language": "en",
            "target_languages": [language.code for language in languages],
            "tasks": list(tasks),
            "seeds": list(seeds),
            "finetuning": Finetuning(steps=1, learning_rate={"default": 1e-4}),
            "parallel": SuiteParallel(corpus="toy", aligner="gold"),
            "bands": Bands(cuts=(0.25, 0.6)),
            **fields,
        }
    )


def make_task(name: str = "tags", codes: Sequence[str] = ("en", "de", "fr", "th", "sw")) -> Task:
    return Task(
        name=name,
        title=name,
        licence="none",
        task_type="token_classification",
        source=EmbeddedData(kind="embedded"),
        configs={code: code for code in codes},
        columns=Columns(words="words", labels="labels"),
        labels=["A", "B"],
    )


def make_result(
    scores: Mapping[tuple[str, str, int], float | None],
    *,
    suite: Suite | None = None,
    tasks: Sequence[Task] | None = None,
    languages: Sequence[Lang] = LANGUAGES,
    recipe: str = "finetune-only",
    seeds: Sequence[int] = (1, 2),
    **fields: Any,
) -> Result:
    """Make a result from accuracies by (task, language, seed); None: there is nothing to score."""
    suite = suite or make_suite(languages, seeds=seeds)
    if tasks is None:
        tasks = [make_task(name, ["en", *suite.target_languages]) for name in suite.tasks]
    computed = ComputeSettings(device="cpu", dtype="float32", threads=1)
    spec = Recipe(name=recipe, title=recipe.title(), method="none" if recipe == "finetune-only" else "word_contrastive")
    return Result(
        **{
            "harness_version": "0.0.0",
            "created": datetime(2026, 1, 2, tzinfo=UTC),
            "command": "none",
            "suite": suite,
            "suite_digest": digest_suite(suite, tasks, {suite.parallel.corpus: find_spec("cldr", Corpus)}),
            "tasks": list(tasks),
            "recipe": spec,
            "recipe_digest": digest(spec),
            "checkpoint": CheckpointRecord(
                id="mini", revision=None, model_type="bert", architecture="BertModel", parameters=1000,
                config_sha256="c" * 64, weights_sha256="d" * 64, tokenizer_sha256="e" * 64,
            ),
            "seeds": list(seeds),
            "languages": [
                LanguageRecord(
                    code=each.code, name=each.name or each.code.upper(), script="Latn", family="Toy", joshi_class=5,
                    tier=each.tier, distance=each.distance, seen=each.seen,
                    band=BANDS[sum(each.distance > cut for cut in suite.bands.cuts)],
                )
                for each in languages
            ],
            "limit": None,
            "compute_settings": computed if fields.get("reported") is None else None,
            "packages": {},
            "data": [],
            "scores": [
                Score(
                    task=task, language=language, seed=seed, examples=10, counted=0 if value is None else 40,
                    metrics={"accuracy": value}, reason="no scored word" if value is None else None,
                )
                for (task, language, seed), value in scores.items()
            ],
            "predictions": [],
            "stages": [StageRecord(stage_type="finetune", key="0", seconds=12.0, peak_memory_bytes=3 << 20)],
            **fields,
        }
    )  # fmt: skip


def flat(
    by_language: Mapping[str, float | None], seeds: Sequence[int] = (1, 2), task: str = "tags"
) -> dict[tuple[str, str, int], float | None]:
    """Give every seed the same accuracy."""
    return {(task, language, seed): value for language, value in by_language.items() for seed in seeds}


def write_system(folder: Path, right: Mapping[tuple[str, str, int], Sequence[Sequence[int]]], **fields: Any) -> Result:
    """Write a result folder with predictions that are right (1) or wrong (0) as given, and the matching scores.

    Every word's gold label is 1 and counts; each example ends with a word that doesn't count and is wrong.
    """
    scores = []
    for (name, language, seed), examples in right.items():
        words = [word for example in examples for word in example]
        share = sum(words) / len(words)
        metrics = {"accuracy": share, "macro_f1": 2 * share / (1 + share)}  # no word is of the other label
        scores.append(
            Score(
                task=name, language=language, seed=seed, examples=len(examples), counted=len(words), metrics=metrics
            )
        )  # fmt: skip
    records = []
    for task in dict.fromkeys(key[0] for key in right):
        rows = [
            (language, seed, number, list(example))
            for (name, language, seed), examples in right.items()
            if name == task
            for number, example in enumerate(examples)
        ]
        table = pa.table(
            {
                "language": pa.array([row[0] for row in rows], pa.string()),
                "seed": pa.array([row[1] for row in rows], pa.int64()),
                "example": pa.array([row[2] for row in rows], pa.int32()),
                "gold": pa.array([[1] * (len(row[3]) + 1) for row in rows], pa.list_(pa.int16())),
                "predicted": pa.array([[*row[3], 0] for row in rows], pa.list_(pa.int16())),
                "scored": pa.array([[*([True] * len(row[3])), False] for row in rows], pa.list_(pa.bool_())),
                "group": pa.array([None] * len(rows), pa.list_(pa.string())),
            }
        )
        records.append(write_predictions(folder, task, table))
    result = make_result({}, predictions=records, **fields).model_copy(update={"scores": scores})
    write_result(folder, result)
    return result


def coin_flips(rng: np.random.Generator, chance: float, examples: int, words: int = 4) -> list[list[int]]:
    """Draw examples whose words are independently right with the given probability."""
    flips: list[list[int]] = (rng.random((examples, words)) < chance).astype(int).tolist()
    return flips


def realignment(seed: int) -> RealignmentRecord:
    return RealignmentRecord(
        task=None,
        seed=seed,
        steps=10,
        learning_rate=1e-4,
        pairs={"sw": 5},
        pairs_seen={"sw": 20},
        links={"sw": 9},
        dropped={},
        languages_without_data=[],
        frozen_blocks=[0],
        frozen_embeddings=False,
        trained_parameters=600,
        frozen_parameters=400,
        first_loss=2.0,
        last_loss=1.0,
    )


def make_gain(low: float, high: float, seeds: int = 2, languages: int = 4) -> Gain:
    """Make a gain with this interval and the same value for each seed.

    Its prior has so many degrees of freedom that the interval is a normal one: the mean ± 1.96 standard errors, the
    variance of one seed being the number of seeds times the squared standard error.
    """
    mean, error = (low + high) / 2, (high - low) / 2 / 1.959964
    prior = Variance(value=seeds * error**2, df=1e9)
    return Gain(mean=mean, low=low, high=high, languages=languages, by_seed=[mean] * seeds, prior=prior)


def make_comparison(
    result: Result,
    baseline: Result,
    gains: Mapping[str, Gain],
    changes: Sequence[LanguageChange] = (),
    **fields: Any,
) -> Comparison:
    """Make a comparison of one task with the current versions and digests."""
    task = TaskComparison(task="tags", metric="accuracy", gains=dict(gains), languages=list(changes), one_std=None)
    return Comparison(
        **{
            "scoring": SCORING_VERSION,
            "prior": "1",
            "ddof": result.ddof,
            "result_digest": digest_evidence(result),
            "baseline_digest": digest_evidence(baseline),
            "baseline": "../finetune-only",
            "resamples": 1000,
            "seed": 0,
            "gains": dict(gains),
            "one_std": None,
            "tasks": [task],
            **fields,
        }
    )

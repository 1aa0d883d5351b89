"""Defaults never change: digests leave them out, so a published spec would silently come to mean something else.

A new field's default goes to the end of its group here; it means what was done before there was the field.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from xrealign_bench import specs

DEFAULTS: dict[str, Any] = {
    "Bands.distance": "featural",
    "Columns.groups": None,
    "Corpus.citation": "",
    "Corpus.config": "default",
    "Corpus.split": "train",
    "Corpus.columns": {},
    "Corpus.codes": {},
    "Corpus.pairs": None,
    "Corpus.lexicons": None,
    "Corpus.lexicons_url": None,
    "Finetuning.batch_size": 32,
    "Finetuning.max_length": 96,
    "Finetuning.lr_schedule": "linear",
    "Finetuning.warmup": 0.1,
    "FinetuningChange.steps": None,
    "FinetuningChange.batch_size": None,
    "FinetuningChange.max_length": None,
    "FinetuningChange.learning_rate": None,
    "FinetuningChange.lr_schedule": None,
    "FinetuningChange.warmup": None,
    "Adapter.alpha": 32,
    "Adapter.dropout": 0.0,
    "Adapter.kind": "lora",
    "Adapter.r": 16,
    "Freeze.blocks": "none",
    "Freeze.embeddings": False,
    "Freeze.train_only": None,
    "HubData.kind": "hub",
    "HubData.revision": None,
    "Objective.temperature": 0.1,
    "Objective.layer": "penultimate",
    "Objective.pooling": "first_subword",
    "Objective.projection": 128,
    "Objective.negatives": "both_languages",
    "Objective.sentence_pooling": "mean",
    "Objective.regularisation": None,
    "Parallel.corpus": None,
    "Parallel.languages": "suite_targets",
    "Parallel.mixing": "round_robin",
    "Recipe.description": "",
    "Recipe.citation": "",
    "Recipe.initialisation": "checkpoint",
    "Recipe.method": "none",
    "Recipe.aligner": None,
    "Recipe.adapter": None,
    "Recipe.attention": "own",
    "Recipe.freeze": {},
    "Recipe.objective": {},
    "Recipe.parallel": {},
    "Recipe.schedule": {},
    "Schedule.when": "before",
    "Schedule.steps": "match_finetuning",
    "Schedule.batch_size": 16,
    "Schedule.max_length": "match_finetuning",
    "Schedule.learning_rate": "match_finetuning",
    "Schedule.lr_schedule": "constant",
    "SelectedLanguages.anchor_source": True,
    "SelectedLanguages.seed": 0,
    "Schedule.weight": 1.0,
    "Suite.description": "",
    "Suite.tiers": {"high": [4, 5], "medium": [3], "low": [0, 1, 2]},
    "Suite.checkpoint": None,
    "Suite.controls": [],
    "Suite.finetuning_by_task": {},
    "Suite.development_languages": [],
    "Suite.is_development": False,
    "Suite.test_examples": None,
    "Suite.realignment_matches": "task",
    "SuiteParallel.other_corpora": {},
    "Task.development_split": None,
    "Task.citation": "",
    "Task.train_split": "train",
    "Task.test_split": "test",
    "Task.scored_words": "all",
    "Task.unscored_labels": [],
    "Task.metric": "accuracy",
    "Task.train_examples": None,
    "Task.test_examples": None,
    "Columns.words": None,
    "Columns.labels": None,
    "Columns.text": None,
    "Columns.text_pair": None,
    "Columns.label": None,
    "Lock.gold": None,
    "Columns.question": None,
    "Columns.context": None,
    "Columns.answers": None,
    "Part.development_split": None,
    "Part.columns": None,
    "Part.label_map": {},
    "Part.test_split": "test",
    "Spans.doc_stride": 128,
    "Spans.max_answer_length": 30,
    "Spans.n_best": 20,
    "Spans.normalisation": "squad",
    "Task.also": [],
    "Task.labels": [],
    "Task.label_map": {},
    "Task.spans": {},
    "Task.prompt": "",
    "Task.verbalisers": {},
    "Task.layer": "last",
    "Task.text_language": None,
    "Task.skip_examples": 0,
}


def test_no_default_has_changed_and_every_new_one_is_listed() -> None:
    models = [m for m in vars(specs).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    found = {f"{m.__name__}.{n}": f.default for m in models for n, f in m.model_fields.items()}
    plain = {
        name: value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, BaseModel) else value
        for name, value in found.items()
        if value is not PydanticUndefined
    }
    assert plain == DEFAULTS

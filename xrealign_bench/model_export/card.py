"""The model card of an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xrealign_bench import __version__
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.formatting import describe_gaps, gain_with_interval, percent, pluralise
from xrealign_bench.leaderboard.markdown import escape
from xrealign_bench.leaderboard.templating import render_template
from xrealign_bench.model_export.models import loader
from xrealign_bench.model_export.request import ADAPTER, SENTENCES, ExportOptions, Target
from xrealign_bench.pipeline.plan import Plan
from xrealign_bench.results.comparison import Comparison, TaskComparison
from xrealign_bench.results.result import Result, digest_suite
from xrealign_bench.results.storage import find_results, read_comparison, read_result
from xrealign_bench.scoring.aggregate import summarise
from xrealign_bench.specs import Corpus, HubData, Task, digest

_PIPELINES: Mapping[str, str] = {
    "token_classification": "token-classification",
    "sequence_classification": "text-classification",
    "question_answering": "question-answering",
    "retrieval": "sentence-similarity",
}
"""Task type -> the Hub's name for the use of its models."""
_ROWS = ("all", "high", "medium", "low", "source")


@dataclass(frozen=True)
class Evidence:
    """A result with the model's recipe, and its comparison with the baseline."""

    result: Result
    comparison: Comparison | None


def find_evidence(plan: Plan, target: Target, results: Path | None) -> Evidence | None:
    """Return the result of the model's checkpoint, suite and recipe that has its seed, the one with most seeds.

    Raises:
        UserError: a result can't be read.
    """
    request, loaded = plan.request, plan.request.loaded
    wanted = (
        digest(target.run.recipe),
        digest_suite(loaded.suite, loaded.tasks, loaded.corpora),
        request.checkpoint.weights_sha256,
        request.limit,
        request.compute_settings.suffix,
    )
    fitting: dict[Path, Result] = {}
    for folder in find_results(results) if results is not None and results.is_dir() else []:
        result = read_result(folder)
        about = result.recipe_digest, result.suite_digest, result.checkpoint.weights_sha256, result.limit, result.suffix
        if about == wanted and target.seed in result.seeds:
            fitting[folder] = result
    if not fitting:
        return None
    folder = max(fitting, key=lambda each: (len(fitting[each].seeds), len(fitting[each].scores)))
    return Evidence(fitting[folder], read_comparison(folder))


def render_card(
    plan: Plan, target: Target, options: ExportOptions, about: Mapping[str, Any], evidence: Evidence | None
) -> str:
    """Return the model card in Markdown.

    Args:
        plan: the plan with the exported stage.
        target: what was exported.
        options: options of the export.
        about: content of `realignment.json`.
        evidence: the result that is quoted, if there is one.
    """
    request, recipe = plan.request, target.run.recipe
    tasks = [] if target.task is None else [target.task]
    corpora = [
        corpus for corpus in request.loaded.corpora.values() if corpus.name in {c["name"] for c in about["corpora"]}
    ]
    return render_template(
        "model_card.md",
        front_matter=_front_matter(plan, target, tasks, corpora),
        escape=escape,
        plan=plan,
        target=target,
        recipe=recipe,
        about=about,
        data=[*tasks, *corpora],
        source=_source,
        languages=_languages(about),
        load=_load(plan, target, options),
        tables=[] if evidence is None else _tables(evidence, target),
        evidence=evidence,
        gaps=[] if evidence is None else describe_gaps(evidence.result),
        harmed=[] if evidence is None else _harmed(evidence, target),
        pluralise=pluralise,
        version=__version__,
    )


def _front_matter(plan: Plan, target: Target, tasks: Sequence[Task], corpora: Sequence[Corpus]) -> str:
    """Return the Hub's metadata as YAML."""
    request, recipe = plan.request, target.run.recipe
    specs: list[Task | Corpus] = [*tasks, *corpora]
    sources = [each.source for each in specs]
    library = {ADAPTER: "peft", SENTENCES: "sentence-transformers"}.get(target.form, "transformers")
    fields = {
        "library_name": library,
        "base_model": request.checkpoint.id if request.checkpoint.revision else None,
        "datasets": sorted({source.dataset for source in sources if isinstance(source, HubData)}),
        "pipeline_tag": _PIPELINES.get(target.task.base_type) if target.task is not None else None,
        "tags": ["cross-lingual", *(["realignment"] if recipe.realigns else []), "xrealign-bench"],
    }
    return yaml.safe_dump({name: value for name, value in fields.items() if value}, sort_keys=False, allow_unicode=True)


def _source(spec: Task | Corpus) -> str:
    source = spec.source
    return f"`{source.dataset}` on the Hub" if isinstance(source, HubData) else f"kind `{source.kind}`"


def _languages(about: Mapping[str, Any]) -> str:
    """Name the languages of the realignment with their numbers of pairs."""
    seen = (about["realignment"] or {}).get("pairs_seen", {})
    return ", ".join(f"{_name(code)} ({count:,})" for code, count in sorted(seen.items()) if count)


def _name(code: str) -> str:
    try:
        return find(code).name
    except UserError:
        return code


def _load(plan: Plan, target: Target, options: ExportOptions) -> str:
    """Return Python code that loads the model."""
    name = repr(options.push_to_hub or options.output.name)
    if target.form == SENTENCES:
        return f"from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({name})"
    call = loader(target, plan.request.checkpoint)
    arguments = "".join(f", {key}={value!r}" for key, value in call.arguments.items())
    return (
        f"from transformers import {call.auto_class}, AutoTokenizer\n\n"
        f"tokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = {call.auto_class}.from_pretrained({name}{arguments})"
    )


def _shown_tasks(evidence: Evidence, target: Target) -> list[str]:
    names = [task.name for task in evidence.result.tasks]
    return names if target.task is None else [name for name in names if name == target.task.name]


def _tables(evidence: Evidence, target: Target) -> list[tuple[str, str, list[tuple[str, int, str, str]]]]:
    """Return for each task its name, its metric, and rows of a group's name, languages, score and gain."""
    summary, compared = summarise(evidence.result), _compared(evidence)
    tables = []
    for name in _shown_tasks(evidence, target):
        task = summary.tasks[name]
        gains = compared[name].gains if name in compared else {}
        rows = [
            (group, task.sizes.get(group, 1), percent(task.groups[group].mean), gain_with_interval(gains.get(group)))
            for group in _ROWS
            if group in task.groups
        ]
        tables.append((name, task.metric, rows))
    return tables


def _harmed(evidence: Evidence, target: Target) -> list[str]:
    """Name the languages that realignment harmed, with the task and the gain."""
    compared = _compared(evidence)
    return [
        f"{_name(change.language)} ({name}: {100 * change.gain:+.1f})"
        for name in _shown_tasks(evidence, target)
        if name in compared
        for change in compared[name].languages
        if change.verdict == "harmed"
    ]


def _compared(evidence: Evidence) -> dict[str, TaskComparison]:
    return {} if evidence.comparison is None else {task.task: task for task in evidence.comparison.tasks}

"""Convert AlignFreeze's published figures to results: one row per seed, method, task and checkpoint.

The CSV files are those of the authors' repository (posos-tech/multilingual-alignment-and-transfer,
scripts/2025_naacl/results; MIT, (c) 2024 Posos), one per checkpoint and task: CHECKPOINT__opus100__TASK.csv. The
results are marked as reported. Build the leaderboard afterwards. The same figures stand on the board of version 1.0,
whose suite differed more from what was run.

    python scripts/import_alignfreeze_results.py CSV_FOLDER --results leaderboard/results
    xrealign-bench leaderboard build leaderboard/results
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from xrealign_bench import __version__
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.records import CheckpointRecord, Score
from xrealign_bench.results.result import BASELINE, Result, digest_suite
from xrealign_bench.results.storage import write_comparison, write_result
from xrealign_bench.scoring.compare import compare
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, digest, find_spec
from xrealign_bench.specs.yaml import shipped_names

SUITE, VERSION = "alignfreeze", "2.0"
CITATION = (
    "Bakos et al., AlignFreeze, NAACL 2025, the figures of the authors' repository (scripts/2025_naacl/results). As "
    "run, the dictionary's pairs ended at the poorest language and came again, and words of Tamil and Hindi were "
    "broken apart at vowel signs; F1 of questions is not SQuAD's where precision + recall < 1, and their exact match "
    "is not normalised. Realigned at the same time as fine-tuned (joint) and with other aligners than the dictionary: "
    "parts of speech alone."
)
CREATED = datetime(2025, 4, 29, tzinfo=UTC)
"""First day of the conference."""
CHECKPOINTS = {
    "bert-base-multilingual-cased": ("google-bert/bert-base-multilingual-cased", "bert"),
    "distilbert-base-multilingual-cased": ("distilbert/distilbert-base-multilingual-cased", "distilbert"),
    "xlm-roberta-base": ("FacebookAI/xlm-roberta-base", "xlm-roberta"),
}
TASKS = {
    "udpos": "udpos-alignfreeze-2",
    "wikiann": "wikiann-alignfreeze-2",
    "xnli": "xnli",
    "xquad": "xquad-alignfreeze",
}
COLUMNS = {"accuracy": "accuracy", "entity_f1": "f1", "f1": "f1"}
"""Our metric -> suffix of the column's name."""
ALIGNERS = {"dico": "lexicon", "fastalign": "fast-align", "awesome": "awesome-align"}
METHODS = {
    "before": "alignfreeze-full-as-run",
    "freeze_realign_unfreeze": "alignfreeze-front-as-run",
    "freeze_realign_unfreeze_last_half": "alignfreeze-back-as-run",
    "during": "joint-full",
    "during_partial_freeze_front": "joint-front",
    "during_partial_freeze_back": "joint-back",
}
"""Method without its aligner -> the most similar shipped recipe."""

Rows = dict[str, list[dict[str, str]]]
"""Task -> its rows, one per seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, default=Path("leaderboard/results"))
    given = parser.parse_args()
    count = 0
    for checkpoint in CHECKPOINTS:
        methods = read_methods(given.folder, checkpoint)
        name = CHECKPOINTS[checkpoint][0].replace("/", "--")
        place = given.results / f"{SUITE}-{VERSION}" / f"{name}--published"  # a folder that no evaluation writes to
        baselines = {}
        for tasks in sorted(
            {tuple(rows) for rows in methods.values()}, key=len
        ):  # part-of-speech tagging only, then all tasks
            rows_by_task = {task: methods["baseline"][task] for task in tasks}
            baselines[tasks] = write(place, find_spec(BASELINE, Recipe), checkpoint, rows_by_task)
            count += 1
        for method, rows in methods.items():
            if method != "baseline":
                folder = write(place, recipe_of(method), checkpoint, rows)
                write_comparison(folder, compare(folder, baselines[tuple(rows)]))
                count += 1
    print(f"{count} results in {given.results / f'{SUITE}-{VERSION}'}")


def read_methods(folder: Path, checkpoint: str) -> dict[str, Rows]:
    methods: dict[str, Rows] = {}
    for task in TASKS:
        with (folder / f"{checkpoint}__opus100__{task}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                method = row["method"].replace("_last_6_", "_last_half_")  # the name for XLM-R, which has twelve blocks
                methods.setdefault(method, {}).setdefault(task, []).append(row)
    return methods


def recipe_of(method: str) -> Recipe:
    """Return the shipped recipe of a method; without one, the most similar with the method's aligner and mixing."""
    name, _, aligner = method.rpartition("_")
    shipped = find_spec(METHODS[name], Recipe)
    part = shipped.name.removesuffix("-as-run")
    own = f"{part}-{ALIGNERS[aligner]}-as-run"
    if own in shipped_names(Recipe):
        return find_spec(own, Recipe)
    parallel = shipped.parallel.model_dump() | {"mixing": find_spec("alignfreeze-full-as-run", Recipe).parallel.mixing}
    title = f"{part.replace('-', ' ')}, {ALIGNERS[aligner]}, as published".replace("alignfreeze", "AlignFreeze")
    changes = {"name": f"{part}-{ALIGNERS[aligner]}-published", "title": title, "aligner": ALIGNERS[aligner]}
    return Recipe.model_validate(shipped.model_dump() | changes | {"parallel": parallel})


def write(place: Path, recipe: Recipe, checkpoint: str, rows: Rows) -> Path:
    suite = find_spec(SUITE, Suite)
    all_tasks = [find_spec(name, Task) for name in suite.tasks]
    asked = [task for task in all_tasks if task.name in {TASKS[name] for name in rows}]
    corpora = {name: find_spec(name, Corpus) for name in suite.parallel.corpora}
    part = "" if len(asked) == len(all_tasks) else f"--task-{'_'.join(task.name for task in asked)}"
    name, model_type = CHECKPOINTS[checkpoint]
    result = Result(
        harness_version=__version__,
        created=CREATED,
        command="scripts/import_alignfreeze_results.py",
        reported=CITATION,
        suite=suite,
        suite_digest=digest_suite(suite, all_tasks, corpora),
        tasks=asked,
        recipe=recipe,
        recipe_digest=digest(recipe),
        checkpoint=CheckpointRecord(
            id=name, revision=None, model_type=model_type, architecture=f"{model_type}, base size", parameters=None,
            config_sha256="", weights_sha256="", tokenizer_sha256="",
        ),
        seeds=suite.seeds,
        ddof=0,  # as the publication computes its deviations
        languages=[describe_language(suite, code, name) for code in suite.target_languages],
        limit=None,
        compute_settings=None,
        packages={},
        data=[],
        scores=[score for task in asked for score in scores_of(suite, task, rows)],
        predictions=[],
        stages=[],
    )  # fmt: skip
    folder = place / f"{recipe.name}{part}"
    folder.mkdir(parents=True, exist_ok=True)
    write_result(folder, result)
    return folder


def scores_of(suite: Suite, task: Task, rows: Rows) -> list[Score]:
    named: Sequence[dict[str, str]] = next(rows[name] for name, ours in TASKS.items() if ours == task.name)
    by_seed = {int(row["seed"]): row for row in named}
    languages = [suite.source_language, *(code for code in suite.target_languages if code in task.languages)]
    return [
        Score(
            task=task.name,
            language=language,
            seed=seed,
            examples=None,
            counted=None,
            metrics={task.metric: float(by_seed[seed][column(suite, task, language)])},
        )
        for language in languages
        for seed in suite.seeds
    ]


def column(suite: Suite, task: Task, language: str) -> str:
    named = "same" if language == suite.source_language else language
    return f"eval_{named}_{COLUMNS[task.metric]}"


if __name__ == "__main__":
    main()

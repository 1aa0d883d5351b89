"""Make a reported result of another program's scores (the command `leaderboard import`).

Figures are copied, one for each language, into tables of their own. Nothing is computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from xrealign_bench import __version__
from xrealign_bench.data.loaded_suite import LoadedSuite, load_suite
from xrealign_bench.errors import UserError, shorten
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.assembly import distinct_slugs, hub_data_sets
from xrealign_bench.leaderboard.interchange import lm_eval, mteb
from xrealign_bench.leaderboard.interchange.report import ForeignScore, Report, check_share, same_data
from xrealign_bench.results.fields import CheckpointId
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.records import CheckpointRecord, ReportedMean
from xrealign_bench.results.result import Result, digest_suite
from xrealign_bench.results.storage import RESULT, write_result
from xrealign_bench.specs import Recipe, Task, digest

Format = Literal["mteb", "lm-eval"]
READERS: dict[Format, Callable[[Path], Report]] = {"mteb": mteb.read, "lm-eval": lm_eval.read}
NOT_KNOWN = "architecture not reported"


@dataclass(frozen=True)
class Origin:
    """Where the figures come from, and under which licence."""

    source: str
    licence: str


@dataclass(frozen=True)
class Imported:
    """What became of another program's figures."""

    folder: Path
    suite: str
    taken: int
    left_out: list[str]
    """Figures on other data, or in another language, split or metric than the suite's."""


def import_reports(
    files: Sequence[Path], file_format: Format, suite: str, results: Path, origin: Origin, checkpoint: str | None
) -> Imported:  # fmt: skip
    """Write the figures of one checkpoint as a reported result.

    Args:
        files: of one checkpoint.
        suite: name or file of the suite on whose board the figures are shown.
        results: folder of results.
        checkpoint: id of the checkpoint, if the files don't name it.

    Raises:
        UserError: a file is of another format, has no score on data of the suite's tasks, or is of another checkpoint;
            or the result exists.
    """
    loaded = load_suite(suite)
    reports = {path: READERS[file_format](path) for path in files}
    name = _one_checkpoint(reports, checkpoint)
    folder = results / loaded.suite.id / f"{distinct_slugs([name])[0]}--published" / file_format
    if (folder / RESULT).exists():
        raise UserError(f"{folder}: exists already; remove it and give all files of the checkpoint at once")
    shared = [(path, *found) for path, report in reports.items() for found in _shared(path, report, loaded)]
    notes = dict.fromkeys(_protocol(task, score) for _, task, score, _ in shared)
    reported = f"{_programs(reports)}: {origin.source}. Licence of the figures: {origin.licence}. {'. '.join(notes)}."
    try:
        means = [_mean(path, reports[path], task, score, language) for path, task, score, language in shared]
        result = _result(loaded, name, file_format, reports, means, reported)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        said = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{files[0]}: '{shorten(problem['input'])}' can't be stored: {said}; correct it") from None
    folder.mkdir(parents=True, exist_ok=True)
    write_result(folder, result)
    taken = {id(score) for _, _, score, _ in shared}
    left_out = [
        f"{score.task} {score.subset} ({score.split})"
        for report in reports.values()
        for score in report.scores
        if id(score) not in taken
    ]
    return Imported(folder, loaded.suite.id, len(means), left_out)


def _one_checkpoint(reports: dict[Path, Report], given: str | None) -> str:
    named = {name for report in reports.values() if (name := given or report.checkpoint)}
    if not named:
        raise UserError(f"{next(iter(reports))}: does not name its model; name it with --checkpoint")
    if len(named) > 1:
        raise UserError(f"{', '.join(map(str, reports))}: are of {', '.join(sorted(named))}; give files of one model")
    (name,) = named
    try:
        return TypeAdapter(CheckpointId).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{next(iter(reports))}: its model '{shorten(name)}' is no id; name it with --checkpoint"
        ) from None


def _shared(path: Path, report: Report, loaded: LoadedSuite) -> Iterator[tuple[Task, ForeignScore, str]]:
    """Yield the scores on data of the suite's tasks, with the task and the language.

    Raises:
        UserError: there is none.
    """
    found = 0
    for task in loaded.tasks:
        on_its_data = [
            score
            for score in report.scores
            if score.metrics.get(task.metric) is not None
            and any(same_data(data_set, score.data_set) for data_set in hub_data_sets(task))
        ]
        for language in (loaded.suite.source_language, *loaded.suite.target_languages):
            if language in task.languages and (language != loaded.suite.source_language or task.tests_source):
                for score in _in_language(task, language, on_its_data):
                    found += 1
                    yield task, score, language
    if not found:
        tasks = ", ".join(dict.fromkeys(score.task for score in report.scores)) or "no task"
        raise UserError(
            f"{path}: has no score that {loaded.suite.id} can show: {shorten(tasks)} shares no data, language and "
            "metric with its tasks; name another --suite"
        )


def _in_language(task: Task, language: str, scores: Sequence[ForeignScore]) -> list[ForeignScore]:
    """Return the scores in a language, on the task's own split if it was scored.

    They are those of the task's own config; else those by code, if it is one config.
    """
    part = task.part(language)
    configs = part.configs[language]
    found = [score for score in scores if score.subset in ([configs] if isinstance(configs, str) else configs)]
    if not found:
        found = [score for score in scores if language in map(_code, score.languages)]
        if len({score.subset for score in found}) != 1:
            return []
    return [score for score in found if score.split == part.test_split] or found


def _code(foreign: str) -> str | None:
    try:
        return find(foreign).code
    except UserError:
        return None


def _mean(path: Path, report: Report, task: Task, score: ForeignScore, language: str) -> ReportedMean:
    value = check_share(score.metrics[task.metric], f"{task.metric} of {score.task} in {score.subset}", path)
    test_set = f"{task.name} as {score.task} of {report.program} ({score.split}, {task.metric})"
    return ReportedMean(test_set=test_set, languages=[language], mean=value, std=None, ddof=None)


def _protocol(task: Task, score: ForeignScore) -> str:
    """Say whose data a score is on, and how the protocols differ."""
    split = f", and its split is {score.split}, here {task.test_split}" if score.split != task.test_split else ""
    return f"{score.task} has the data of {task.name} ({task.licence}). It differs: {score.differs}{split}"


def _programs(reports: dict[Path, Report]) -> str:
    return ", ".join(dict.fromkeys(report.program for report in reports.values()))


def _result(
    loaded: LoadedSuite, name: str, file_format: Format, reports: dict[Path, Report], means: list[ReportedMean],
    reported: str,
) -> Result:  # fmt: skip
    suite, (first, *_) = loaded.suite, reports.values()
    recipe = Recipe.model_validate({"name": file_format, "title": f"As reported by {_programs(reports)}"})
    return Result(
        harness_version=__version__,
        created=datetime.now(UTC),
        command=f"xrealign-bench leaderboard import --format {file_format}",
        reported=reported,
        suite=suite,
        suite_digest=digest_suite(suite, loaded.tasks, loaded.corpora),
        tasks=[],
        recipe=recipe,
        recipe_digest=digest(recipe),
        checkpoint=CheckpointRecord(
            id=name, revision=first.revision, model_type=NOT_KNOWN, architecture=NOT_KNOWN, parameters=None,
            config_sha256="", weights_sha256="", tokenizer_sha256="",
        ),
        seeds=suite.seeds,
        languages=[describe_language(suite, code, name) for code in suite.target_languages],
        limit=None,
        compute_settings=None,
        packages={},
        data=[],
        scores=[],
        reported_means=means,
        predictions=[],
        stages=[],
    )  # fmt: skip

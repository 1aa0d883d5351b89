"""What boards and pages show, cell by cell: Markdown and HTML are made from it, so that they say the same.

Figures are those of the rows, which come from results and comparisons; here they are only put in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from xrealign_bench.data.lock import read_lock
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.leaderboard.board import Board, Row, Section, Verdicts
from xrealign_bench.leaderboard.formatting import (
    NONE,
    as_reported,
    count_with_interval,
    counted,
    percent,
    rank_set,
    signed,
    spread,
    with_interval,
)
from xrealign_bench.results.comparison import Gain, LanguageChange, OneStd
from xrealign_bench.results.history import HistoryEvent, Trust
from xrealign_bench.results.records import ComputeSettings, LanguageRecord, ReportedMean
from xrealign_bench.results.reproduction import evaluate_command, install_command, reproduction_notes
from xrealign_bench.results.result import BASELINE, Result
from xrealign_bench.scoring.aggregate import GROUPS, TIERS, SeedScores, TaskSummary, enters
from xrealign_bench.specs import EmbeddedData, Suite, find_spec, shipped_names

MARKS = {"helped": " ▲", "harmed": " ▼", "same": "", "untested": ""}
VERDICTS = {"helped": "helped", "harmed": "harmed", "same": "not shown", "untested": "no verdict"}
"""Verdict -> what pages say: where the test shows no change there may be one."""
XR_GROUPS = ("xr", *GROUPS)


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    order: float | None = None
    """The figure to sort by, in the unit of the text; None: it is text, or there is no figure."""
    link: str = ""
    """Page of the site, without its ending, relative to the board's folder."""
    folder: str = ""
    """Folder of a stored result, relative to the board's folder."""
    note: str = ""
    """A second line."""


@dataclass(frozen=True)
class Table:
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: int = 1
    """So many columns are text; figures follow."""


Facts = Sequence[tuple[str, str]]
"""What a fact is about, and the fact."""


def _table(head: Iterable[str | Cell], rows: Iterable[tuple[Cell, ...]], left: int = 1) -> Table:
    return Table(tuple(Cell(each) if isinstance(each, str) else each for each in head), tuple(rows), left)


# The board


def has_reported_means(board: Board) -> bool:
    return any(row.reported_means for section in board.sections for row in section.rows)


def overview(rows: Sequence[Row]) -> Table:
    """One line per result, with everything that a board ranks by and beside."""
    head: tuple[str | Cell, ...] = (
        "Rank", "Recipe", "Trust", "Seeds", "XR score", "Gain [95 %]",
        *(Cell(tier.capitalize(), note=_coverage(rows, tier)) for tier in TIERS), "Source",
        "▲ / ▼", "† + / -", "Worst language", "Seconds", "Peak memory", "Realigned parameters",
    )  # fmt: skip
    return _table(head, (_overview_line(row) for row in rows), left=3)


def _coverage(rows: Sequence[Row], group: str) -> str:
    """How many languages a group has in how many tasks: those that enter its mean over tasks."""
    sizes: dict[str, int] = {}
    for task in (task for row in rows for task in row.summary.tasks.values()):
        # A row of some languages does not know how many a tier has, or knows of fewer.
        sizes[task.task] = max(sizes.get(task.task, 0), task.sizes.get(group, 0))
    entered = [size for size in sizes.values() if enters(group, size)]
    if not entered:
        return "in no task"
    least, most = min(entered), max(entered)
    return f"{least if least == most else f'{least}–{most}'} × {counted(len(entered), 'task')}"


def scores_by_task(rows: Sequence[Row], task: str) -> Table:
    """Recipes x groups of one task, each group with its number of languages."""
    summaries = [(row, row.summary.tasks[task]) for row in rows if task in row.summary.tasks]
    sizes = _sizes(each for _, each in summaries)
    names = [name for name in GROUPS if name in sizes]
    head = (Cell("XR", note=_averaged(summaries)), *(Cell(group_title(name), note=sizes[name]) for name in names))
    lines = [
        (
            Cell(row.label, link=row.page, folder=row.result_folder),
            _score(each.score),
            *(_score(each.groups.get(name)) for name in names),
        )
        for row, each in summaries
    ]
    return _table(("Recipe", *head), lines)


def _averaged(summaries: Sequence[tuple[Row, TaskSummary]]) -> str:
    return "mean over " + ", ".join(summaries[0][1].score_groups) if summaries else ""


def _sizes(summaries: Iterable[TaskSummary]) -> dict[str, str]:
    """Group -> its number of languages, or both ends where recipes differ, as in languages that were not realigned."""
    found: dict[str, set[int]] = {}
    for each in summaries:
        for name, size in each.sizes.items():
            found.setdefault(name, set()).add(size)
    return {name: rank_set((min(sizes), max(sizes))) for name, sizes in found.items()}


def _overview_line(row: Row) -> tuple[Cell, ...]:
    memory = None if row.peak_memory_bytes is None else row.peak_memory_bytes / 2**20
    return (
        Cell(_rank(row), row.ranks[0] if row.ranks else None),
        Cell(row.label, link=row.page, folder=row.result_folder, note=row.title),
        Cell(row.trust),
        Cell(str(row.seeds), row.seeds),
        _score(row.xr),
        Cell("baseline", 0.0) if row.is_baseline else _confirmed_gain(row),
        *(_mean(row.groups.get(name)) for name in (*TIERS, "source")),
        _tested(row.tested),
        _one_std(row.one_std),
        Cell(NONE)
        if row.worst is None
        else Cell(f"{row.worst.language} {signed(row.worst.gain)}", _points(row.worst.gain)),
        Cell(NONE) if row.reported else Cell(f"{row.seconds:,.0f}", row.seconds),
        Cell(NONE) if memory is None else Cell(f"{memory:,.0f} MiB", memory),
        Cell(NONE) if row.reported else Cell(f"{row.realigned_parameters:,}", row.realigned_parameters),
    )


def _confirmed_gain(row: Row) -> Cell:
    """The gain in XR score, and what fresh seeds say of it."""
    gain, confirmation = _gain(row.gains.get("xr")), row.confirmation
    if confirmation is None:
        return gain
    said = "confirmed" if confirmation.holds else "not confirmed"
    return replace(gain, note=f"{said} on {confirmation.seeds} fresh seeds: {with_interval(confirmation.gain)}")


def _rank(row: Row) -> str:
    if row.ranks is not None:
        return rank_set(row.ranks)
    if row.history.withdrawn:
        return "withdrawn"
    return "fresh seeds" if row.fresh_seeds else "partial" if row.partial else NONE


def said_of(event: HistoryEvent) -> str:
    """What happened to a result, as a sentence without its end."""
    if event.what != "rerun":
        return f"{event.what} on {event.on}: {event.reason}"
    agreed = (
        "every score equal"
        if event.same_compute_settings
        else f"a task's mean at most {event.largest_difference:.2f} points off"
    )
    return f"seed {event.seed} computed again on {event.on}: {agreed}"


def corrections(section: Section) -> list[tuple[Row, str]]:
    """The rows that were corrected since they were published, and what is said of it."""
    return [(row, said_of(e)) for row in section.rows for e in row.history.events if e.what == "corrected"]


def told_apart(section: Section) -> list[tuple[str, str]]:
    """Of each row that is told apart from others, its label and those of the rows that it is above."""
    return [(row.label, ", ".join(row.above)) for row in section.rows if row.above]


def scored(section: Section) -> list[Row]:
    """The rows that have scores, and not a publication's means alone."""
    return [row for row in section.rows if not row.reported_means]


def reported_averages(board: Board, section: Section) -> Table:
    """Recipes x what a publication's averages are over."""
    rows = [row for row in section.rows if row.reported_means]
    averages = [{_over(board, mean): mean for mean in row.reported_means if not _of_one(mean)} for row in rows]
    columns = sorted({over for of_row in averages for over in of_row})
    lines = [
        (
            Cell(row.label, link=row.page, folder=row.result_folder, note=row.title),
            *(_reported(of_row.get(over)) for over in columns),
        )
        for row, of_row in zip(rows, averages, strict=True)
    ]
    return _table(("Recipe", *columns), lines)


def reported_languages(board: Board, section: Section) -> Table:
    """A publication's means of single languages: language and test set x recipes."""
    single = {
        row.page: {
            (mean.test_set, mean.languages[0]): mean for mean in row.reported_means if mean.languages and _of_one(mean)
        }
        for row in section.rows
    }
    told = [row for row in section.rows if single[row.page]]
    with_page = languages_of(board)
    named = {code: record for row in told for code, record in row.languages.items()}
    lines = [
        (
            language_cell(named[code])
            if code in with_page and code in named
            else Cell(f"{language_name(code)} ({code})"),
            Cell(test_set),
            *(_reported(single[row.page].get((test_set, code))) for row in told),
        )
        for test_set, code in sorted({cell for row in told for cell in single[row.page]})
    ]
    return _table(
        ("Language", "Test set", *(Cell(row.label, link=row.page, folder=row.result_folder) for row in told)), lines, 2
    )


def reported_means(board: Board, row: Row) -> Table:
    """All means that a publication gives of one recipe."""
    lines = [(Cell(_over(board, mean)), _reported(mean)) for mean in row.reported_means]
    return _table(("Test set", "Reported mean"), lines)


def _over(board: Board, mean: ReportedMean) -> str:
    """What a reported mean is over."""
    if mean.languages is None:
        return f"{mean.test_set}, languages not known"
    if _of_one(mean):
        return f"{mean.test_set}, {mean.languages[0]}"
    source = board.suite.source_language
    targets = counted(len(set(mean.languages) - {source}), "target")
    return f"{mean.test_set}, {targets}" + (f" and {source}" if source in mean.languages else "")


def _of_one(mean: ReportedMean) -> bool:
    return mean.languages is not None and len(mean.languages) == 1


def gains(rows: Sequence[Row]) -> Table:
    """Recipes x groups: gains with their intervals; without recipes that lack a part of each of them."""
    rows = [row for row in rows if any(gain.mean is not None for gain in row.gains.values())]
    names = [name for name in XR_GROUPS if any(name in row.gains for row in rows)]
    lines = [
        (Cell(row.label, link=row.page, folder=row.result_folder), *(_gain(row.gains.get(name)) for name in names))
        for row in rows
    ]
    return _table(("Recipe", *map(group_title, names)), lines)


def group_title(name: str) -> str:
    return "XR" if name == "xr" else name.replace("_", " ").capitalize()


def checkpoint_identity(section: Section) -> str:
    """What is known of a checkpoint; of one in a publication, no more than its name."""
    checkpoint = section.checkpoint
    known = [checkpoint.architecture]
    known += [] if checkpoint.parameters is None else [f"{checkpoint.parameters:,} parameters"]
    known += [f"revision {checkpoint.revision}"] if checkpoint.revision else []
    known += [f"weights {checkpoint.weights_sha256[:12]}"] if checkpoint.weights_sha256 else []
    return ", ".join(known)


# Languages


FACTS: Mapping[str, Callable[[LanguageRecord], Cell]] = {
    "Tier": lambda language: Cell(language.tier),
    "Family": lambda language: Cell(language.family),
    "Script": lambda language: Cell(language.script),
    "Band": lambda language: Cell(language.band),
    "Seen": lambda language: Cell(NONE if language.seen is None else "yes" if language.seen else "no"),
    "Distance": lambda language: _rounded(language.distance, 2),
}
"""Head -> what a suite knows of a language."""


def compared_in(section: Section, task: str) -> list[Row]:
    """The rows that have gains in a task's languages."""
    return [row for row in section.rows if any(change.task == task for change in row.changes)]


def languages_by_recipe(
    board: Board, section: Section, task: str, compared: Sequence[Row], facts: Sequence[str]
) -> Table:
    """A task's languages x recipes: the baseline's score, then gains; from close to distant within the tiers."""
    rows = [row for row in section.rows if task in row.summary.tasks]
    baseline = min((row for row in rows if row.is_baseline), key=lambda row: row.partial, default=None)
    changes = [{change.language: change for change in row.changes if change.task == task} for row in compared]
    scores = baseline.summary.tasks[task].languages if baseline else {}
    lines = [
        (
            language_cell(record),
            *(FACTS[fact](record) for fact in facts),
            _score(scores[record.code]) if record.code in scores else Cell(NONE),
            *(_change(of_recipe.get(record.code)) for of_recipe in changes),
        )
        for record in _in_order(board, rows)
        if any(record.code in row.summary.tasks[task].languages for row in rows)
    ]
    head = (
        Cell(BASELINE, link=baseline.page if baseline else ""),
        *(Cell(row.label, link=row.page, folder=row.result_folder) for row in compared),
    )
    return _table(("Language", *facts, *head), lines, 1 + len(facts))


def language_cell(record: LanguageRecord) -> Cell:
    return Cell(f"{record.name} ({record.code})", link=language_page(record.code))


def language_page(code: str) -> str:
    return f"languages/{code}"


def _in_order(board: Board, rows: Iterable[Row]) -> list[LanguageRecord]:
    """The target languages that results describe: by tier, then from close to distant."""
    records = {code: record for row in rows for code, record in row.languages.items()}
    known = [records[code] for code in board.suite.target_languages if code in records]
    tiers = {tier: place for place, tier in enumerate(TIERS)}

    def place(record: LanguageRecord) -> tuple[int, float, str]:
        distance = float("inf") if record.distance is None else record.distance
        return tiers.get(record.tier, len(tiers)), distance, record.code

    return sorted(known, key=place)


# A result


def result_groups(board: Board, row: Row) -> Table:
    """Tasks x groups: scores with their std."""
    tasks = row.summary.tasks.values()
    names = [name for name in GROUPS if any(name in task.groups for task in tasks)]
    lines = [
        (Cell(task.task, note=task.metric), _score(task.score), *(_score(task.groups.get(name)) for name in names))
        for task in tasks
    ]
    mean = (Cell("mean over tasks"), _score(row.xr), *(_score(row.groups.get(name)) for name in names))
    return _table(("Task", "XR", *map(group_title, names)), _with_all(board, lines, mean))


def _with_all(
    board: Board, lines: Sequence[tuple[Cell, ...]], together: tuple[Cell, ...]
) -> Sequence[tuple[Cell, ...]]:
    """The lines of tasks and one of all of them, where the suite has several."""
    return [*lines, together] if lines and len(board.suite.tasks) > 1 else lines


def result_gains(board: Board, row: Row) -> Table:
    """Tasks x groups: gains over the baseline with their intervals; no lines without a comparison."""
    tasks = row.comparison.tasks if row.comparison else []
    names = [name for name in XR_GROUPS if name in row.gains]
    lines = [(Cell(task.task), *(_gain(task.gains.get(name)) for name in names)) for task in tasks]
    mean = (Cell("mean over tasks"), *(_gain(row.gains.get(name)) for name in names))
    return _table(("Task", *map(group_title, names)), _with_all(board, lines, mean))


def result_counts(board: Board, row: Row) -> Table:
    """Tasks: languages helped / harmed by either rule; no lines without a comparison."""
    tasks = row.comparison.tasks if row.comparison else []
    lines = [
        (Cell(task.task), _number(len(task.languages)), _tested(Verdicts.of(task.languages)), _one_std(task.one_std))
        for task in tasks
    ]
    both = (Cell("all tasks"), _number(len(row.changes)), _tested(row.tested), _one_std(row.one_std))
    return _table(("Task", "Languages", "▲ / ▼", "† + / -"), _with_all(board, lines, both))


def result_words(row: Row) -> Table:
    """Tasks x groups of words, such as those that fine-tuning never showed: means over all targets."""
    tasks = [task for task in row.summary.tasks.values() if task.word_groups]
    names = sorted({name for task in tasks for name in task.word_groups})
    lines = [(Cell(task.task), *(_score(task.word_groups.get(name)) for name in names)) for task in tasks]
    return _table(("Task", *(name.replace("_", " ") for name in names)), lines)


CHANGE = ("Score", BASELINE, "Gain [95 %]", "p (Holm)", "Test", "1 std")


def result_languages(board: Board, row: Row, task: str, facts: Sequence[str]) -> Table:
    """The target languages of a task, and the source language last."""
    scores = row.summary.tasks[task].languages
    changes = {change.language: change for change in row.changes if change.task == task}
    lines = [
        (
            language_cell(record),
            *(FACTS[fact](record) for fact in facts),
            *_score_and_change(scores[record.code], changes.get(record.code)),
        )
        for record in _in_order(board, [row])
        if record.code in scores
    ]
    source = board.suite.source_language
    if source in scores:
        name = Cell(f"{language_name(source)} ({source}), the source", link=language_page(source))
        lines.append((name, *([Cell(NONE)] * len(facts)), *_score_and_change(scores[source], None)))
    return _table(("Language", *facts, *CHANGE), lines, 1 + len(facts))


_TRUSTED: Mapping[Trust, str] = {
    "reported": "taken from a publication",
    "rescored": "each score from stored predictions",
    "rerun": "each score from stored predictions, and a seed computed again",
}


def provenance(row: Row, result: Result) -> Facts:
    """What a result says of how it came about."""
    suite, checkpoint, recipe = result.suite, result.checkpoint, result.recipe
    facts = [
        ("Trust", f"{row.trust}: {_TRUSTED[row.trust]}"),
        *(("Since published", said_of(event)) for event in row.history.events),
        ("Source", row.reported or ""),
        ("Citation", recipe.citation),
        ("Fresh seeds", _confirmed_gain(row).note),
        ("Not ranked", "; ".join(row.unranked)),
        ("Recipe", f"{recipe.name}, digest {result.recipe_digest}"),
        ("Suite", f"{suite.id}, digest {result.suite_digest}"),
        ("Checkpoint", checkpoint.id + (f", revision {checkpoint.revision}" if checkpoint.revision else "")),
        ("Architecture", checkpoint.architecture),
        ("Parameters", "" if checkpoint.parameters is None else f"{checkpoint.parameters:,}"),
        ("Weights, sha256", checkpoint.weights_sha256),
        ("Configuration, sha256", checkpoint.config_sha256),
        ("Tokenizer, sha256", checkpoint.tokenizer_sha256),
        ("Seeds", ", ".join(map(str, result.seeds))),
        ("Limit", "" if result.limit is None else counted(result.limit, "example") + " a language and split"),
        ("Published" if row.reported else "Computed", f"{result.created:%Y-%m-%d %H:%M} UTC"),
        ("Harness", result.harness_version),
        ("Compute settings", _listed(_given(result.compute_settings))),
        ("Versions", _listed(dict(result.packages.items()))),
        ("Gold labels", _gold_labels(result)),
        ("Comparison", _compared(row)),
    ]
    return [(what, said) for what, said in facts if said]


def _gold_labels(result: Result) -> str:
    """Whether a submission's gold labels were held to the test data."""
    if result.reported is not None:
        return ""
    if all(isinstance(task.source, EmbeddedData) for task in result.tasks) or _has_locked_gold(result.suite.id):
        return "those of the suite's test data, by their digest"
    return "not checked: nobody has read the test data for the suite's lock"


@lru_cache(maxsize=64)
def _has_locked_gold(suite_id: str) -> bool:
    """Whether a shipped suite has a lock with the digests of its gold labels."""
    name = next((name for name in shipped_names(Suite) if find_spec(name, Suite).id == suite_id), None)
    lock = read_lock(name) if name else None
    return lock is not None and lock.lock.gold is not None


def _compared(row: Row) -> str:
    comparison = row.comparison
    if comparison is None:
        return ""
    against = Path(comparison.baseline).name
    return (
        f"scoring {comparison.scoring}, prior {comparison.prior}, against {against}; one-std rule: "
        f"{comparison.resamples:,} resamples, seed {comparison.seed}"
    )


def remarks(result: Result) -> list[str]:
    """What the commands alone do not say."""
    return [] if result.reported else reproduction_notes(result)


def commands(result: Result) -> list[str]:
    """The environment and the command that give the result; none for a reported one."""
    return [] if result.reported else [install_command(result), evaluate_command(result)]


def data_read(result: Result) -> Table:
    """Every split that was read."""
    head = (
        "Used as",
        "Name",
        "Language",
        "Config",
        "Split",
        "Revision",
        "Fingerprint",
        "Left out, repaired, altered",
        "Examples",
    )
    lines = [
        (
            Cell(record.used_as),
            Cell(record.name),
            Cell(record.language),
            Cell(record.config or NONE),
            Cell(record.split),
            Cell(record.revision or NONE),
            Cell(record.fingerprint),
            Cell(_listed({**record.dropped, **record.repaired, **record.altered}) or NONE),
            Cell(f"{record.examples:,}", record.examples),
        )
        for record in result.data
    ]
    return _table(head, lines, 8)


def data_summary(result: Result) -> Table:
    """The splits that were read, languages together."""
    together: dict[tuple[str, str, str], list[int]] = {}
    for record in result.data:
        together.setdefault((record.used_as, record.name, record.split), []).append(record.examples)
    lines = [
        (*map(Cell, key), Cell(str(len(sizes)), len(sizes)), Cell(f"{sum(sizes):,}", sum(sizes)))
        for key, sizes in together.items()
    ]
    return _table(("Used as", "Name", "Split", "Languages", "Examples"), lines, 3)


def realignments(result: Result) -> Table:
    """What realignment did with each seed."""
    head = ("Task", "Frozen blocks", "Seed", "Steps", "Learning rate", "Pairs read", "Links", "First loss", "Last loss",
            "Trained", "Frozen")  # fmt: skip
    lines = [
        (
            Cell(record.task or "all"),
            Cell(", ".join(map(str, record.frozen_blocks)) + " and embeddings" * record.frozen_embeddings or NONE),
            Cell(str(record.seed), record.seed),
            *(Cell(f"{n:,}", n) for n in (record.steps, record.learning_rate)),
            *(Cell(f"{n:,}", n) for n in (sum(record.pairs_seen.values()), sum(record.links.values()))),
            _rounded(record.first_loss, 3),
            _rounded(record.last_loss, 3),
            *(Cell(f"{n:,}", n) for n in (record.trained_parameters, record.frozen_parameters)),
        )
        for record in result.realignment
    ]
    return _table(head, lines, 2)


def stage_costs(result: Result) -> Table:
    """What each kind of stage cost, all seeds and languages together; those shared with other results included."""
    kinds = sorted({stage.stage_type for stage in result.stages})
    lines = []
    for kind in kinds:
        stages = [stage for stage in result.stages if stage.stage_type == kind]
        seconds, memory = sum(s.seconds for s in stages), max((s.peak_memory_bytes or 0 for s in stages), default=0)
        cells = (
            Cell(f"{seconds:,.1f}", seconds),
            Cell(f"{memory / 2**20:,.0f} MiB" if memory else NONE, memory or None),
        )
        lines.append((Cell(kind), Cell(str(len(stages)), len(stages)), *cells))
    return _table(("Stage", "Number", "Seconds", "Peak memory"), lines)


def predictions(result: Result) -> Table:
    """The files that scores are computed from."""
    lines = [(Cell(p.task), Cell(p.file), Cell(p.sha256), Cell(f"{p.rows:,}", p.rows)) for p in result.predictions]
    return _table(("Task", "File", "sha256", "Rows"), lines, 3)


# A language


def languages_of(board: Board) -> list[str]:
    """The languages that have a score or a gap on a board, the source language first."""
    rows = [row for section in board.sections for row in section.rows]
    shown = {code for row in rows for task in row.summary.tasks.values() for code in task.languages}
    shown |= {mean.languages[0] for row in rows for mean in row.reported_means if mean.languages and _of_one(mean)}
    return [code for code in (board.suite.source_language, *board.suite.target_languages) if code in shown]


def language_name(code: str) -> str:
    try:
        return find(code).name
    except UserError:  # a suite of an older inventory
        return code


def describe_language(board: Board, code: str) -> tuple[str, Facts]:
    """Its name, and what the suite knows of it."""
    rows = [row for section in board.sections for row in section.rows]
    record = next((row.languages[code] for row in rows if code in row.languages), None)
    if record is None:
        return language_name(code), [("Code", code), ("Role", "source language, in no average")]
    joshi = NONE if record.joshi_class is None else str(record.joshi_class)
    distance = f"{board.suite.bands.distance} distance to {board.suite.source_language}"
    return record.name, [
        ("Code", code),
        ("Family", record.family),
        ("Script", record.script),
        ("Class of Joshi et al. (2020)", joshi),
        ("Tier", record.tier),
        (distance[0].upper() + distance[1:], f"{FACTS['Distance'](record).text}, {record.band}"),
    ]


def language_means(board: Board, code: str) -> Table:
    """What publications give of a language as means alone."""
    lines = [
        (
            Cell(row.label, link=row.page, folder=row.result_folder),
            Cell(section.name),
            Cell(mean.test_set),
            _reported(mean),
        )
        for section in board.sections
        for row in section.rows
        for mean in row.reported_means
        if mean.languages == [code]
    ]
    return _table(("Recipe", "Checkpoint", "Test set", "Reported mean"), lines, 3)


def language_results(board: Board, code: str, task: str) -> Table:
    """Every checkpoint and recipe on a language in one task of one suite version, in the order of the board."""
    lines = []
    for section in board.sections:
        for row in section.rows:
            score = row.summary.tasks[task].languages.get(code) if task in row.summary.tasks else None
            if score is None:
                continue
            change = next((c for c in row.changes if (c.task, c.language) == (task, code)), None)
            seen = FACTS["Seen"](row.languages[code]) if code in row.languages else Cell(NONE)
            recipe = Cell(row.label, link=row.page, folder=row.result_folder)
            lines.append((recipe, Cell(section.name), Cell(row.trust), seen, *_score_and_change(score, change)))
    return _table(("Recipe", "Checkpoint", "Trust", "Seen", *CHANGE), lines, 4)


# Figures


def _reported(mean: ReportedMean | None) -> Cell:
    return Cell(as_reported(mean), None if mean is None else _points(mean.mean))


def _score(value: SeedScores | None) -> Cell:
    return Cell(NONE) if value is None else Cell(spread(value), _points(value.mean))


def _mean(value: SeedScores | None) -> Cell:
    return Cell(percent(value.mean), _points(value.mean)) if value else Cell(NONE)


def _gain(gain: Gain | None) -> Cell:
    return Cell(with_interval(gain), _points(gain.mean if gain else None))


def _change(change: LanguageChange | None) -> Cell:
    if change is None:
        return Cell(NONE)
    marks = MARKS[change.verdict] + ("" if change.one_std == "same" else " †")
    return Cell(signed(change.gain) + marks, _points(change.gain))


def _score_and_change(score: SeedScores, change: LanguageChange | None) -> tuple[Cell, ...]:
    """The columns of `CHANGE`."""
    if change is None:
        return (_score(score), *[Cell(NONE)] * 5)
    interval = "" if change.low is None or change.high is None else f" [{signed(change.low)}, {signed(change.high)}]"
    return (
        _score(score),
        Cell(percent(change.baseline), _points(change.baseline)),
        Cell(signed(change.gain) + interval, _points(change.gain)),
        _rounded(change.p_value, 4),
        Cell(VERDICTS[change.verdict] + MARKS[change.verdict]),
        Cell(change.one_std),
    )


def _number(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _tested(verdicts: Verdicts | None) -> Cell:
    if verdicts is None:
        return Cell(NONE)
    return Cell(f"{verdicts.helped} / {verdicts.harmed}", verdicts.helped - verdicts.harmed)


def _one_std(counts: OneStd | None) -> Cell:
    if counts is None:
        return Cell(NONE)
    helped, harmed = counts.helped, counts.harmed
    return Cell(f"{count_with_interval(helped)} / {count_with_interval(harmed)}", helped.count - harmed.count)


def _points(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)


def _rounded(value: float | None, decimals: int) -> Cell:
    return Cell(NONE) if value is None else Cell(f"{value:.{decimals}f}", round(value, 6))


def _given(settings: ComputeSettings | None) -> dict[str, object]:
    """What a result says of its compute settings, without the defaults."""
    return settings.model_dump(exclude_defaults=True) if settings else {}


def _listed(named: Mapping[str, object]) -> str:
    """Names and values on a line.

    >>> _listed({"threads": 1, "tf32": False, "device": "cpu"})
    'threads 1, tf32 false, device cpu'
    """
    return ", ".join(f"{name} {v if isinstance(v, str) else json.dumps(v)}" for name, v in named.items())

"""Results as text for a terminal of 120 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from xrealign_bench.leaderboard.formatting import (
    NONE,
    SEEDS_FOR_STD,
    count_with_interval,
    gaps,
    percent,
    signed,
    spread,
    with_interval,
)
from xrealign_bench.results.comparison import Comparison, LanguageChange, TaskComparison
from xrealign_bench.results.result import Result
from xrealign_bench.scoring.aggregate import BANDS, SMALLEST_TIER, TIERS, SeedScores, Summary, summarise

RECIPES_ABREAST = 5
MARKS = {"helped": "+", "harmed": "-", "same": " ", "untested": " "}
ONE_SEED = (
    "One seed shows no gain for certain: another seed may give another one. The interval rests on what earlier runs\n"
    "lead one to expect of other seeds, and no language gets a verdict; evaluate three or more to claim a gain."
)


def render_evaluation(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> str:
    """The outcome of an evaluation: what the numbers are, one table a task, and the XR scores.

    Where only some of a suite's languages were evaluated there are no averages; the languages themselves
    follow.

    Args:
        results: of one checkpoint, suite and list of seeds; one a recipe, first the one that the others are compared
            with.
        comparisons: beside each result, None for the first.
    """
    first, summaries = results[0], [summarise(result) for result in results]
    blocks = [_heading(first)]
    for task in (name for name in first.suite.tasks if name in summaries[0].tasks):
        blocks.append(f"{task}\n{_task_table(task, results, summaries, comparisons)}")
        if by_one_std := _one_std_table(task, results, comparisons):
            blocks.append(
                f"{task}, languages changed by more than one standard deviation of the first row\n{by_one_std}"
            )
        if any(value.mean is not None for value in summaries[0].tasks[task].word_groups.values()):
            blocks.append(f"{task}, by kind of word, mean over all targets\n{_words_table(task, results, summaries)}")
    xr = _xr_table(results, summaries, comparisons)
    blocks.append(f"XR score, mean over tasks of the mean over tiers{_without_tiers(summaries[0])}\n{xr}")
    if len(first.seeds) == 1 and any(comparisons):
        blocks.append(ONE_SEED)
    reasons = _reasons(summaries)
    if first.missing:  # which the heading has told
        reasons = [reason for reason in reasons if "not evaluated" not in reason]
        if any(value.mean is None for summary in summaries for value in (summary.xr, *_shown(summary))):
            blocks.append(f"{NONE} is a mean over something that was not evaluated.")
    if reasons:
        blocks.append("\n  ".join([f"{NONE} is a mean that lacks a part:", *reasons]))
    if {language.code for language in first.languages} < set(first.suite.target_languages):
        blocks.append(render_languages(results, comparisons))
    return "\n\n".join(blocks)


def render_languages(results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> str:
    """Score and gain of every target language, one table a task and a few recipes, arguments as above."""
    blocks = []
    summaries = [summarise(result) for result in results]
    for task in (name for name in results[0].suite.tasks if name in summaries[0].tasks):
        for start in range(0, len(results), RECIPES_ABREAST):
            part = slice(start, start + RECIPES_ABREAST)
            blocks.append(f"{task}\n{_language_table(task, results[part], summaries[part], comparisons[part])}")
    key = "percent; in brackets the gain over the first column"
    if len(results[0].seeds) > 1:
        key += "; +/- after it: helped/harmed (corrected test at 5 %)"
    return "\n\n".join([*blocks, key])


def render_further(comparison: Comparison) -> str:
    """The gain to expect in a further language, one line per task."""
    body = [
        [task.task, NONE, NONE]
        if task.further is None
        else [
            task.task,
            f"{signed(task.further.mean)} [{signed(task.further.low)}, {signed(task.further.high)}]",
            str(task.further.families),
        ]
        for task in comparison.tasks
    ]
    head = "Gain to expect in one further language like these, with 95 % interval (families as clusters)"
    return f"{head}\n{_table(body, ['task', 'gain', 'families'])}"


def _heading(result: Result) -> str:
    suite, seeds = result.suite, len(result.seeds)
    std = f" ± std (ddof {result.ddof})" if seeds >= SEEDS_FOR_STD else ""
    over = f"mean over {seeds} seeds{std}" if seeds > 1 else f"seed {result.seeds[0]} only"
    lines = [
        f"{suite.title} ({suite.id}), checkpoint {result.checkpoint.id}",
        f"Percent, {over}. Tiers: Joshi classes; bands: {suite.bands.distance} distance to {suite.source_language}.",
        f"gain: over {result.recipe.name}, mean of all targets, with 95 % interval ({_sources(result)}).",
    ]
    if seeds > 1:
        lines.append("+/-: languages helped / harmed, test over seeds and examples, Holm-corrected at 5 %.")
    if result.missing:
        lines.append(f"Partial, so not ranked: {'; '.join(gaps(result))}.")
    return "\n".join(lines)


def _sources(result: Result) -> str:
    """What the variance of a gain comes from."""
    seeds = "seeds" if len(result.seeds) > 1 else "the prior's seeds"
    return f"{seeds}, on these test examples" if result.reported else f"{seeds} and test examples"


def _task_table(
    task: str,
    results: Sequence[Result],
    summaries: Sequence[Summary],
    comparisons: Sequence[Comparison | None],
) -> str:
    body = []
    columns = [name for name in (*TIERS, *BANDS, "source") if name in summaries[0].tasks[task].groups]
    for result, summary, comparison in zip(results, summaries, comparisons, strict=True):
        groups, compared = summary.tasks[task].groups, _of_task(comparison, task)
        body.append(
            [
                _narrow(result.recipe.name, 24),
                spread(groups["all"]),
                *(percent(groups[name].mean) for name in columns),
                with_interval(compared.gains.get("all")) if compared else "",
                _counts(change.verdict for change in compared.languages) if compared else "",
            ]
        )
    sizes = summaries[0].tasks[task].sizes
    source = results[0].suite.source_language
    named = [source if name == "source" else _with_size(name, sizes) for name in columns]
    return _table(body, ["recipe", _with_size("all", sizes), *named, "gain", "+/-"])


def _with_size(group: str, sizes: Mapping[str, int]) -> str:
    return f"{group}\n({sizes[group]})" if group in sizes else group


def _without_tiers(summary: Summary) -> str:
    """The tasks whose score is the mean over all targets, in brackets; empty if there are none."""
    tasks = [task.task for task in summary.tasks.values() if task.score_groups == ("all",)]
    why = f"no tier has {SMALLEST_TIER} languages"
    return f" ({', '.join(tasks)}: over all targets, since {why})" if tasks else ""


def _one_std_table(task: str, results: Sequence[Result], comparisons: Sequence[Comparison | None]) -> str:
    """AlignFreeze's counts; empty where none can be made."""
    tasks = [_of_task(comparison, task) for comparison in comparisons]
    body = [
        [_narrow(result.recipe.name, 24), count_with_interval(by.helped), count_with_interval(by.harmed)]
        for result, compared in zip(results, tasks, strict=True)
        if compared is not None and (by := compared.one_std) is not None
    ]
    return _table(body, ["recipe", "helped [95 %]", "harmed [95 %]"]) if body else ""


def _words_table(task: str, results: Sequence[Result], summaries: Sequence[Summary]) -> str:
    """A group that some language's words lack, such as articles, has no mean over all targets: named, not shown."""
    everywhere = {name: value.mean is not None for name, value in summaries[0].tasks[task].word_groups.items()}
    names = [name for name, there in everywhere.items() if there]
    body = [
        [
            result.recipe.name,
            *(spread(summary.tasks[task].word_groups.get(name, SeedScores(()))) for name in names),
        ]
        for result, summary in zip(results, summaries, strict=True)
    ]
    lacking = [name for name, there in everywhere.items() if not there]
    note = f"\nnot in every language: {', '.join(lacking)}" if lacking else ""
    return _table(body, ["recipe", *names]) + note


def _xr_table(results: Sequence[Result], summaries: Sequence[Summary], comparisons: Sequence[Comparison | None]) -> str:
    body = [
        [
            result.recipe.name,
            spread(summary.xr),
            with_interval(comparison.gains.get("xr")) if comparison else "",
        ]
        for result, summary, comparison in zip(results, summaries, comparisons, strict=True)
    ]
    return _table(body, ["recipe", "XR score", "gain"])


def _language_table(
    task: str,
    results: Sequence[Result],
    summaries: Sequence[Summary],
    comparisons: Sequence[Comparison | None],
) -> str:
    columns: list[dict[str, LanguageChange]] = []
    for comparison in comparisons:
        compared = _of_task(comparison, task)
        columns.append({change.language: change for change in compared.languages} if compared else {})
    tiers = {tier: place for place, tier in enumerate(TIERS)}
    records = [r for r in results[0].languages if r.code in summaries[0].tasks[task].languages]
    body = [
        [
            f"{record.name} ({record.code})",
            record.tier,
            NONE if record.distance is None else f"{record.distance:.2f}",
            *(
                _score_and_gain(summary.tasks[task].languages[record.code], changes.get(record.code))
                for summary, changes in zip(summaries, columns, strict=True)
            ),
        ]
        for record in sorted(records, key=lambda r: (tiers.get(r.tier, len(tiers)), r.distance or 0.0, r.code))
    ]
    return _table(body, ["language", "tier", "distance", *(_narrow(result.recipe.name, 14) for result in results)])


def _score_and_gain(score: SeedScores, change: LanguageChange | None) -> str:
    if change is None:
        return percent(score.mean)
    return f"{percent(score.mean)} ({signed(change.gain)}){MARKS[change.verdict]}"


def _of_task(comparison: Comparison | None, task: str) -> TaskComparison | None:
    return next((t for t in comparison.tasks if t.task == task), None) if comparison else None


def _counts(verdicts: Iterable[str]) -> str:
    each = list(verdicts)
    return NONE if "untested" in each else f"{each.count('helped')}/{each.count('harmed')}"


def _reasons(summaries: Sequence[Summary]) -> list[str]:
    """Why means are missing, each reason once."""
    values = [v for s in summaries for v in (*_shown(s), s.xr)]
    return list(dict.fromkeys(_short(v.reason) for v in values if v.reason))


def _shown(summary: Summary) -> list[SeedScores]:
    """The means by group of every task."""
    return [value for task in summary.tasks.values() for value in task.groups.values()]


def _short(reason: str) -> str:
    return reason if len(reason) <= 110 else reason[:107] + "..."


def _narrow(name: str, width: int) -> str:
    """A name over several lines of at most `width` columns, broken at its hyphens."""
    lines = [""]
    for part in name.replace("-", "- ").split():
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _table(body: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Set columns two spaces apart; tabulate's own heads would make each of them two wider."""
    widths = [
        max(len(line) for cell in column for line in cell.split("\n")) for column in zip(head, *body, strict=True)
    ]
    rows = [head, ["-" * width for width in widths], *body]
    align = ["left"] + ["right"] * (len(head) - 1)
    return tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align)

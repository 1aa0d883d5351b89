"""A board as one Markdown page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from urllib.parse import quote

from xrealign_bench.leaderboard.numbers import NONE, counted, percent, signed, spread, with_interval
from xrealign_bench.leaderboard.table import Board, Row, Section, Verdicts
from xrealign_bench.results.schema import BASELINE, CheckpointRecord, LanguageChange
from xrealign_bench.scoring.aggregate import BANDS, SEEN, TIERS

MARKS = {"helped": " ▲", "harmed": " ▼", "same": ""}


def render_markdown(board: Board) -> str:
    """The page: how to read it, and for each checkpoint the ranking, the gains by group and the languages."""
    suite = board.suite
    parts = [
        f"# {text(suite.title)}",
        f"Suite `{suite.id}`, digest `{board.suite_digest[:12]}`: "
        f"{counted(len(suite.target_languages), 'target language')}, fine-tuned in `{suite.source_language}`; "
        f"tasks {', '.join(f'`{name}`' for name in suite.tasks)}; "
        f"seeds {', '.join(map(str, suite.seeds))}. {text(suite.description)}".rstrip(),
        "Made by `xrealign-bench leaderboard build` from the results that the rows link to; don't edit. The "
        "same figures: [leaderboard.csv](leaderboard.csv), [leaderboard.json](leaderboard.json), "
        "[languages.csv](languages.csv).",
        _rules(board),
        *(part for section in board.sections for part in _render_section(board, section)),
    ]
    return "\n\n".join(parts) + "\n"


def text(value: str) -> str:
    """Text of others made safe inside a table: no markup, no cell borders, one line.

    >>> text("a|b <i>c</i>")
    'a\\\\|b &lt;i&gt;c&lt;/i&gt;'
    """
    flat = html.escape(" ".join(value.split()), quote=False)
    for character in "\\`*_[]|":
        flat = flat.replace(character, "\\" + character)
    return flat


def _rules(board: Board) -> str:
    cuts = board.suite.bands.cuts
    classes = sorted(board.suite.tiers.items(), key=lambda tier: TIERS.index(tier[0]))
    tiers = "; ".join(f"{name} {', '.join(map(str, numbers))}" for name, numbers in classes)
    rules = (
        "Scores are percent, the mean over seeds (± std, ddof 0). Gains are percentage points against "
        f"`{BASELINE}`: the same checkpoint, seeds and data without realignment.",
        "**XR score**: the mean over tasks of the mean of the three tier scores. **Tiers** are classes of "
        f"Joshi et al. (2020): {tiers}. The source language is in no average.",
        f"**Bands**: {board.suite.bands.distance} distance to `{board.suite.source_language}`; "
        f"close ≤ {cuts[0]:g} < middle ≤ {cuts[1]:g} < distant. **Seen**: in the checkpoint's pre-training.",
        "**[ ]**: the 95 % interval of a paired bootstrap over seeds and test examples. With one seed it "
        "says nothing about other seeds.",
        "**▲ ▼**: helped or harmed; two-sided bootstrap p, Holm-corrected over the task's languages, below 0.05.",
        "**†**: changed by AlignFreeze's rule; round(mean, 1) > round(baseline mean, 1) + "
        "round(baseline std, 1), or the mirror image. It is fragile, above all with few seeds.",
        "**Rank**: rows go by XR score; a row shares the rank of the row above it if the intervals of their "
        "gains in XR score overlap (the baseline's is 0). Ranks are within a checkpoint.",
        "**Reported** rows are taken from a publication: nothing was computed here, and their intervals are over "
        "seeds alone, so too narrow. All others are *rescored*: `xrealign-bench rescore` computes each score from "
        "stored predictions.",
        "What lacks a task, language or seed, was run with `--limit`, or has no baseline beside it has "
        "no rank; a mean that lacks a part is not shown. Suite versions never share a table.",
    )
    return "## How to read this\n\n" + "\n".join(f"- {rule}" for rule in rules)


def _render_section(board: Board, section: Section) -> list[str]:
    checkpoint = section.checkpoint
    parts = [
        f"## {text(checkpoint.id)}",
        text(checkpoint.architecture) + _identity(checkpoint) + ".",
        _overview(section.rows),
    ]
    for said in dict.fromkeys(row.reported for row in section.rows if row.reported):
        parts.append(f"**Reported**: {text(said)}")
    unranked = [row for row in section.rows if row.unranked]
    if unranked:
        parts.append("Not ranked:\n\n" + "\n".join(_reasons(unranked)))
    compared = [row for row in section.rows if row.gains]
    if compared:
        parts += ["### Gains by tier and band", _gains(compared)]
    for task in board.suite.tasks:
        table = _languages(board, section, task)
        if table:
            parts += [f"### Languages: {text(task)}", table]
    return parts


def _identity(checkpoint: CheckpointRecord) -> str:
    """What is known of it; of one in a publication, no more than its name."""
    known = [] if checkpoint.parameters is None else [f"{checkpoint.parameters:,} parameters"]
    known += [f"revision `{checkpoint.revision}`"] if checkpoint.revision else []
    known += [f"weights `{checkpoint.weights_sha256[:12]}`"] if checkpoint.weights_sha256 else []
    return "".join(f", {one}" for one in known)


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows have no rank, each reason once."""
    by_reason: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row.unranked, []).append(row)
    return [f"- {', '.join(map(_link, same))}: {text('; '.join(why))}" for why, same in by_reason.items()]


def _overview(rows: Sequence[Row]) -> str:
    head = ["Rank", "Recipe", "Seeds", "XR score", "Gain [95 %]", *(tier.capitalize() for tier in TIERS)]
    head += ["Source", "▲ / ▼", "† + / -", "Worst language", "Seconds", "Peak memory", "Realigned parameters"]
    body = [
        [
            str(row.rank) if row.rank is not None else "partial" if row.partial else NONE,
            f"{_link(row)}<br>{text(row.title)}" + (" (reported)" if row.reported else ""),
            str(row.seeds),
            spread(row.xr),
            "baseline" if row.is_baseline else with_interval(row.gains.get("xr")),
            *(percent(_mean(row, tier)) for tier in TIERS),
            percent(_mean(row, "source")),
            _both(row.tested),
            _both(row.one_std),
            NONE if row.worst is None else f"{text(row.worst.language)} {signed(row.worst.gain)}",
            NONE if row.reported else f"{row.seconds:,.0f}",
            NONE if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 2**20:,.0f} MiB",
            NONE if row.reported else f"{row.realigned_parameters:,}",
        ]
        for row in rows
    ]
    return _table(body, head, left=2)


def _gains(rows: Sequence[Row]) -> str:
    names = [name for name in ("xr", "all", *TIERS, *BANDS, *SEEN, "source") if any(name in r.gains for r in rows)]
    head = ["Recipe", *("XR" if name == "xr" else name.capitalize() for name in names)]
    return _table([[_link(r), *(with_interval(r.gains.get(name)) for name in names)] for r in rows], head)


def _languages(board: Board, section: Section, task: str) -> str:
    """Languages x recipes: the baseline's score, then gains; from close to distant within the tiers."""
    rows = [row for row in section.rows if task in row.summary.tasks]
    compared = [row for row in rows if any(change.task == task for change in row.changes)]
    baseline = next((row for row in rows if row.is_baseline), None)
    changes = [{c.language: c for c in row.changes if c.task == task} for row in compared]
    records = {code: record for row in rows for code, record in row.languages.items()}
    codes = sorted(
        (code for code in board.suite.target_languages if code in records),
        key=lambda code: (
            TIERS.index(records[code].tier) if records[code].tier in TIERS else len(TIERS),
            records[code].distance if records[code].distance is not None else float("inf"),
            code,
        ),
    )
    body = []
    for code in codes:
        record = records[code]
        score = baseline.summary.tasks[task].languages.get(code) if baseline else None
        body.append(
            [
                f"{text(record.name)} ({text(code)})",
                record.tier,
                NONE if record.distance is None else f"{record.distance:.2f}",
                NONE if record.seen is None else "yes" if record.seen else "no",
                NONE if score is None else spread(score),
                *(_change(of_recipe.get(code)) for of_recipe in changes),
            ]
        )
    head = [
        "Language",
        "Tier",
        "Distance",
        "Seen",
        f"[{BASELINE}]({quote(baseline.result)})" if baseline else BASELINE,
    ]
    return _table(body, [*head, *(_link(row) for row in compared)], left=2) if body else ""


def _change(change: LanguageChange | None) -> str:
    if change is None:
        return NONE
    return signed(change.gain) + MARKS[change.verdict] + ("" if change.one_std == "same" else " †")


def _mean(row: Row, group: str) -> float | None:
    value = row.groups.get(group)
    return value.mean if value else None


def _both(verdicts: Verdicts | None) -> str:
    return NONE if verdicts is None else f"{verdicts.helped} / {verdicts.harmed}"


def _link(row: Row) -> str:
    return f"[{text(row.label)}]({quote(row.result)})"


def _table(body: Sequence[Sequence[str]], head: Sequence[str], left: int = 1) -> str:
    """Not padded, so that a change of one cell changes one line."""
    align = [":--"] * left + ["--:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, align, *body))

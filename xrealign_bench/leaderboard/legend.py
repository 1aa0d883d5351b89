"""How to read a board: what each sign and column means."""

from __future__ import annotations

from xrealign_bench.leaderboard.board import Board
from xrealign_bench.leaderboard.formatting import NONE, SEEDS_FOR_STD
from xrealign_bench.leaderboard.views import Facts, has_reported_means
from xrealign_bench.results.result import BASELINE
from xrealign_bench.scoring.aggregate import SCORING_VERSION, SMALLEST_TIER, TIERS


def rules(board: Board) -> Facts:
    """How to read a board; words in backquotes are code."""
    cuts = board.suite.bands.cuts
    classes = sorted(board.suite.tiers.items(), key=lambda tier: TIERS.index(tier[0]))
    tiers = "; ".join(f"{name} {', '.join(map(str, numbers))}" for name, numbers in classes)
    ddofs = {row.xr.ddof for section in board.sections for row in section.rows}
    std = "ddof 0, as published" if ddofs == {0} else "ddof 1" + "; 0 in reported rows, as published" * (0 in ddofs)
    known = (
        (
            "Scores",
            f"percent, the mean over seeds ± standard deviation ({std}; shown from {SEEDS_FOR_STD} seeds on). Gains "
            f"are percentage points against `{BASELINE}`: the same checkpoint, seeds and data without realignment.",
        ),
        (
            "XR score",
            "the mean over tasks of the mean over tiers. A tier enters a task with at least "
            f"{SMALLEST_TIER} of its languages; if no tier has them, the task's score is the mean over all targets"
            f"{_without_tiers(board)}. The source language is in no average.",
        ),
        (
            "Tiers",
            f"classes of Joshi et al. (2020): {tiers}. A tier's column is the mean over the tasks that it enters; its "
            "heading says how many languages it has in how many tasks.",
        ),
        (
            "Other groups",
            "unclassified, targets without a class; not realigned, targets that the recipe's realignment read no "
            f"pairs of (out of distribution); seen, in the checkpoint's pre-training, {NONE} where that is not "
            f"known; bands: {board.suite.bands.distance} distance to `{board.suite.source_language}`, "
            f"close ≤ {cuts[0]:g} < middle ≤ {cuts[1]:g} < distant.",
        ),
        (
            "[ ]",
            "the 95 % interval of the mean gain over these languages: variance between seeds, shrunk towards a prior, "
            "and between test examples. With one seed it is the prior's. Intervals of single languages and of rows are "
            "not corrected for their number; verdicts and ranks are.",
        ),
        (
            "▲ ▼",
            "helped or harmed: a two-sided test with the variance of seeds and examples, Holm-corrected over all tasks "
            "and languages of the row, below 0.05. One seed gives no verdict.",
        ),
        (
            "†",
            "changed by AlignFreeze's rule: round(mean, 1) > round(baseline mean, 1) + round(baseline std, 1) with "
            "ddof 0, or the mirror image. It is theirs and fragile, above all with few seeds: two seeds call 8 of 34 "
            "languages helped by a recipe that changes nothing. Its counts have bootstrap intervals.",
        ),
        (
            "Rank",
            "the set of ranks that the tests leave: every two rows of a checkpoint are compared by a paired test, "
            "Holm-corrected together. With 95 % probability all sets of a checkpoint hold the true ranks.",
        ),
        (
            "Other columns",
            "source, the score in the source language; worst language, the lowest gain, untested; seconds, of all "
            "stages behind the row, shared ones included; peak memory of a stage; realigned parameters, reached by the "
            "realignment's loss.",
        ),
        (
            "Best of many",
            "the more rows a board has, the better its best one looks by chance. Of 20 recipes without any effect the "
            "best has an interval above 0 on 12 of 100 simulated boards, by 0.3 points. Sets of ranks take this into "
            "account, intervals don't. Confirmed stands only beside a gain whose interval lies above 0 on at least "
            "three fresh seeds, which did not choose the row: that happens to 2 of 100 such recipes.",
        ),
        (
            "Reported",
            "rows are taken from a publication: nothing was computed here. Their intervals lack the variance of test "
            "examples: they are about new seeds on the same test sets. They have sections of their own and are "
            "compared with one another alone.",
        ),
        (
            "Rescored",
            "rows have all predictions stored: `xrealign-bench rescore` computes each score from them. For rerun rows "
            "a seed was computed again from checkpoint and data, too (`xrealign-bench verify`), and agreed.",
        ),
        (
            "No rank",
            "rows that lack a task, language or seed (partial), are on fresh seeds, have one seed, were run with "
            "`--limit`, or have no baseline beside them. A mean that lacks a part is not shown. Suite versions never "
            "share a table.",
        ),
        (
            "Scoring",
            f"version {SCORING_VERSION}. Version 1 gave narrower intervals and more verdicts than the data support: "
            "`docs/statistics.md` has the model, its calibration and the boards before and after.",
        ),
    )
    return (*known, _REPORTED_MEANS) if has_reported_means(board) else known


_BEST_OF_MANY = "BESTOFMANY"


def _without_tiers(board: Board) -> str:
    """The tasks whose score is the mean over all targets, in brackets; empty if there are none."""
    rows = [row for section in board.sections for row in section.rows]
    tasks = {task.task: None for row in rows for task in row.summary.tasks.values() if task.score_groups == ("all",)}
    return f" (here: {', '.join(f'`{task}`' for task in tasks)})" if tasks else ""


_REPORTED_MEANS = (
    "Reported means",
    "are a publication's own, over seeds and languages as it chose them, without the scores that they are of. They "
    "stand in tables of their own: nothing is computed from them, they have no rank and are compared with nothing, and "
    "what the publication does not give (–) is not filled in.",
)

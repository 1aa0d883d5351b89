"""How to read a board: the meaning of its terms, signs and columns, from the template `rules.md`."""

from __future__ import annotations

import re

from xrealign_bench.leaderboard.board import Board
from xrealign_bench.leaderboard.formatting import NONE, SEEDS_FOR_STD
from xrealign_bench.leaderboard.templating import render_template
from xrealign_bench.leaderboard.views.by_task import is_shown
from xrealign_bench.leaderboard.views.groups import tasks_without_tiers
from xrealign_bench.leaderboard.views.provenance import Facts
from xrealign_bench.results.result import BASELINE
from xrealign_bench.scoring.aggregate import SCORING_VERSION, SMALLEST_TIER, TIERS

RULE = re.compile(r"^- \*\*(.+?)\*\*: (.+)$", flags=re.MULTILINE)


def rules(board: Board) -> Facts:
    """Return terms and their explanations; words in backquotes are code."""
    text = render_template(
        "rules.md",
        suite=board.suite,
        classes=sorted(board.suite.tiers.items(), key=lambda tier: TIERS.index(tier[0])),
        ddofs=sorted({row.xr.ddof for row in board.rows}),
        without_tiers=tasks_without_tiers(row.summary for row in board.rows),
        has_reported_means=board.has_reported_means,
        has_tables_by_task=any(is_shown(board, section) for section in board.sections),
        baseline=BASELINE,
        missing=NONE,
        seeds_for_std=SEEDS_FOR_STD,
        smallest_tier=SMALLEST_TIER,
        scoring=SCORING_VERSION,
    )
    return RULE.findall(text)

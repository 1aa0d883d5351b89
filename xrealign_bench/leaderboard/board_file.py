"""The format of `leaderboard.json`. Scores and gains are percent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xrealign_bench.results.fields import Finite, NotNegative, Rule
from xrealign_bench.results.history import Trust
from xrealign_bench.specs import Count, LanguageCode, Name, Sha256, Spec, Title


class ScoreFigure(Spec):
    """A score over seeds."""

    mean: Finite | None
    std: NotNegative | None
    """Standard deviation over seeds; null with one seed."""
    reason: str | None
    """Why there is no score."""


class GainFigure(Spec):
    """A gain over the baseline in percentage points, with its 95 % interval."""

    mean: Finite | None
    low: Finite | None
    high: Finite | None
    languages: Count
    reason: str | None
    """Why there is no gain."""


class RankedRow(Spec):
    """One result. A group without languages has no field."""

    rank_low: int | None
    rank_high: int | None
    """Ranks that the row may have among those of its checkpoint; null: it has none, see `unranked`."""
    unranked: list[str]
    checkpoint: Title
    revision: str | None
    weights_sha256: str
    exposed_tasks: list[Name]
    """Tasks whose evaluation data the checkpoint is known to have seen."""
    recipe: Name
    title: Title
    trust: Trust
    history: list[str]
    seeds: Count
    ddof: Literal[0, 1]
    confirmed_on_seeds: int | None
    confirmed: bool | None
    """Whether fresh seeds confirm the gain; null: none were evaluated."""
    xr: ScoreFigure
    all: ScoreFigure | None = None
    high: ScoreFigure | None = None
    medium: ScoreFigure | None = None
    low: ScoreFigure | None = None
    close: ScoreFigure | None = None
    middle: ScoreFigure | None = None
    distant: ScoreFigure | None = None
    seen: ScoreFigure | None = None
    unseen: ScoreFigure | None = None
    unclassified: ScoreFigure | None = None
    not_realigned: ScoreFigure | None = None
    out_of_distribution: ScoreFigure | None = None
    source: ScoreFigure | None = None
    gain_xr: GainFigure | None = None
    gain_all: GainFigure | None = None
    gain_high: GainFigure | None = None
    gain_medium: GainFigure | None = None
    gain_low: GainFigure | None = None
    gain_close: GainFigure | None = None
    gain_middle: GainFigure | None = None
    gain_distant: GainFigure | None = None
    gain_seen: GainFigure | None = None
    gain_unseen: GainFigure | None = None
    gain_unclassified: GainFigure | None = None
    gain_not_realigned: GainFigure | None = None
    gain_out_of_distribution: GainFigure | None = None
    gain_source: GainFigure | None = None
    helped: int | None
    harmed: int | None
    """Pairs of task and language by the corrected test; null: not tested."""
    helped_one_std: int | None
    helped_one_std_low: int | None
    helped_one_std_high: int | None
    harmed_one_std: int | None
    harmed_one_std_low: int | None
    harmed_one_std_high: int | None
    worst_task: Name | None
    worst_language: LanguageCode | None
    worst_gain: Finite | None
    seconds: NotNegative
    peak_memory_bytes: Count | None
    realigned_parameters: Count
    result: str
    """Path of `result.json`, relative to the board's folder."""


class ReportedRow(Spec):
    """A mean that a publication or another program reports, as it stands there."""

    checkpoint: Title
    recipe: Name
    test_set: Title
    languages: list[LanguageCode] | None
    reported_mean: Finite
    reported_std: NotNegative | None
    ddof: Literal[0, 1] | None
    result: str
    """Path of `result.json`, relative to the board's folder."""


class BoardFile(Spec):
    """All results of one suite version."""

    schema_version: Literal[2] = 2
    suite: Rule
    """Name and version."""
    suite_digest: Sha256
    scoring: Count
    """Version of the rules that scores, intervals and verdicts follow."""
    rows: list[RankedRow]
    reported_means: list[ReportedRow] = Field(default=[], min_length=1)
    """Absent if nothing is reported."""

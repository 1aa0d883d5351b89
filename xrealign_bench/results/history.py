"""The history of a published result: reruns, corrections and a withdrawal."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from xrealign_bench.results.fields import NotNegative
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.specs import Day, Seed, Sentence, Sha256, Spec

Trust = Literal["reported", "rescored", "rerun"]


class HistoryEvent(Spec):
    """A rerun, correction or withdrawal of a published result."""

    what: Literal["rerun", "corrected", "withdrawn"]
    on: Day
    evidence: Sha256
    """`digest_evidence` of the result; for a correction, of the result that was replaced."""
    reason: Sentence = ""
    """Reason for a correction or withdrawal."""
    seed: Seed | None = None
    """Rerun: the seed that was computed again from checkpoint and data."""
    largest_difference: NotNegative | None = None
    """Rerun: largest difference of a task's mean, in percentage points."""
    same_compute_settings: bool | None = None
    """Rerun: whether device, threads, precision and versions were the same, so that every score had to be equal."""

    @model_validator(mode="after")
    def _check_fields_of_event(self) -> HistoryEvent:
        if self.what == "rerun" and None in (self.seed, self.largest_difference, self.same_compute_settings):
            raise ValueError("a rerun needs seed, largest_difference and same_compute_settings")
        if self.what != "rerun" and not self.reason.strip():
            raise ValueError(f"an event '{self.what}' needs a reason")
        return self


class History(Spec):
    """The events of a published result, in chronological order."""

    schema_version: Literal[2] = 2
    events: list[HistoryEvent] = []

    @property
    def withdrawn(self) -> HistoryEvent | None:
        """The withdrawal, if there is one."""
        return next((event for event in self.events if event.what == "withdrawn"), None)


def trust_level(result: Result, history: History) -> Trust:
    """Return how far a result's scores can be checked.

    Returns:
        `reported`: not at all. `rescored`: from the stored predictions. `rerun`: the same, and a seed was computed
        again from checkpoint and data and agreed.
    """
    if result.reported is not None:
        return "reported"
    evidence = digest_evidence(result)
    again = any(event.what == "rerun" and event.evidence == evidence for event in history.events)
    return "rerun" if again else "rescored"

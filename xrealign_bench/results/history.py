"""The history of a published result: reruns, corrections and a withdrawal."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from xrealign_bench.results.fields import NotNegative
from xrealign_bench.results.result import Result, digest_evidence
from xrealign_bench.specs import Day, Seed, Sentence, Sha256, Spec

Trust = Literal["reported", "rescored", "rerun"]


class HistoryEvent(Spec):
    """What happened to a published result."""

    what: Literal["rerun", "corrected", "withdrawn"]
    on: Day
    evidence: Sha256
    """`digest_evidence` of the result: of a corrected one, as it was before."""
    reason: Sentence = ""
    """Of a correction or withdrawal."""
    seed: Seed | None = None
    """The one that was computed again from checkpoint and data."""
    largest_difference: NotNegative | None = None
    """Of a rerun: percentage points between the means of a task, over the tasks."""
    same_compute_settings: bool | None = None
    """Of a rerun: on the same kind of device, with the same versions, so that every score had to be equal."""

    @model_validator(mode="after")
    def _says_what_it_must(self) -> HistoryEvent:
        if self.what == "rerun" and None in (self.seed, self.largest_difference, self.same_compute_settings):
            raise ValueError("a rerun says seed, largest_difference and same_compute_settings")
        if self.what != "rerun" and not self.reason.strip():
            raise ValueError(f"what is {self.what} needs a reason")
        return self


class History(Spec):
    """What happened to a result since it was published, the earliest first."""

    schema_version: Literal[2] = 2
    events: list[HistoryEvent] = []

    @property
    def withdrawn(self) -> HistoryEvent | None:
        return next((event for event in self.events if event.what == "withdrawn"), None)


def trust_in(result: Result, history: History) -> Trust:
    """How far scores can be checked: `reported`, not at all; `rescored`, each from stored predictions; `rerun`, and a
    seed was computed again and agreed."""
    if result.reported is not None:
        return "reported"
    evidence = digest_evidence(result)
    again = any(event.what == "rerun" and event.evidence == evidence for event in history.events)
    return "rerun" if again else "rescored"

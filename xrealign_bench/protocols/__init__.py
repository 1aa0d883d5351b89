"""What a paper describes, what its code ran, and what the suite of its name does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Name, Sentence, Spec, Title
from xrealign_bench.specs.yaml import read_fields

_FOLDER = Path(__file__).parent
Text = Annotated[Sentence, Field(min_length=1)]


class Point(Spec):
    """One part of a protocol."""

    topic: Title
    described: Text
    """In the paper's text."""
    run: Text
    """By the released code."""
    ours: Text
    differs: bool = False
    """Whether the suite does not do what the code ran."""
    size: Sentence = ""
    """How much a difference moves scores, if it differs."""
    measured: Name | None = None
    """Name of the point in benchmarks/protocol-points.csv that measures what it would matter."""


class Protocol(Spec):
    """The protocol of a paper beside that of the suite with its name."""

    suite: Name
    version: str
    relation: Literal["follows", "reproduces"]
    """`reproduces`: no point differs."""
    source: Text
    points: Annotated[list[Point], Field(min_length=1)]

    @property
    def differences(self) -> list[Point]:
        """The points in which the suite differs from what the code ran."""
        return [point for point in self.points if point.differs]


def protocol_names() -> list[str]:
    """Return the names of the suites that follow a paper."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find_protocol(suite: str) -> Protocol:
    """Return the protocol of a suite.

    Raises:
        UserError: the suite follows no paper.
    """
    if suite not in protocol_names():
        names = ", ".join(protocol_names())
        raise UserError(f"suite '{suite}': follows no paper, so there is no protocol to compare; {names} do")
    return Protocol.model_validate(read_fields(_FOLDER / f"{suite}.yaml"))

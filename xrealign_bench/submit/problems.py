"""Problems of a submission, collected so that all are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from xrealign_bench.errors import UserError
from xrealign_bench.specs.fields import HTML

T = TypeVar("T")


class Problems:
    """Lines that describe problems, without repetitions, in the order in which they were found."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def add(self, lines: Iterable[str]) -> bool:
        """Add problems. Returns whether there were none."""
        before = len(self._lines)
        self._lines.update(dict.fromkeys(lines))
        return len(self._lines) == before

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Run a step. If it raises a UserError, add its lines and return None."""
        try:
            return step()
        except UserError as error:
            self.add(str(error).splitlines())
            return None

    def raise_any(self) -> None:
        """Raise a UserError with all problems, if there are any."""
        if self:
            raise UserError(str(self))


def html_problems(content: Any, where: str = "") -> Iterator[str]:
    """Yield a problem for each text in JSON content that holds HTML, including names of fields."""
    if isinstance(content, str) and HTML.search(content):
        yield f"{where}: has HTML in it ({content[:60]!r}); write it without"
    elif isinstance(content, list):
        for number, item in enumerate(content):
            yield from html_problems(item, f"{where}.{number}")
    elif isinstance(content, dict):
        for key, item in content.items():
            yield from html_problems(key, where)
            yield from html_problems(item, f"{where}.{key}".removeprefix("."))

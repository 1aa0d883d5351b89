"""Problems of a submission, collected so that all are reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from xrealign_bench.specs.fields import HTML

T = TypeVar("T")


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

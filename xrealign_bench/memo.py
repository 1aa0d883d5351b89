"""Answers that cost an import of torch or transformers, kept from one run to the next.

An answer is kept under the digest of everything that it depends on, so a kept answer is what would be found again. A
run whose stages are all stored asks nothing new, and imports neither library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from xrealign_bench.files import write_atomically

Answer = TypeVar("Answer", bound="bool | int | str | list[str] | dict[str, str | int | bool | None] | None")

_file: Path | None = None
_answers: dict[str, object] = {}


@contextmanager
def kept_in(file: Path) -> Iterator[None]:
    """Keep answers in a JSON file meanwhile, and use those that it holds. A damaged file counts as empty."""
    global _file, _answers
    before = _file, _answers
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = {}
    _file, _answers = file, content if isinstance(content, dict) else {}
    try:
        yield
    finally:
        _file, _answers = before


def recall(question: str, depends_on: object, find: Callable[[], Answer]) -> Answer:
    """Return the answer to a question, calling `find` if it is not kept yet.

    Args:
        question: what is asked; raised in number when `find` changes.
        depends_on: everything that the answer depends on, as plain data.
        find: returns the answer as plain data. What it raises is not kept.
    """
    text = json.dumps([question, depends_on], sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()
    if key in _answers:
        return _answers[key]  # type: ignore[return-value]
    answer = find()
    if _file is not None:
        _answers[key] = answer
        with suppress(OSError):  # it is found again next time
            write_atomically(_file, json.dumps(_answers, indent=1).encode())
    return answer

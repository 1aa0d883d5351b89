"""JSON Lines, and JSON files with a list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from xrealign_bench.data.formats.lines import open_bytes, read_lines
from xrealign_bench.data.rows import Line
from xrealign_bench.errors import UserError, shorten


def read_jsonl(path: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the objects of a file with one JSON object per line. Blank lines are skipped.

    Raises:
        UserError: a line is no JSON object.
    """
    for number, text in read_lines(path):
        if not text.strip():
            continue
        try:
            row = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: is not JSON ({error}): '{shorten(text.strip())}'; mend it") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: is not a JSON object: '{shorten(text.strip())}'; mend the line")
        yield number, row


def read_json(path: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the objects of a JSON file: a list of them, an object whose `data` is one, or SQuAD's nested form.

    Raises:
        UserError: the file is no JSON, or has another form.
    """
    with open_bytes(path) as file:
        try:
            content = json.loads(file.read().decode("utf-8-sig"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: is not JSON ({error}); mend it, or, if each line is an object, put `format: jsonl` "
                "into the source"
            ) from None
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: must be a list of objects, or an object whose 'data' is one; convert it")
    is_squad = bool(rows) and all("paragraphs" in row for row in rows)
    for row in _flatten_squad(path, rows) if is_squad else rows:
        yield None, row


def _flatten_squad(path: str, articles: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one row per question, with the columns of `squad` on the Hub."""
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = question["answers"]
                    yield {
                        "id": question.get("id"),
                        "title": article.get("title"),
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": {
                            "text": [answer["text"] for answer in answers],
                            "answer_start": [answer["answer_start"] for answer in answers],
                        },
                    }
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: is not SQuAD's JSON ({error!r} is missing or of another type); mend it") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")

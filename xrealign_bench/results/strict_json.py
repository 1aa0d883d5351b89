"""Strict JSON parser for files that others may have written: unique keys, finite and short numbers, bounded depth."""

from __future__ import annotations

import json
from typing import Any

from xrealign_bench.errors import UserError

LONGEST_NUMBER = 40
"""Digits of a whole number: twice as many as the largest number in a result can have."""


def parse_json(content: bytes, where: str) -> Any:
    """Parse JSON that others may have written.

    Args:
        content: the bytes of the file.
        where: the file's name, for errors.

    Raises:
        UserError: the content is not valid JSON, repeats a key, or has a number or nesting that is not allowed.
    """
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_parse_int, object_pairs_hook=_unique
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start}). Restore the file") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}:{error.lineno}: is not JSON: {error.msg}. Restore the file") from None
    except RecursionError:
        raise UserError(f"{where}: can't be read as JSON: it is nested too deeply. Restore the file") from None
    except ValueError as error:
        raise UserError(f"{where}: can't be read as JSON: {str(error)[:200]}. Restore the file") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _parse_int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"the number {digits[:10]}... has {len(digits):,} digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated[:80]!r} is given more than once")
    return content

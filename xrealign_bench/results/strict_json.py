"""JSON that others may have written: one value a key, finite numbers of ordinary length, bounded depth."""

from __future__ import annotations

import json
from typing import Any

from xrealign_bench.errors import UserError

LONGEST_NUMBER = 40
"""Digits of a whole number: twice those of the largest that a result can have."""


def parse_json(content: bytes, where: str) -> Any:
    """Parse JSON that others may have written.

    Args:
        content: what a file holds.
        where: the file, for errors.

    Raises:
        UserError: it is no such JSON.
    """
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_refuse, parse_int=_whole_number, object_pairs_hook=_each_key_once
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start}); restore the file") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}:{error.lineno}: is not JSON: {error.msg}; restore the file") from None
    except RecursionError:
        raise UserError(f"{where}: is no JSON that can be read: it is nested too deeply; restore the file") from None
    except ValueError as error:
        raise UserError(f"{where}: is no JSON that can be read: {str(error)[:200]}; restore the file") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"the number {digits[:10]}... has {len(digits):,} digits")
    return int(digits)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} is given more than once")
    return found

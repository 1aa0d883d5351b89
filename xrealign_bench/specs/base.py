"""Base model of all specs, canonical JSON and its digest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xrealign_bench.errors import FieldError, convert_os_errors


class Spec(BaseModel):
    """Frozen, strict pydantic model: unknown fields are refused, and so is "3" or 3.0 for the integer 3."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        return hash(canonical_json(self))

    def to_yaml(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the spec as YAML, which is also written to `path` if one is given.

        Raises:
            UserError: the file can't be written.
        """
        from xrealign_bench.specs.core_schema import write_yaml

        text = write_yaml(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
        if path is not None:
            with convert_os_errors("to_yaml", "create the folder first, or write to another one"):
                Path(path).write_text(text, encoding="utf-8")
        return text


class PublicSpec(Spec):
    """Spec that users make in Python, such as `xb.Recipe(name="mine", ...)`.

    Raises:
        FieldError: a field is wrong; the messages are those for YAML files.
    """

    if not TYPE_CHECKING:  # type checkers know the fields from the annotations

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                from xrealign_bench.specs.explain import describe_problems

                raise FieldError(describe_problems(error, type(self), fields)) from None

        # Else pydantic would call it whenever it reads a file, without the file's folder.
        __init__.__pydantic_base_init__ = True


def added_later(default: Any) -> Any:
    """Return a pydantic field that version 0.2 did not have: while it has its default, no result or lock shows it."""
    return Field(default=default, exclude_if=lambda value: value == default)


def canonical_json(value: Any) -> str:
    """Serialise to canonical JSON: sorted keys, no spaces, no NaN.

    Fields of a model that equal their default are left out, so that adding a field with a backward-compatible default
    changes no digest. For the same reason a default never changes (tests/specs/test_defaults.py).

    >>> canonical_json({"b": 1, "a": [1.0, None]})
    '{"a":[1.0,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_dump)


def digest(value: Any) -> str:
    """Return the sha256 (hex) of the canonical JSON of a spec, or of plain data that may contain specs."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _dump(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    raise TypeError(f"no canonical JSON for {type(value).__name__}")

"""What every spec shares: strictness, canonical JSON and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen pydantic model that refuses unknown fields, and values of another type: "3" and 3.0 are not 3."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        return hash(canonical_json(self))


def canonical_json(value: Any) -> str:
    """Serialise to JSON in one way only: sorted keys, no spaces, NaN refused.

    Of a model only what differs from its defaults is dumped, so that a field that is added later, with a default that
    means what was meant before, changes no digest. A default is therefore never changed (tests/specs/test_defaults.py).

    >>> canonical_json({"b": 1, "a": [1.0, None]})
    '{"a":[1.0,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_dump)


def digest(value: Any) -> str:
    """Sha256 (hex) of the canonical JSON of a spec, or of plain data that may hold specs."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _dump(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    raise TypeError(f"no canonical JSON for {type(value).__name__}")

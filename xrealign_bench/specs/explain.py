"""Turn pydantic's validation errors into messages: one per field, with the allowed values."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from xrealign_bench.errors import LONGEST_VALUE, MOST_PROBLEMS, count_further_problems, shorten
from xrealign_bench.specs.core_schema import Where, Written, core_value


def explain(
    error: ValidationError, model: type[BaseModel], written: Mapping[Where, Written]
) -> dict[Where, Callable[[], str]]:
    """Return a function per invalid field that makes its message, since there may be too many to make all.

    If all branches of a union fail, only the error deepest inside the value is reported; of a misspelt field, only
    that it does not exist, and not that the right one is missing.
    """
    messages: dict[Where, Callable[[], str]] = {}
    missing: set[Where] = set()
    meant: set[Where] = set()
    for problem in error.errors(include_url=False):
        where, expected = _place(model, problem["loc"])
        if problem["type"].startswith("union_tag"):
            where = (*where, problem["ctx"]["discriminator"].strip("'"))
        if problem["type"] == "missing":
            missing.add(where)
        elif problem["type"] == "extra_forbidden":
            meant.update((*where[:-1], name) for name in _find_nearest(where[-1], expected.model_fields))
        messages.setdefault(where, partial(_message, dict(problem), expected, written.get(where)))
    above = {where[:n] for where in messages for n in range(len(where))}
    return {where: message for where, message in messages.items() if where not in above | (missing & meant)}


def describe_problems(error: ValidationError, model: type[BaseModel], fields: Mapping[str, Any]) -> str:
    """Return a line for each wrong field of a spec that was made in Python.

    Args:
        error: what pydantic raised.
        model: type of the spec.
        fields: arguments of the call.
    """
    name = fields.get("name")
    spec = f"{model.__name__.lower()} '{shorten(name)}'" if isinstance(name, str) else model.__name__.lower()
    found = explain(error, model, {})
    lines = [
        ": ".join([spec, *([shorten(".".join(where))] if where else []), say()])
        for where, say in list(found.items())[:MOST_PROBLEMS]
    ]
    return "\n".join([*lines, *count_further_problems(spec, len(found))])


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[Where, Any]:
    """Return the field's path, without pydantic's names for branches of a union, and the type expected there."""
    where: Where = ()
    expected: Any = model
    for position, part in enumerate(location):
        options = [option for option in _options(expected) if option is not types.NoneType]
        if len(options) > 1:  # `part` names a branch; only lists and tagged models have fields below it
            below = [option for option in options if _is_branch(_bare(option), str(part))]
            expected = below[0] if below else expected
            continue
        bare = _bare(options[0])
        where = (*where, str(part))
        if location[position + 1 :] == ("[key]",):
            return where, get_args(bare)[0]
        if not _is_model(bare):
            expected = get_args(bare)[-1]
        elif part in bare.model_fields:
            field = bare.model_fields[part]
            expected = Annotated[field.annotation, field]
        else:
            return where, bare
    return where, expected


def _message(problem: dict[str, Any], expected: Any, written: Written | None) -> str:
    error_type, given = problem["type"], problem["input"]
    if error_type in ("missing", "union_tag_not_found"):
        return "is required and missing"
    if error_type == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    if error_type in ("extra_forbidden", "invalid_key"):
        fields = list(expected.model_fields)
        return f"no such field; {_nearest(str(problem['loc'][-1]), fields)}allowed: {', '.join(fields)}"
    if error_type == "union_tag_invalid":
        given = problem["ctx"]["tag"]
        expected = Literal[tuple(tag.strip("' ") for tag in problem["ctx"]["expected_tags"].split(","))]
    if error_type == "unknown_name":
        expected = Literal[tuple(problem["ctx"]["known"])]
    if isinstance(given, (list, dict)):
        name = f"a {'list' if isinstance(given, list) else 'mapping'} of {len(given)}"
    else:
        name = f"'{shorten(written.text if written and written.text is not None else given)}'"
    if error_type == "string_type" and name.startswith("'") and given is not None:
        return f"{name} is read as {_yaml_type(given)}; put it in quotes"
    bare = {_bare(option) for option in _options(expected)}
    if isinstance(given, str) and str not in bare and type(core_value(given)) in bare & {bool, int, float}:
        return f"{name} is text; remove the quotes"
    words = [str(word) for option in _options(expected) for word in _literals(option)]
    plugin = ", or a plugin that --plugin imports" if error_type == "unknown_name" else ""
    return f"{name} is not allowed; {_nearest(str(given), words)}allowed: {describe(expected)}{plugin}"


def describe(expected: Any) -> str:
    """Describe the values that a type allows.

    >>> from xrealign_bench.specs.recipe import Schedule
    >>> print(describe(Schedule.model_fields["steps"].annotation))
    match_finetuning or a whole number above 0 up to 10,000,000
    """
    options = _options(expected)
    if len(options) > 1:
        words = [describe(option) for option in options]
        return f"{', '.join(words[:-1])} or {words[-1]}"
    bare = _bare(options[0])
    if words := [str(word) for word in _literals(bare)]:
        return ", ".join(words)
    if _is_model(bare):
        return f"a mapping with {', '.join(bare.model_fields)}"
    if form := _form(options[0]):
        return form
    limits = "".join(_limits(options[0]))
    if get_origin(bare) is list:
        return f"a list{limits} ({describe(get_args(bare)[0])} each)"
    if get_origin(bare) is tuple:
        return f"a list of {len(get_args(bare))} ({describe(get_args(bare)[0])} each)"
    characters = " characters" if bare is str and limits else ""
    return _NAMES.get(bare, "a mapping") + limits + characters


_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "null",
}


def _yaml_type(given: Any) -> str:
    if isinstance(given, bool):
        return "the truth value " + str(given).lower()
    return "a number"


def _nearest(name: str, known: Iterable[str]) -> str:
    return "".join(f"did you mean '{near}'? " for near in _find_nearest(name, known))


def _find_nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known name that is most like a name, or an empty list."""
    return difflib.get_close_matches(name[:LONGEST_VALUE], list(known), n=1)


def _bare(expected: Any) -> Any:
    return _bare(get_args(expected)[0]) if get_origin(expected) is Annotated else expected


def _options(expected: Any) -> list[Any]:
    """Return the members of a (nested) union; for any other type, the type itself."""
    bare = _bare(expected)
    if get_origin(bare) in (Union, types.UnionType):
        return [option for member in get_args(bare) for option in _options(member)]
    return [expected]


def _literals(option: Any) -> tuple[Any, ...]:
    return get_args(_bare(option)) if get_origin(_bare(option)) is Literal else ()


def _is_model(bare: Any) -> bool:
    return isinstance(bare, type) and issubclass(bare, BaseModel)


def _is_branch(bare: Any, name: str) -> bool:
    """Return whether `name` is pydantic's name for this member of a union.

    That is `list[...]` or `dict[...]`, or the tag of a tagged model, which is the name or value of a field.
    """
    if _is_model(bare):
        return name in bare.model_fields or any(name in _literals(f.annotation) for f in bare.model_fields.values())
    return get_origin(bare) in (list, dict) and name.startswith(f"{get_origin(bare).__name__}[")


def _form(option: Any) -> str | None:
    """Return a type's own description of its values, such as that of a pattern."""
    metadata = get_args(option)[1:] if get_origin(option) is Annotated else ()
    return next((meta.description for meta in metadata if isinstance(meta, FieldInfo) and meta.description), None)


def _limits(option: Any) -> list[str]:
    """Return phrases such as ` above 0` from the constraints of an Annotated type."""
    found = []
    for meta in get_args(option)[1:] if get_origin(option) is Annotated else ():
        for constraint in meta.metadata if isinstance(meta, FieldInfo) else [meta]:
            for attribute, words in _LIMITS.items():
                bound = getattr(constraint, attribute, None)
                found += [f"{words} {bound:,}"] if bound is not None else []
    return found


_LIMITS = {
    "gt": " above",
    "ge": " from",
    "lt": " below",
    "le": " up to",
    "min_length": " of at least",
    "max_length": ", at most",
}
"""Attribute of a constraint in annotated_types -> words."""

"""Docstrings behind a model's fields, from its source: pages and JSON Schemas show them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise

from pydantic import BaseModel


def docstring_of(model: type[BaseModel]) -> str:
    """Return a model's own docstring, and none that it inherits."""
    return inspect.cleandoc(vars(model).get("__doc__") or "")


def docstrings_of(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings behind a model's fields, also inherited ones: they are in its source alone."""
    inherited = {
        name: text for base in model.__bases__ if base is not BaseModel for name, text in docstrings_of(base).items()
    }
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return inherited | {
        field.target.id: inspect.cleandoc(text)
        for field, behind in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(behind, ast.Expr) and isinstance(text := ast.literal_eval(behind.value), str)
    }

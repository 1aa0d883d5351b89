"""What the harness knows, as rows to list and as content to show."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from xrealign_bench.errors import UserError, unknown
from xrealign_bench.languages import PRETRAINED_ON, Distance, distance, find, tier
from xrealign_bench.languages.inventory import inventory
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, find_spec, load_spec, shipped_names

TIERS = {"high": [4, 5], "medium": [3], "low": [0, 1, 2]}


def rows_of(kind: str) -> list[dict[str, Any]]:
    """One row a thing of that kind, with what one needs to choose."""
    return {
        "recipes": _recipes,
        "suites": _suites,
        "tasks": _tasks,
        "languages": _languages,
        "checkpoints": _checkpoints,
        "aligners": _aligners,
    }[kind]()


def describe(kind: str, name: str, source: str) -> dict[str, Any]:
    """One thing whole; a language with its distances to `source`.

    Raises:
        UserError: there is no such thing.
    """
    specs: dict[str, type[BaseModel]] = {"recipes": Recipe, "suites": Suite, "tasks": Task}
    if kind in specs:
        return find_spec(name, specs[kind]).model_dump(mode="json")  # type: ignore[type-var]
    if kind == "languages":
        return _language(name, source)
    for row in rows_of(kind):
        if row["name"] == name:
            return row
    raise unknown(kind[:-1], name, [row["name"] for row in rows_of(kind)])


def validate_file(path: Path) -> str:
    """Check a YAML file as whatever its fields say it is; return what that is.

    Raises:
        UserError: everything that is wrong with it.
    """
    model = _kind_of(path)
    spec = load_spec(path, model)  # type: ignore[type-var]
    if isinstance(spec, Recipe) and spec.aligner is not None:
        from xrealign_bench.aligners import ALIGNERS

        if spec.aligner not in ALIGNERS:
            raise UserError(f"{path}: aligner: {unknown('aligner', spec.aligner, ALIGNERS)}")
    return model.__name__.lower()


def stored_rows(root: Path) -> list[dict[str, Any]]:
    """One row a kind of stage: entries, megabytes, and the seconds that they took."""
    from xrealign_bench.pipeline.store import Store

    by_kind = defaultdict(list)
    for entry in Store(root).entries():
        by_kind[entry.manifest.kind].append(entry)
    return [
        {
            "stage": kind,
            "entries": len(entries),
            "MB": sum(entry.size for entry in entries) / 1e6,
            "seconds": sum(entry.manifest.seconds for entry in entries),
        }
        for kind, entries in by_kind.items()
    ]


def _kind_of(path: Path) -> type[BaseModel]:
    """Recipe, suite, task or corpus: the one that knows most of the fields."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return Recipe  # loading it says what is wrong
    fields = set(content) if isinstance(content, dict) else set()
    models: tuple[type[BaseModel], ...] = (Recipe, Suite, Task, Corpus)
    return max(models, key=lambda model: len(fields & model.model_fields.keys()))


def _recipes() -> list[dict[str, Any]]:
    recipes = [find_spec(name, Recipe) for name in shipped_names(Recipe)]
    return [
        {
            "name": r.name,
            "title": r.title,
            "method": r.method,
            "aligner": (r.aligner or "the suite's") if r.realigns else None,
            "frozen": _frozen(r) if r.realigns else None,
        }
        for r in recipes
    ]


def _frozen(recipe: Recipe) -> str:
    blocks = str(recipe.freeze.blocks)
    return f"{blocks} and embeddings" if recipe.freeze.embeddings else blocks


def _suites() -> list[dict[str, Any]]:
    suites = [find_spec(name, Suite) for name in shipped_names(Suite)]
    return [
        {
            "name": s.name,
            "version": s.version,
            "title": s.title,
            "tasks": s.tasks,
            "source": s.source_language,
            "targets": len(s.target_languages),
            "seeds": s.seeds,
        }
        for s in suites
    ]


def _tasks() -> list[dict[str, Any]]:
    tasks = [find_spec(name, Task) for name in shipped_names(Task)]
    return [
        {
            "name": t.name,
            "title": t.title,
            "kind": t.kind,
            "languages": len(t.languages),
            "metric": t.metric,
            "licence": t.licence,
        }
        for t in tasks
    ]


def _languages() -> list[dict[str, Any]]:
    return [
        {
            "name": language.code,
            "language": language.name,
            "iso639_3": language.iso639_3,
            "script": language.script,
            "family": language.family,
            "joshi_class": language.joshi_class,
            "tier": tier(language, TIERS),
            "featural distance to en": _rounded(distance("en", language.code, "featural")),
        }
        for language in inventory().values()
    ]


def _language(name: str, source: str) -> dict[str, Any]:
    language = find(name)
    content = {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(language).items()}
    content["tier"] = tier(language, TIERS)
    content[f"distance to {find(source).code}"] = {
        kind: _rounded(distance(source, language.code, kind)) for kind in get_args(Distance)
    }
    return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _checkpoints() -> list[dict[str, Any]]:
    from xrealign_bench.models.checkpoint import EMBEDDED

    languages = "pre-trained on the languages of"
    hub = [{"name": name, "where": "Hub", languages: data} for name, data in PRETRAINED_ON.items()]
    return [{"name": EMBEDDED, "where": "in the package", languages: "the demo suite"}, *hub]


def _aligners() -> list[dict[str, Any]]:
    from xrealign_bench.aligners import ALIGNERS

    return [
        {"name": name, "links": a.title, "needs lexicon": a.needs_lexicon, "needs checkpoint": a.needs_checkpoint}
        for name, a in ALIGNERS.items()
    ]

"""Tables and descriptions of specs, languages, checkpoints, methods, aligners, task types and stored stages."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

from xrealign_bench.data.loaded_suite import collect_suite, compute_cuts
from xrealign_bench.errors import Problems, UserError, unknown
from xrealign_bench.languages import (
    PRETRAINED_ON,
    DistanceType,
    distance,
    find,
    narrow,
    pool,
    published_draws,
    published_lists,
    tier,
)
from xrealign_bench.languages import select as select_languages
from xrealign_bench.languages.inventory import inventory
from xrealign_bench.languages.selection import DistanceSource, Selection, featural_distance
from xrealign_bench.languages.tiers import TIERS
from xrealign_bench.pipeline.preflight import file_problems, in_file, untested_targets
from xrealign_bench.plugins import Registry
from xrealign_bench.specs import (
    Corpus,
    Recipe,
    RecipeFamily,
    Suite,
    Task,
    aligner_name,
    find_in_suite,
    find_spec,
    shipped_names,
)
from xrealign_bench.specs.methods import METHODS
from xrealign_bench.specs.task_types import TASK_TRAITS
from xrealign_bench.specs.yaml import collect_spec, guess_type, read_fields

_log = logging.getLogger(__name__)
T = TypeVar("T")


def rows_of(category: str) -> list[dict[str, Any]]:
    """Return one row per item of a category such as `recipes`, with the fields needed to choose."""
    return {
        "recipes": _recipes,
        "suites": _suites,
        "tasks": _tasks,
        "corpora": _corpora,
        "languages": _languages,
        "checkpoints": _checkpoints,
        "methods": _methods,
        "aligners": _aligners,
        "task-types": _task_types,
    }[category]()


def describe(category: str, name: str, source: str) -> dict[str, Any]:
    """Return every field of one item of a category; of a language also its distances to `source`.

    Raises:
        UserError: there is no such item.
    """
    specs: dict[str, type[BaseModel]] = {"recipes": Recipe, "suites": Suite, "tasks": Task, "corpora": Corpus}
    if category in specs:
        return find_spec(name, specs[category]).model_dump(mode="json")  # type: ignore[type-var]
    if category == "languages":
        return _language(name, source)
    for row in rows_of(category):
        if row["name"] == name:
            return row
    raise unknown(category[:-1], name, [row["name"] for row in rows_of(category)])


def spec_type(path: Path) -> type[BaseModel]:
    """Return the type of spec that a YAML file's fields match best; a recipe if the file can't be read."""
    try:
        return guess_type(read_fields(path))
    except UserError:
        return Recipe  # loading it reports the problem


def validate_file(path: Path) -> str:
    """Validate a YAML file as the type of spec that its fields match best; of a suite, also the files that it names.

    Returns:
        The type, such as `recipe`.

    Raises:
        UserError: a file is invalid. The message has one line per problem.
    """
    problems, model = Problems(), spec_type(path)
    if model is Suite:
        # With a "/", so that a file without the ending .yaml is not taken for the name of a shipped suite.
        loaded = collect_suite(os.path.join(".", path), problems, check=file_problems)
        if loaded is not None and loaded.is_complete:
            problems.add(in_file(path, untested_targets(loaded, loaded.suite.target_languages)))
    else:
        collect_spec(path, model, problems, file_problems)  # type: ignore[type-var]
    problems.raise_if_any()
    return "recipe family" if model is RecipeFamily else model.__name__.lower()


def stored_rows(root: Path) -> list[dict[str, Any]]:
    """Return one row per type of stage in a store: entries, megabytes, and the seconds that they took."""
    from xrealign_bench.pipeline.store import Store

    by_type = defaultdict(list)
    for entry in Store(root).entries():
        by_type[entry.manifest.kind].append(entry)
    return [
        {
            "stage": stage_type,
            "entries": len(entries),
            "MB": sum(entry.size for entry in entries) / 1e6,
            "seconds": sum(entry.manifest.seconds for entry in entries),
        }
        for stage_type, entries in by_type.items()
    ]


def chosen_languages(  # noqa: PLR0913 (over 6 parameters: the options of the command)
    method: str,
    n: int,
    pool_name: str,
    *,
    source: str,
    anchor_source: bool,
    seed: int,
    distances: DistanceSource = "uriel",
    **filters: Any,
) -> dict[str, Any]:
    """Choose languages from a pool. Returns the choice, how it was made, and one row per language.

    Args:
        method: how to choose.
        n: how many to choose.
        pool_name: a pool that `languages.pool` knows, or `suite:NAME` for a suite's targets.
        source: the source language.
        anchor_source: whether distances to the source language count.
        seed: seed of the method `random`.
        distances: database of the featural distances.
        filters: conditions, as for `languages.narrow`.

    Raises:
        UserError: there is no such pool, language or checkpoint, or too few languages are left.
    """
    prefix, _, name = pool_name.partition(":")
    whole = find_spec(name, Suite).target_languages if prefix == "suite" else pool(pool_name)
    codes = narrow(whole, **filters)
    if not codes:
        raise UserError(f"none of the {len(whole)} languages of the pool '{pool_name}' meets all conditions; drop some")
    selection = select_languages(
        method, n, codes, source=source, anchor_source=anchor_source, seed=seed, distances=distances
    )
    return {
        "languages": list(selection.languages),
        "method": method,
        "source": find(source).code,
        "source_in_set": anchor_source,
        "seed": seed if method == "random" else None,
        "distances": distances,
        "found": selection.found,
        "distance": _selection_distance(selection),
        "pool": {
            "name": pool_name,
            "languages": len(whole),
            "meet_conditions": len(codes),
            "left_out": dict(selection.left_out),
        },
        "rows": [_chosen_row(code, source, distances) for code in selection.languages],
    }


def _selection_distance(selection: Selection) -> dict[str, Any]:
    mean = selection.distance_mean
    return {
        "kind": "featural",
        "sum": round(selection.distance_sum, 6),
        "mean": None if mean is None else round(mean, 6),
        "pairs": selection.pairs,
    }


def _chosen_row(code: str, source: str, distances: DistanceSource) -> dict[str, Any]:
    language = find(code)
    return {
        "name": code,
        "language": language.name,
        "script": language.script,
        "family": language.family,
        "joshi_class": language.joshi_class,
        f"featural distance to {find(source).code}": _rounded(featural_distance(source, code, distances)),
    }


def suite_languages(name_or_file: str) -> dict[str, Any]:
    """Return one row per target language of a suite, and counts by tier, band, script, family and task.

    Raises:
        UserError: the suite is missing or invalid.
    """
    from xrealign_bench.results.language_records import describe_language

    suite = compute_cuts(find_spec(name_or_file, Suite))
    tasks = [find_in_suite(name, Task, name_or_file) for name in suite.tasks]
    rows: list[dict[str, Any]] = []
    for record in (describe_language(suite, code, checkpoint_id="") for code in suite.target_languages):
        rows.append(
            {
                "name": record.code,
                "language": record.name,
                "script": record.script,
                "family": record.family,
                "joshi_class": record.joshi_class,
                "tier": record.tier,
                f"{suite.bands.distance} distance to {suite.source_language}": _rounded(record.distance),
                "band": record.band,
                "tasks": [task.name for task in tasks if record.code in task.languages],
            }
        )
    values = {field: [row[field] for row in rows] for field in ("tier", "band", "script", "family")}
    values["tasks"] = [name for row in rows for name in row["tasks"]]
    return {
        "suite": suite.id,
        "rows": rows,
        "counts": {field: dict(Counter(found).most_common()) for field, found in values.items()},
    }


def published_rows() -> list[dict[str, Any]]:
    """Return one row per published list of languages, and one per published draw of a random subset."""
    lists = published_lists()
    source = lists["lowresource-65"].source
    draws = [
        {"name": name, "n": len(codes), "note": f"drawn with seed {seed}", "languages": list(codes), "source": source}
        for name, by_seed in published_draws().items()
        for seed, codes in by_seed.items()
    ]
    return [
        {"name": p.name, "n": len(p.languages), "note": p.note, "languages": list(p.languages), "source": p.source}
        for p in lists.values()
    ] + draws


def _recipes() -> list[dict[str, Any]]:
    recipes = [find_spec(name, Recipe) for name in shipped_names(Recipe)]
    return [
        {
            "name": r.name,
            "title": r.title,
            "method": r.method,
            "aligner": ("the suite's" if r.aligner is None else aligner_name(r.aligner)) if r.needs_links else None,
            "frozen": _frozen(r) if r.realigns else None,
        }
        for r in recipes
    ]


def without_families(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of recipes with one row for each family, at the place of its first recipe."""
    families = [find_spec(name, RecipeFamily) for name in shipped_names(RecipeFamily)]
    family_of = {recipe.name: family for family in families for recipe in family.recipes}
    shown: dict[str, dict[str, Any]] = {}
    for row in rows:
        family = family_of.get(row["name"])
        if family is None:
            shown[row["name"]] = row
            continue
        name = family.placeholder
        shown.setdefault(name, row | {"name": name, "title": f"{family.title}, {len(family.recipes)} subsets"})
    return list(shown.values())


def _frozen(recipe: Recipe) -> str:
    blocks = "all blocks" if recipe.freeze.blocks == ":" else str(recipe.freeze.blocks)
    return f"{blocks} and embeddings" if recipe.freeze.embeddings else blocks


def _suites() -> list[dict[str, Any]]:
    suites = {name: find_spec(name, Suite) for name in shipped_names(Suite)}
    return [
        {
            "name": name,
            "version": s.version,
            "title": s.title,
            "tasks": s.tasks,
            "source": s.source_language,
            "targets": len(s.target_languages),
            "seeds": s.seeds,
        }
        for name, s in suites.items()
    ]


def _tasks() -> list[dict[str, Any]]:
    tasks = [find_spec(name, Task) for name in shipped_names(Task)]
    return [
        {
            "name": t.name,
            "title": t.title,
            "task_type": t.task_type,
            "languages": len(t.languages),
            "metric": t.metric,
            "licence": t.licence,
        }
        for t in tasks
    ]


def _corpora() -> list[dict[str, Any]]:
    corpora = [find_spec(name, Corpus) for name in shipped_names(Corpus)]
    return [
        {"name": c.name, "title": c.title, "pairs": c.pairs, "lexicons": c.lexicons, "licence": c.licence}
        for c in corpora
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
        distance_type: _rounded(distance(source, language.code, distance_type))
        for distance_type in get_args(DistanceType)
    }
    return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _checkpoints() -> list[dict[str, Any]]:
    from xrealign_bench.models.checkpoint_files import EMBEDDED

    languages = "pre-trained on the languages of"
    hub = [{"name": name, "where": "Hub", languages: data} for name, data in PRETRAINED_ON.items()]
    return [{"name": EMBEDDED, "where": "in the package", languages: "the demo suite"}, *hub]


def _methods() -> list[dict[str, Any]]:
    return [
        {"name": name, "from": origin, "contrasts": method.contrasts, "needs aligner": method.needs_links}
        for name, origin, method in _with_origins(METHODS)
    ]


def _aligners() -> list[dict[str, Any]]:
    from xrealign_bench.aligners import ALIGNERS

    return [
        {
            "name": name,
            "from": origin,
            "links": aligner.title,
            "needs lexicon": aligner.needs_lexicon,
            "needs checkpoint": aligner.needs_checkpoint,
        }
        for name, origin, aligner in _with_origins(ALIGNERS)
    ]


def _task_types() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "from": origin,
            "columns": list(traits.required_columns),
            "metrics": list(traits.metrics),
            "fine-tunes": traits.finetunes,
        }
        for name, origin, traits in _with_origins(TASK_TRAITS)
    ]


def _with_origins(registry: Registry[T]) -> Iterator[tuple[str, str, T]]:
    """Yield the name, origin and implementation of everything that is registered once."""
    for name, origin in registry.origins().items():
        try:
            yield name, origin, registry[name]
        except UserError as error:
            _log.warning("%s", error)

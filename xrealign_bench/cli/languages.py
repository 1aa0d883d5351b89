"""`languages`: choose languages to realign, and list those of suites and published studies."""

from __future__ import annotations

from typing import Any

import click

from xrealign_bench.cli.options import OrderedGroup, json_option
from xrealign_bench.cli.printing import print_json, print_table, print_yaml
from xrealign_bench.languages import METHODS
from xrealign_bench.languages.tiers import TIERS


@click.group(cls=OrderedGroup)
def languages() -> None:
    """Choose languages to realign; list those of suites and published studies."""


@languages.command("select")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="uriel",
    show_default=True,
    help="Maximise distances, number of families or number of scripts; or draw at random.",
)
@click.option(
    "--n", type=click.IntRange(min=1), required=True, help="Number of languages, without the source language."
)
@click.option(
    "--pool",
    "pool_name",
    default="lowresource-65",
    show_default=True,
    help="Choose from a published subset, inventory (all), suite:NAME (its targets) or comma-separated codes.",
)
@click.option("--source", default="en", show_default=True, help="Source language; never chosen itself.")
@click.option(
    "--anchor-source/--no-anchor-source",
    default=True,
    show_default=True,
    help="Count the distances to the source language too.",
)
@click.option(
    "--distances",
    type=click.Choice(["uriel", "uriel+"]),
    default="uriel",
    show_default=True,
    help="Database of the featural distances. The low-resource study used URIEL+.",
)
@click.option("--tier", "tier_name", type=click.Choice(list(TIERS)), help="Only languages of this resource tier.")
@click.option("--seen", metavar="CHECKPOINT", help="Only languages in the pre-training data of CHECKPOINT.")
@click.option("--unseen", metavar="CHECKPOINT", help="Only languages not in the pre-training data of CHECKPOINT.")
@click.option("--latin/--non-latin", default=None, help="Only languages in Latin script, or only the others.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed for --method random.")
@json_option
def languages_select(as_json: bool, **options: Any) -> None:
    """Choose n languages from a pool.

    The first line of the output can be pasted below `parallel:` in a recipe. Distances are featural.
    `exact` marks a proven optimum, `exchange` a local one: no swap of one language improves it.

    \b
    Examples:
      xrealign-bench languages select --n 10
      xrealign-bench languages select --method family --n 20 --pool suite:demo
      xrealign-bench languages select --n 5 --unseen FacebookAI/xlm-roberta-base --latin
      xrealign-bench languages select --method random --n 3 --pool de,fi,sw,th --seed 7 --json
    """
    from xrealign_bench.listings import chosen_languages

    chosen = chosen_languages(**options)
    if as_json:
        print_json(chosen)
        return
    pool, between = chosen["pool"], chosen["distance"]
    print_yaml({"languages": chosen["languages"]}, default_flow_style=None, width=10**6)
    click.echo()
    print_table(chosen["rows"], headers="keys", disable_numparse=True)
    click.echo(f"\n{pool['name']}: {pool['languages']} languages, {pool['meet_conditions']} meet the conditions")
    for code, why in pool["left_out"].items():
        click.echo(f"left out: {code}, {why}")
    if between["pairs"]:
        among = f", {chosen['source']} among them" if chosen["source_in_set"] else ""
        mean = f"mean {between['mean']:.4f} of {between['pairs']} pairs"
        click.echo(f"{chosen['found']}: sum of distances {between['sum']:.4f}, {mean}{among}")


@languages.command("suite")
@click.argument("name")
@json_option
def languages_suite(name: str, as_json: bool) -> None:
    """List the target languages of a suite.

    NAME is a suite's name or YAML file. For each language: script, family, tier, distance band and number of tasks;
    below, the number of languages per tier, band, script and family.

    \b
    Examples:
      xrealign-bench languages suite xrealign-lite
      xrealign-bench languages suite my-suite.yaml --json
    """
    from xrealign_bench.listings import suite_languages

    found = suite_languages(name)
    if as_json:
        print_json(found)
        return
    rows = [row | {"tasks": len(row["tasks"])} for row in found["rows"]]
    print_table(rows, headers="keys", disable_numparse=True)
    click.echo(f"\n{len(found['rows'])} target languages")
    for what, counts in found["counts"].items():
        click.echo(f"{what}: {', '.join(f'{value} {count}' for value, count in counts.items())}")


@languages.command("subsets")
@json_option
def languages_subsets(as_json: bool) -> None:
    """List language subsets used in published studies.

    A recipe uses one with `languages: {subset: NAME}` below `parallel:`.

    \b
    Example:
      xrealign-bench languages subsets --json
    """
    from xrealign_bench.listings import published_rows

    rows = published_rows()
    if as_json:
        print_json(rows)
    else:
        table = [[row["name"], row["n"], row["note"], " ".join(row["languages"])] for row in rows]
        print_table(table, headers=["name", "n", "note", "languages"], disable_numparse=True)

"""`languages`: choose languages to realign; look at those of a suite."""

from __future__ import annotations

from typing import Any

import click
from tabulate import tabulate

from xrealign_bench.cli.options import Listing, json_option
from xrealign_bench.cli.printing import print_json
from xrealign_bench.languages import METHODS
from xrealign_bench.languages.tiers import TIERS
from xrealign_bench.specs.core_schema import write_yaml


@click.group(cls=Listing)
def languages() -> None:
    """Choose languages to realign; look at those of a suite."""


@languages.command("select")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="uriel",
    show_default=True,
    help="As far apart, of as many families or scripts as possible, or at random.",
)
@click.option("--n", type=click.IntRange(min=1), required=True, help="How many; the source language is not counted.")
@click.option(
    "--pool",
    "pool_name",
    default="lowresource-65",
    show_default=True,
    help="A name of `languages subsets`, inventory, suite:NAME for its targets, or codes with commas.",
)
@click.option("--source", default="en", show_default=True, help="Source language; it is never chosen.")
@click.option(
    "--anchor-source/--no-anchor-source",
    default=True,
    show_default=True,
    help="Put the source language in the set first: its distances count.",
)
@click.option("--tier", "tier_name", type=click.Choice(list(TIERS)), help="Only languages of this resource tier.")
@click.option("--seen", metavar="CHECKPOINT", help="Only languages of its pre-training data.")
@click.option("--unseen", metavar="CHECKPOINT", help="Only languages that are not in its pre-training data.")
@click.option("--latin/--non-latin", default=None, help="Only languages (not) in Latin script.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the method random.")
@json_option
def languages_select(as_json: bool, **options: Any) -> None:
    """Choose n languages of a pool.

    The first line can be pasted below `parallel:` in a recipe. Distances are URIEL's featural ones; `exact` means that
    no set is better, `exchange` that swapping one language makes it no better.

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
    click.echo(write_yaml({"languages": chosen["languages"]}, default_flow_style=None, width=10**6))
    click.echo(tabulate(chosen["rows"], headers="keys", disable_numparse=True))
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
    """Show the target languages of a suite (name or file).

    What is known of each, how many tasks test it, and how many languages there are of each tier, band, script and
    family.

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
    click.echo(tabulate([r | {"tasks": len(r["tasks"])} for r in found["rows"]], headers="keys", disable_numparse=True))
    click.echo(f"\n{len(found['rows'])} target languages")
    for what, counts in found["counts"].items():
        click.echo(f"{what}: {', '.join(f'{value} {count}' for value, count in counts.items())}")


@languages.command("subsets")
@json_option
def languages_subsets(as_json: bool) -> None:
    """List the subsets that studies published.

    A recipe names one as `languages: {subset: NAME}`.

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
        click.echo(tabulate(table, headers=["name", "n", "note", "languages"], disable_numparse=True))

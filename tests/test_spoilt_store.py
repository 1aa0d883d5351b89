"""A store whose files are spoilt at random. Truth: the result of a run that nothing disturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import spoil
from tests.small import World, essence, left_over
from xrealign_bench.specs import digest

RECIPES = ("finetune-only", "alignfreeze-front")
STAGES = 12


@pytest.fixture
def expected(undisturbed: World) -> list[dict[str, Any]]:
    return [essence(undisturbed.result(recipe)) for recipe in RECIPES]


@pytest.fixture
def world(undisturbed: World, tmp_path: Path) -> World:
    """A copy of a finished evaluation's store, to be spoilt."""
    shutil.copytree(undisturbed.store, tmp_path / "store")
    return replace(undisturbed, folder=tmp_path)


def entries(world: World) -> list[Path]:
    return sorted(path.parent for path in world.store.glob("*/??/*/manifest.json"))


def check_made_good(
    world: World, expected: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, spoilt: Collection[Path]
) -> None:
    """The same command tells of each spoilt entry once, makes it again, and has the same result."""
    caplog.clear()
    ran = world.evaluate()
    assert ran.status == 0, ran.err
    told = [record.message.split()[1] for record in caplog.records if " was damaged (" in record.message]
    assert sorted(told) == sorted(entry.name for entry in spoilt)
    assert f"{len(spoilt)} stages run, {STAGES - len(spoilt)} found in the store" in ran.err
    assert [essence(world.result(recipe)) for recipe in RECIPES] == expected
    assert len(entries(world)) == STAGES
    assert left_over(world.store, world.output) == []


def test_every_kind_of_file_spoilt(
    world: World, expected: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """One file of every entry, the largest first and then another one."""
    chance, had = random.Random(8), set[tuple[str, str]]()
    for had_largest in (False, True):
        for entry in entries(world):
            files = sorted(path for path in entry.rglob("*") if path.is_file())
            kind = entry.parent.parent.name
            new = [path for path in files if (kind, path.name) not in had] or files
            path = chance.choice(new) if had_largest else max(new, key=lambda path: path.stat().st_size)
            had.add((kind, path.name))
            content = path.read_bytes()
            ways = spoil.JSON if content[:1] == b"{" else spoil.ANY_FILE
            while (spoilt := chance.choice(ways)(content, chance)) == content:
                pass
            path.write_bytes(spoilt)
        check_made_good(world, expected, caplog, entries(world))
    trained = {("finetune", "model.safetensors"), ("realign", "encoder.safetensors")}
    assert {*trained, ("predict", "score.json"), ("predict", "predictions.parquet")} <= had


def swap(one: Path, other: Path) -> None:
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_files_in_each_other_s_place_and_what_is_no_file(
    world: World, expected: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    by_kind: dict[str, list[Path]] = {}
    for entry in entries(world):
        by_kind.setdefault(entry.parent.parent.name, []).append(entry)
    first, second, sentences = by_kind["tokenise"]
    swap(first, second)  # each has the other's key
    (sentences / "data.json").unlink()
    (sentences / "data.json").mkdir()
    one, other = by_kind["finetune"]
    swap(one / "model.safetensors", other / "model.safetensors")  # of the same size
    for path, put in zip(
        [entry / "predictions.parquet" for entry in by_kind["predict"]],
        [lambda path: path.symlink_to("gone"), os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir],
        strict=True,
    ):
        path.unlink()
        put(path)
    manifest = by_kind["realign"][0] / "manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    (by_kind["encode"][0] / "manifest.json").write_text(spoil.NESTED)
    align = by_kind["align"][0] / "manifest.json"
    align.write_text(align.read_text().replace("{", '{"kind": "align",', 1))  # a key twice, with one value: it is read
    check_made_good(world, expected, caplog, [entry for entry in entries(world) if entry.parent.parent.name != "align"])


def test_an_entry_of_a_newer_version_is_told_and_kept(world: World) -> None:
    manifest = entries(world)[0] / "manifest.json"
    content = json.loads(manifest.read_text()) | {"schema_version": 99}
    del content["sha256"]
    manifest.write_text(json.dumps(content | {"sha256": digest(content)}))
    before = manifest.read_bytes()
    ran = world.evaluate()
    assert ran.status == 2
    assert "has schema version 99, this xrealign-bench" in ran.err.splitlines()[-1]
    assert manifest.read_bytes() == before and not list(world.output.rglob("result.json"))

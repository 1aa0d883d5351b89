"""Fixtures: a finished evaluation of the small suite, and new worlds to evaluate in."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small import Ran, World, command, write_checkpoint, write_suite

gc.disable()  # while tests are collected, of which nothing is garbage


def pytest_collection_finish() -> None:
    """Exclude modules and tests, a million objects that stay for good, from garbage collection."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores, since some wait for processes and servers that they started."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> tuple[World, Ran]:
    """The small suite, evaluated with the default recipe. Read-only: tests that write to it make a copy."""
    folder = tmp_path_factory.mktemp("finished")
    world = World(folder, write_suite(folder), small_checkpoint)
    return world, command(*world.arguments, "--json", with_charts=True)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> World:
    """The suite of `new_world`, evaluated. Read-only: tests that write to it make a copy."""
    folder = tmp_path_factory.mktemp("undisturbed")
    world = World(folder, write_suite(folder, target_languages=["de"], seeds=[3]), small_checkpoint)
    assert world.evaluate().status == 0
    return world


@pytest.fixture
def new_world(tmp_path: Path, small_checkpoint: Path) -> Callable[..., World]:
    """Return a function that makes a world with an unevaluated suite, by default with one target and one seed."""

    def make(name: str = "world", **changes: Any) -> World:
        folder = tmp_path / name
        return World(
            folder, write_suite(folder, **{"target_languages": ["de"], "seeds": [3], **changes}), small_checkpoint
        )

    return make

"""A finished evaluation of the small suite, and fresh places to evaluate in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small import Ran, World, write_checkpoint, write_suite


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> tuple[World, Ran]:
    """The small suite, evaluated with the default recipe. Only to be looked at: tests that write take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    world = World(folder, write_suite(folder), small_checkpoint)
    return world, world.evaluate("--json")


@pytest.fixture
def new_world(tmp_path: Path, small_checkpoint: Path) -> Callable[..., World]:
    """Make a place with a suite that is yet to be evaluated: two targets and one seed, unless told otherwise."""

    def make(name: str = "world", **changes: Any) -> World:
        folder = tmp_path / name
        return World(
            folder, write_suite(folder, **{"target_languages": ["de"], "seeds": [3], **changes}), small_checkpoint
        )

    return make

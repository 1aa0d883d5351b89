"""Fixtures: registries that are restored, and the example package, built and on the path."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from xrealign_bench import plugins
from xrealign_bench.plugins import TITLES, registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(autouse=True)
def restored_registries() -> Iterator[None]:
    """Forget plugins after a test."""
    yield
    forget_plugins()


def forget_plugins() -> None:
    """Remove all plugins and their modules, as in a new process."""
    for group in TITLES:
        registry(group)._plugins.clear()
    for name in list(sys.modules):
        if name.startswith(("xrealign_bench_plugin_", "span_realign", "broken_", "other_")):
            del sys.modules[name]
    plugins._package_of.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package as pip would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the example package unpacked, which is what pip does with a wheel."""
    folder = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    return folder

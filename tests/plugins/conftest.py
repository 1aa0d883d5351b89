"""Fixtures: registries that are restored, and the example package, installed and on the path."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
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
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed with pip."""
    folder = tmp_path_factory.mktemp("installed")
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder), str(EXAMPLE)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def installed(installed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the installed package, which a test may change."""
    folder = tmp_path / "site"
    shutil.copytree(installed_once, folder)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    return folder

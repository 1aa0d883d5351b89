"""The package's layers. Truth: the import statements in the source, and `sys.modules` of fresh processes."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "xrealign_bench"
LAYERS = (
    "errors", "arguments", "files", "memo", "distributed", "plugins", "specs", "protocols", "languages", "demo", "data",
    "models", "aligners", "realignment", "tasks", "analysis", "pipeline", "results", "scoring", "leaderboard",
    "listings", "inspection", "doctor", "availability", "fetch", "evaluation", "inside", "freeze_search",
    "verification", "submit",
    "progress", "plot", "model_export", "api", "cli", "__main__",
)  # fmt: skip
"""A module imports from its own layer and from those before it; the package itself, the public API, from all."""

HEAVY = ("torch", "transformers", "datasets", "evaluate")
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int:
    """Place in `LAYERS`; the package itself, which holds its version, lies below them all."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 else -1


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and module of every import of this package, those inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name of the module"
            names = [node.module or ""]
            if node.module == "xrealign_bench":
                names = [f"xrealign_bench.{a.name}" for a in node.names if not a.name.startswith("__")]
        else:
            continue
        yield from ((node.lineno, n) for n in names if n.split(".")[0] == "xrealign_bench")


def upward(path: Path, source: str) -> list[str]:
    own = layer(module_name(path)) if path != PACKAGE / "__init__.py" else len(LAYERS)
    return [f"{path.name}:{line}: {name}" for line, name in imports(source) if layer(name) > own]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_module_imports_from_a_layer_above(path: Path) -> None:
    assert upward(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from xrealign_bench.pipeline.store import Store",
        "def f():\n    import xrealign_bench.cli",
        "if TYPE_CHECKING:\n    from xrealign_bench import leaderboard",
    ],
)
def test_an_import_from_above_is_seen_wherever_it_stands(source: str) -> None:
    assert len(upward(PACKAGE / "models" / "encoder.py", source)) == 1
    assert upward(PACKAGE / "cli" / "running.py", source) == []


def test_every_layer_is_there() -> None:
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES} == {
        "__init__",
        *LAYERS,
    }


def light_modules() -> list[str]:
    whole = [module_name(p) for p in SOURCES if p.relative_to(PACKAGE).parts[0] in LIGHT_LAYERS]
    return [*whole, "xrealign_bench.results.result", "xrealign_bench.scoring.aggregate"]


LIGHT_LAYERS = ("errors.py", "specs", "languages", "leaderboard", "cli")


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_light_modules_load_without_heavy_packages() -> None:
    code = f"""
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded = [heavy for heavy in {HEAVY} if heavy in sys.modules]
    assert not loaded, f"importing {{name}} loads {{loaded}}"
"""
    run(code, *light_modules())


def test_listing_recipes_loads_no_heavy_package() -> None:
    code = f"""
import sys
from xrealign_bench.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
loaded = [heavy for heavy in {HEAVY} if heavy in sys.modules]
assert not loaded, f"loads {{loaded}}"
"""
    assert run(code, "list", "recipes")


def test_help_of_every_command_loads_only_click() -> None:
    slow = (*HEAVY, "pandas", "pyarrow", "numpy", "scipy", "matplotlib", "pydantic", "huggingface_hub", "yaml")
    code = f"""
import sys
import click
from xrealign_bench.cli import cli

def print_help(command, *path):
    try:
        cli([*path, "--help"], prog_name="xrealign-bench", standalone_mode=False)
    except SystemExit as end:
        assert not end.code, (path, end.code)
    loaded = [package for package in {slow} if package in sys.modules]
    assert not loaded, f"{{path}} loads {{loaded}}"
    for name, child in getattr(command, "commands", {{}}).items():
        print_help(child, *path, name)

print_help(cli)
"""
    assert run(code).count("Usage: xrealign-bench ") >= 20


def test_help_is_quick() -> None:
    """In user CPU time, which does not grow because something else runs on the machine: 0.12 s here."""
    seconds = []
    for _ in range(3):
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "xrealign_bench", "--help"],
            os.environ | {"PYTHONPATH": str(ROOT)},
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        seconds.append(usage.ru_utime)
    assert statistics.median(seconds) < 0.35, seconds

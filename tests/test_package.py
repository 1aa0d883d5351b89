"""The wheel works without the checkout. Truth: the checkout's files, and processes that run on the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from xrealign_bench.specs.yaml import family_recipes

ROOT = Path(__file__).parent.parent
SHIPPED = {"xrealign_bench": "xrealign_bench"} | {
    folder: f"xrealign_bench/shipped/{folder}" for folder in ("tasks", "submissions", "schemas")
}
"""Folder of the checkout -> folder of the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """A folder with the wheel's content and nothing else."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(site: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        f"{there}/{path.relative_to(ROOT / here).as_posix()}"
        for here, there in SHIPPED.items()
        for path in (ROOT / here).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == expected


def test_the_wheel_names_the_command_and_carries_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        named = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        assert "xrealign-bench = xrealign_bench.cli:main" in archive.read(named["entry_points.txt"]).decode()
        assert archive.read(named["LICENSE"]) == (ROOT / "LICENSE").read_bytes()


def test_every_shipped_spec_and_the_checkpoint_load_from_the_wheel(site: Path) -> None:
    code = """
import json
import xrealign_bench
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.specs import find_spec, shipped_names
from xrealign_bench.specs.yaml import FOLDERS

print(json.dumps({
    "package": xrealign_bench.__file__,
    "specs": {m.__name__: [find_spec(name, m).name for name in shipped_names(m)] for m in FOLDERS},
    "checkpoint": str(resolve_checkpoint(EMBEDDED).folder),
}))
"""
    found = json.loads(run(site, "-c", code))
    assert Path(found["package"]).is_relative_to(site)
    assert Path(found["checkpoint"]).is_relative_to(site)
    assert all(found["specs"].values())
    assert found["specs"]["Recipe"] == sorted(
        [*(path.stem for path in (ROOT / "submissions").glob("*.yaml")), *family_recipes()]
    )


def test_the_command_lists_the_recipes(site: Path) -> None:
    listed = run(site, "-m", "xrealign_bench", "list", "recipes")
    for path in (ROOT / "submissions").glob("*.yaml"):
        assert path.stem in listed


def test_the_citation_names_the_newest_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    releases = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert citation["version"] == releases[0]


def version_of(package: Path) -> str:
    """`__version__` of a copy of the package that is not installed."""
    code = "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; sys.path.insert(0, sys.argv[1])\n"
    code += "from xrealign_bench import __version__; print(__version__)"
    done = subprocess.run([sys.executable, "-c", code, str(package)], cwd=package, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_checkout_has_the_version_of_its_tag(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        settings = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
        done = subprocess.run(["git", *settings, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "xrealign_bench").mkdir()
    shutil.copy(ROOT / "xrealign_bench" / "__init__.py", tmp_path / "xrealign_bench")
    assert version_of(tmp_path) == "0+unknown"
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "First")
    assert version_of(tmp_path) == f"0+g{git('rev-parse', '--short', 'HEAD')}"
    git("tag", "v0.2.0")
    git("tag", "notes")  # names no version
    assert version_of(tmp_path) == "0.2.0"
    git("commit", "--quiet", "--allow-empty", "--message", "Second")
    assert version_of(tmp_path) == f"0.2.0.post1+g{git('rev-parse', '--short', 'HEAD')}"


def test_the_wheel_knows_its_version(wheel: Path, site: Path) -> None:
    shown = run(site, "-c", "from xrealign_bench import __version__; print(__version__)").strip()
    assert wheel.name == f"xrealign_bench-{shown}-py3-none-any.whl"


def test_the_installed_command_is_not_misled_by_its_own_folder() -> None:
    """lang2vec installs a command `lang2vec.py` beside ours, in the folder that Python searches first."""
    command = Path(sys.executable).with_name("xrealign-bench")
    assert command.is_file(), "install the package first: make test does"
    shown = subprocess.run([command, "show", "language", "sw", "--json"], capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["distance to en"]["featural"] > 0


USER_SCRIPT = """
from pathlib import Path

import torch
import xrealign_bench as xb

run = xb.evaluate("FacebookAI/xlm-roberta-base", recipes=["alignfreeze-front"], suite="pos-lite", seeds=[31])
reveal_type(run.results[0].scores)
comparison = xb.compare("one", Path("other"))
reveal_type(comparison.tasks[0].languages[0].gain)
recipe = xb.Recipe(name="mine", title="Mine", method="word_contrastive")
reveal_type(recipe.schedule.batch_size)
model, tokenizer = xb.realign(recipe=recipe, seed=31)
reveal_type(xb.export("folder", recipe=recipe, merge=True))


@xb.register_method("mine", version="1", needs_links=True)
class Mine:
    def __init__(self, objective: xb.Objective) -> None:
        self.temperature = objective.temperature

    def pool(self, hidden: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        return hidden[starts >= 0]

    def loss(self, vectors: torch.Tensor, batch: xb.PairBatch) -> torch.Tensor:
        return vectors.sum()


xb.evaluate(recipe="mine")
xb.Recipe(name="mine", title="Mine", metod="word_contrastive")
"""


@pytest.mark.slow
def test_a_users_script_is_checked_strictly_against_the_wheel(site: Path, tmp_path: Path) -> None:
    """mypy reads the types of an installed package only if it says that it has some."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(site, packages, dirs_exist_ok=True)
    (packages / "others.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    (tmp_path / "mine.py").write_text(USER_SCRIPT)
    python = tmp_path / "venv" / "bin" / "python"
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "mine.py"]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    ran = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200)
    assert [line.split(": ", 2)[2] for line in ran.stdout.splitlines() if ": " in line] == [
        'Revealed type is "list[xrealign_bench.results.records.Score]"',
        'Revealed type is "float"',
        'Revealed type is "int"',
        'Revealed type is "pathlib.Path"',
        'Unexpected keyword argument "recipe" for "evaluate"; did you mean "recipes"?  [call-arg]',
        '"evaluate" defined in "xrealign_bench.api"',
        'Unexpected keyword argument "metod" for "Recipe"; did you mean "method"?  [call-arg]',
    ], ran.stdout + ran.stderr

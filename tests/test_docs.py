"""The documents. Truth: the files they link to, the command line's own parser, and the results they quote."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.test_layers import LAYERS
from xrealign_bench.cli import cli
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Corpus, Suite, Task, find_in_suite, find_spec, load_spec

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GENERATED = {DOCS / "reference" / f"{name}.md" for name in ("commands", "recipe", "suite", "task", "corpus", "shipped")}
"""Written when the site is built; mkdocs checks links to them and to headings (`make docs`)."""
EXAMPLE = ROOT / "examples" / "own-data"
RESULTS = ROOT / "leaderboard" / "results"


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fences(page: Path, *languages: str) -> Iterator[str]:
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if language in languages:
            yield text


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every xrealign-bench command in a page's shell blocks."""
    for text in fences(page, "sh", "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if re.search("xrealign[-_]bench ", line) else []
            program = next((word for word in ("xrealign-bench", "xrealign_bench") if word in words), None)
            if program is not None and words[0] not in ("cd", "git", "pip"):
                yield words[words.index(program) + 1 :]


def parse(arguments: list[str]) -> None:
    """Parse arguments as the command line does, without checking that folders exist.

    Raises:
        click.UsageError, UserError: there is no such command or option, or a value is missing.
    """
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    command.make_parser(context).parse_args(arguments)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in target}
    files = {(page.parent / target).resolve() for target in targets if target}
    assert not [relative(file) for file in files if not file.exists() and file not in GENERATED]


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=relative)
def test_commands_have_these_options(page: Path) -> None:
    for arguments in commands(page):
        parse(arguments)


@pytest.mark.parametrize("arguments", [["evaluate", "--recipes", "a"], ["leaderboard", "make"], ["evaluate", "--seed"]])
def test_a_wrong_command_is_noticed(arguments: list[str]) -> None:
    with pytest.raises((click.UsageError, UserError)):
        parse(arguments)


def listed_in_tree() -> set[str]:
    """The paths in architecture.md's folder tree, which is indented by two spaces a level."""
    page = (DOCS / "architecture.md").read_text("utf-8")
    tree = re.search(r"^## The folder tree\n+```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert tree is not None
    parents: list[str] = []
    paths = set()
    for line in tree[1].splitlines():
        indent, name = re.fullmatch(r"( *)(\S+) {2,}\S.*", line).groups()  # type: ignore[union-attr]
        parents[len(indent) // 2 :] = [name]
        paths.add("".join(parents))
    return paths


def test_the_folder_tree_is_the_real_one() -> None:
    package = ROOT / "xrealign_bench"
    held = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    folders = {"/".join(path.relative_to(ROOT).parts[:3]) for path in held if len(path.relative_to(package).parts) > 2}
    folders |= {relative(path.parent) for path in held if len(path.relative_to(package).parts) <= 2}
    expected = {re.sub(r"/tasks/\w+$", "/tasks/<task_type>", folder) + "/" for folder in folders}
    expected |= {relative(path) for path in package.glob("[!_]*.py")}
    listed = listed_in_tree()
    assert {path for path in listed if path.startswith("xrealign_bench/")} == expected
    assert all((ROOT / path).is_dir() for path in listed if not path.startswith("xrealign_bench/"))


def test_modules_that_the_pages_name_exist() -> None:
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            for name in re.findall(r"`((?:\w+/)+\w+\.py)\b", page.read_text("utf-8")):
                assert (ROOT / "xrealign_bench" / name).exists() or (ROOT / name).exists(), (relative(page), name)


def test_the_contributors_page_has_the_order_of_layers() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert " < ".join(LAYERS) in " ".join(page.split())


def test_the_example_is_the_one_on_the_page_and_valid() -> None:
    shown = "".join(fences(DOCS / "how-to" / "own-data.md", "yaml"))
    for name in ("my-topics", "my-parallel", "my-suite"):
        assert (EXAMPLE / f"{name}.yaml").read_text("utf-8") in shown
    suite = find_spec(str(EXAMPLE / "my-suite.yaml"), Suite)
    task = find_in_suite(suite.tasks[0], Task, str(EXAMPLE / "my-suite.yaml"))
    corpus = load_spec(EXAMPLE / "my-parallel.yaml", Corpus)
    assert {*suite.target_languages, suite.source_language} <= set(task.languages) & set(corpus.columns)


def test_each_decision_is_short_dated_and_listed() -> None:
    listed = (DOCS / "decisions" / "index.md").read_text("utf-8")
    for note in (DOCS / "decisions").glob("*.md"):
        if note.name == "index.md":
            continue
        title, _, date, *rest = note.read_text("utf-8").splitlines()
        assert f"| {date.strip('*')} | [{title.removeprefix('# ')}]({note.name}) |" in listed
        assert [line.split(".")[0] for line in rest if line.startswith("**")] == [
            "**Context",
            "**Decision",
            "**Consequence",
        ]
        assert 5 <= len(rest) <= 15


@pytest.mark.parametrize(
    ("page", "result"),
    [
        ("README.md", "demo-1.1/xrealign-mini/alignfreeze-full"),
        ("README.md", "pos-lite-1.0/e5-small-q4-derived-13469f75/alignfreeze-front"),
        ("docs/measurements.md", "demo-1.1/xrealign-mini/alignfreeze-full"),
        ("docs/measurements.md", "demo-1.1/xrealign-mini/alignfreeze-front"),
        ("docs/measurements.md", "pos-lite-1.0/e5-small-q4-derived-13469f75/alignfreeze-back"),
    ],
)
def test_quoted_gains_are_those_of_the_results(page: str, result: str) -> None:
    gain = json.loads((RESULTS / result / "comparison.json").read_text("utf-8"))["gains"]["all"]
    mean, low, high = (f"{100 * gain[name]:+.1f}" for name in ("mean", "low", "high"))
    said = (ROOT / page).read_text("utf-8")
    assert f"[{low}, {high}]" in said
    assert mean in said or f"gains {mean.removeprefix('+')}" in said


def test_the_example_data_fit_its_suite(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "make_data.py"))["main"](tmp_path)
    fetched = CliRunner().invoke(
        cli, ["fetch", "--suite", str(EXAMPLE / "my-suite.yaml"), "--data-root", str(tmp_path)], catch_exceptions=False
    )
    assert re.search(r"example/topics +4 ", fetched.stdout)
    assert re.search(r"example/parallel +1 ", fetched.stdout)

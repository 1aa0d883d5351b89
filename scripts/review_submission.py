"""Review a pull request's submission: print its problems, or how the boards change, as Markdown.

    python scripts/review_submission.py SUBMITTED

SUBMITTED has `submissions/` and `leaderboard/results/` as in the pull request. Files that differ from this script's
checkout are checked as by `xrealign-bench submit`; they are parsed and never executed. The exit status is 2 if
something is wrong.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tabulate import tabulate

from xrealign_bench.errors import Problems, UserError
from xrealign_bench.leaderboard.assembly import make_boards, read_results
from xrealign_bench.leaderboard.board import Board, BoardRow
from xrealign_bench.leaderboard.formatting import NONE, gain_with_interval, rank_set, spread
from xrealign_bench.leaderboard.markdown import escape
from xrealign_bench.results.manifest import LINK
from xrealign_bench.results.result import BASELINE
from xrealign_bench.specs.yaml import family_recipes
from xrealign_bench.submit.checks import check_submission

ROOT = Path(__file__).parents[1]
RECIPES, RESULTS = Path("submissions"), Path("leaderboard", "results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submitted", type=Path)
    parser.add_argument("--published", type=Path, default=ROOT, help="The checkout to compare with.")
    given = parser.parse_args()
    try:
        print(review(given.submitted, given.published))
    except UserError as error:
        problems = str(error).replace(f"{given.submitted}/", "").splitlines()
        print("## The submission can't be accepted yet\n\n" + "\n".join(f"    {line}" for line in problems))
        sys.exit(2)


def review(submitted: Path, published: Path) -> str:
    """Check what changed. Returns the boards' old and new rows side by side.

    Raises:
        UserError: something is wrong (one line per problem).
    """
    problems = Problems()
    places = [submitted / path for path in (RECIPES, RESULTS.parent, RESULTS)]
    if not problems.add(f"{path}: {LINK}" for path in places if path.is_symlink()):
        raise UserError(str(problems))
    files = changed(submitted / RECIPES, published / RECIPES, "*.yaml", problems)
    folders = {path.parent for path in changed(submitted / RESULTS, published / RESULTS, "*/*/*/*", problems)}
    names = {path.stem for path in files if (submitted / RECIPES / path).exists()}
    names |= {folder.name for folder in folders if (submitted / RESULTS / folder).is_dir()}
    for name in sorted(names):
        problems.attempt(partial(check_recipe, name, folders, submitted, published / RESULTS))
    if problems:
        raise UserError(str(problems))
    suites = sorted({folder.parts[0] for folder in folders})
    tables = [part for suite in suites for part in rows(suite, submitted, published)]
    return "\n\n".join([f"## Checked: {', '.join(map(escape, sorted(names))) or 'nothing is new'}", *tables])


def changed(submitted: Path, published: Path, shape: str, problems: Problems) -> list[Path]:
    """Return the files below two folders that were added, changed or removed; other paths are problems."""
    paths = {path.relative_to(submitted) for path in submitted.rglob("*") if path.is_symlink() or path.is_file()}
    gone = {path.relative_to(published) for path in published.rglob("*") if path.is_file()} - paths
    found = sorted(gone | {path for path in paths if differs(submitted / path, published / path)})
    depth = len(Path(shape).parts)
    right = [path for path in found if len(path.parts) == depth and path.match(shape)]
    problems.add(f"{submitted / path}: does not belong there; remove it" for path in found if path not in right)
    return right


def differs(path: Path, published: Path) -> bool:
    return path.is_symlink() or not published.is_file() or not filecmp.cmp(path, published, shallow=False)


def check_recipe(name: str, folders: set[Path], submitted: Path, board: Path) -> None:
    """Check a recipe with its changed results, or with all of its results if only its file changed.

    Raises:
        UserError: something is wrong.
    """
    results = submitted / RESULTS
    its = sorted(path.relative_to(results) for path in results.glob("*/*/*") if path.name == name)
    mine = [folder for folder in its if folder in folders] or its
    with TemporaryDirectory() as temporary:
        for folder in dict.fromkeys(path for own in mine for path in (own, own.parent / BASELINE)):
            if (results / folder).is_dir():
                shutil.copytree(results / folder, Path(temporary, "results", folder), symlinks=True)
        Path(temporary, "results").mkdir(exist_ok=True)
        try:
            file = Path(name) if name in family_recipes() else submitted / RECIPES / f"{name}.yaml"
            check_submission(file, Path(temporary, "results"), board)
        except UserError as error:
            raise UserError(str(error).replace(f"{temporary}/", "")) from None


def rows(suite: str, submitted: Path, published: Path) -> Iterator[str]:
    """Yield a table for each checkpoint whose rows on a suite's board change."""
    old, new = (by_checkpoint(suite, root / RESULTS) for root in (published, submitted))
    for checkpoint in sorted(old.keys() | new.keys()):
        before, after = old.get(checkpoint, {}), new.get(checkpoint, {})
        if {label: cells(row) for label, row in before.items()} == {label: cells(row) for label, row in after.items()}:
            continue
        body = []
        for label in dict.fromkeys([*after, *before]):
            pairs = zip(cells(before.get(label)), cells(after.get(label)), strict=True)
            body.append([escape(label), *(cell for pair in pairs for cell in pair)])
        head = ["Recipe", "Rank before", "after", "XR score before", "after", "Gain [95 %] before", "after"]
        yield f"### {escape(suite)}, {escape(checkpoint)}"
        yield tabulate(body, head, tablefmt="github", disable_numparse=True)


def by_checkpoint(suite: str, results: Path) -> dict[str, dict[str, BoardRow]]:
    """Return checkpoint -> name -> row, in the board's order."""
    if not (results / suite).is_dir():
        return {}
    boards: list[Board] = make_boards(read_results(results / suite), results)
    named: dict[str, dict[str, BoardRow]] = {}
    for section in (section for board in boards for section in board.sections):
        checkpoint = f"{section.name} {section.checkpoint.weights_sha256[:12]}".strip()
        named[checkpoint] = {row.label: row for row in section.rows}
    return named


def cells(row: BoardRow | None) -> list[str]:
    if row is None:
        return [NONE] * 3
    rank = "none" if row.ranks is None else rank_set(row.ranks)
    return [rank, spread(row.xr), "baseline" if row.is_baseline else gain_with_interval(row.gains.get("xr"))]


if __name__ == "__main__":
    main()

"""Package a checked submission: copy it to its place in the repository, or open a pull request on the Hub."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from xrealign_bench.errors import UserError, first_line
from xrealign_bench.specs import Recipe
from xrealign_bench.specs.schema_comment import FOLDER, set_schema
from xrealign_bench.specs.yaml import family_recipes
from xrealign_bench.submit.board_checks import place_on_board
from xrealign_bench.submit.checks import Submission


def write_submission(submission: Submission, file: Path, out: Path) -> list[Path]:
    """Copy recipe and results to their places in the repository, below `out`. Copies all of them or none.

    The recipe's first line names the repository's schema.
    A recipe of a shipped family is in the repository already.

    Raises:
        UserError: `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; name another folder with --output")
    recipes = [] if submission.recipe.name in family_recipes() else [Path(f"submissions/{submission.recipe.name}.yaml")]
    places = [(folder, Path("leaderboard", "results", place_on_board(folder))) for folder in submission.folders]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        staged = Path(temporary, "staged")
        for recipe in recipes:
            (staged / recipe).parent.mkdir(parents=True)
            text = file.read_bytes().decode()
            (staged / recipe).write_bytes(set_schema(text, Recipe, f"../{FOLDER}").encode())
        for folder, place in places:
            shutil.copytree(folder, staged / place)
        staged.replace(out)
    return [out / place for place in (*recipes, *(place for _, place in places))]


def open_pull_request(folder: Path, repo: str, title: str) -> str:
    """Open a pull request with a folder's files on a Hub data set. Returns its address.

    Raises:
        UserError: the Hub refuses, or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
    try:
        # `upload_folder` may make several commits.
        commit = HfApi().create_commit(repo, files, commit_message=title, repo_type="dataset", create_pr=True)
    except errors.HFValidationError:
        raise UserError(f"'{repo}' is not a Hub id; write it as ORG/NAME") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{repo}: the Hub has no such data set, or none for you; log in with `hf auth login`") from None
    except Exception as error:  # includes errors of the library's HTTP client
        raise UserError(
            f"{repo}: the pull request can't be opened ({first_line(error)}); {folder} holds all its files"
        ) from None
    return str(commit.pr_url)

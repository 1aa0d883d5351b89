"""Push an exported folder to a model repository of the Hub."""

from __future__ import annotations

from pathlib import Path

from xrealign_bench.errors import UserError, first_line


def check_repository(name: str) -> None:
    """Refuse what can't be the name of a repository.

    Raises:
        UserError: it can't be one.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UserError(f"--push-to-hub: '{name}' is not a Hub id; write it as ORG/NAME") from None


def push_folder(folder: Path, name: str) -> str:
    """Upload all files of a folder in one commit, to a repository that is created if it is not there.

    Returns:
        The commit's address.

    Raises:
        UserError: the Hub refuses, or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
    api = HfApi()
    try:
        api.create_repo(name, exist_ok=True)
        commit = api.create_commit(name, files, commit_message="Add an export of xrealign-bench")
    except Exception as error:  # includes errors of the library's HTTP client
        raise UserError(
            f"--push-to-hub {name}: the files can't be uploaded ({first_line(error)}); they are in {folder}, and "
            f"`hf upload {name} {folder}` tries again"
        ) from None
    return str(commit.commit_url)

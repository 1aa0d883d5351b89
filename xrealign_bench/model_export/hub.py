"""Push an exported folder to a model repository of the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xrealign_bench.errors import UserError, first_line

_REFUSED: Mapping[int | None, tuple[str, str]] = {
    401: ("the Hub does not accept the token (401)", "log in with `hf auth login`, then "),
    403: ("the token may not write there (403)", "log in with `hf auth login` and a token that may, then "),
}
"""HTTP status -> what is wrong, and what to do before the upload is tried again."""


def check_repository(name: str, offline: bool) -> None:
    """Refuse what can't be the name of a repository, and an upload offline or without a token.

    Raises:
        UserError: it is refused.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UserError(f"--push-to-hub: '{name}' is not a Hub id; write it as ORG/NAME") from None
    if offline:
        raise UserError(f"--push-to-hub {name}: needs the Hub; leave --offline out")
    if get_token() is None:
        raise UserError(f"--push-to-hub {name}: needs a token of the Hub; log in with `hf auth login`, or set HF_TOKEN")


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
        status = getattr(getattr(error, "response", None), "status_code", None)
        problem, remedy = _REFUSED.get(status, (f"the files can't be uploaded ({first_line(error)})", ""))
        raise UserError(
            f"--push-to-hub {name}: {problem}. The export is in {folder}; {remedy}run `hf upload {name} {folder}`"
        ) from None
    return str(commit.commit_url)

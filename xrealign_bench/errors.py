"""The exceptions that tell a person something: what was given is wrong, or training went wrong."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input: its text is a clear sentence saying what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class TrainingError(Exception):
    """Training went wrong although the input was right, such as a loss that is not a number."""


@contextmanager
def system_errors(what: str, remedy: str) -> Iterator[None]:
    """Make what the system refuses a `UserError`: a full disk, a folder that was removed, a missing permission.

    >>> with system_errors("the results", "free some space"):
    ...     raise OSError(28, "No space left on device", "/results/a")
    Traceback (most recent call last):
    xrealign_bench.errors.UserError: the results: No space left on device (/results/a); free some space
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {reason(error)}; {remedy}") from error


def reason(error: OSError) -> str:
    """What the system says, on one line; libraries wrap it in sentences of their own.

    >>> reason(FileNotFoundError("/store/a"))  # as pyarrow puts it
    'No such file or directory (/store/a)'
    >>> reason(OSError(28, "Error writing bytes. Detail: [errno 28] No space left"))
    'No space left on device'
    """
    if error.errno is None or type(error).__module__ != "builtins":  # ssl has numbers of its own
        said = " ".join(str(error).split()) or type(error).__name__
        return f"No such file or directory ({said})" if isinstance(error, FileNotFoundError) else said
    said = os.strerror(error.errno)
    return said if error.filename is None else f"{said} ({error.filename})"


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest matches and the full list.

    >>> print(unknown("recipe", "alignfreeze-frnt", ["alignfreeze-front", "none"]))
    unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front? Known: alignfreeze-front, none
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return UserError(f"unknown {what} '{name}'{hint} Known: {', '.join(choices)}")

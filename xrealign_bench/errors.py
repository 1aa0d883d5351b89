"""The exceptions that tell a person something: what was given is wrong, or training went wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: its text is a clear sentence saying what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class TrainingError(Exception):
    """Training went wrong although the input was right, such as a loss that is not a number."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest matches and the full list.

    >>> print(unknown("recipe", "alignfreeze-frnt", ["alignfreeze-front", "none"]))
    unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front? Known: alignfreeze-front, none
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return UserError(f"unknown {what} '{name}'{hint} Known: {', '.join(choices)}")

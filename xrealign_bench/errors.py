"""The one exception that means "what you gave me is wrong"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: its text is a clear sentence saying what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest matches and the full list.

    >>> print(unknown("recipe", "alignfreeze-frnt", ["alignfreeze-front", "none"]))
    unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front? Known: alignfreeze-front, none
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    return UserError(f"unknown {what} '{name}'{hint} Known: {', '.join(choices)}")

"""Exceptions with messages for users, and helpers to write such messages."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

LONGEST_VALUE = 80
LONGEST_REASON = 400
"""Characters quoted from a library's error."""
LONGEST_LINE = 4000
"""Enough for a list of all languages."""
LONGEST_MESSAGE = 40_000
T = TypeVar("T")

MOST_PROBLEMS = 20
"""Problems listed per file; the rest is counted."""
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Characters rendered as nothing although Unicode calls them letters, marks, symbols or unassigned."""

_SPECS = "recipe|suite|task|corpus|checkpoint"
_PLACE = re.compile(rf"([^\s:]+:\d+(?:: [\w.-]+)?|--[\w-]+(?: \S+)?|(?:{_SPECS}) \S+(?:: [\w.-]+)?|[^\s:]+): ")
"""FILE:LINE: FIELD, --OPTION VALUE, SPEC NAME: FIELD or FILE, at the beginning of a message."""


class HarnessError(Exception):
    """Base of all errors that the harness raises on purpose. Messages read `WHERE: WHAT IS WRONG. WHAT TO DO`."""

    @property
    def where(self) -> str | None:
        """The file with its line and field, the option, or the spec that the message begins with; None without one."""
        found = _PLACE.match(str(self))
        return None if found is None else found[1]

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone, as on the command line."""
        return [f"{type(self).__name__}: {self}"]

    @property
    def remedy(self) -> str | None:
        """What to do, from the end of the first line; None if it does not say."""
        _, *rest = re.split(r"; |\. ", str(self).partition("\n")[0])
        return rest[-1] if rest else None


class UserError(HarnessError):
    """Bad input. The message says where, what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2. Since it may quote malicious input, control
    characters are escaped and messages over `LONGEST_MESSAGE` characters are truncated.
    """

    def __init__(self, message: str) -> None:
        lines = (_cut(escape_invisible(line), LONGEST_LINE) for line in message.split("\n"))
        super().__init__(_cut("\n".join(lines), LONGEST_MESSAGE))


class ArgumentError(UserError, TypeError):
    """A function of the Python API was called with an argument that it does not have."""


class FieldError(UserError, ValueError):
    """A spec was made in Python with a wrong field. A line for each problem names the spec and the field."""


class TrainingError(HarnessError):
    """Training failed on valid input, for example because the loss became NaN."""


def shorten(value: object) -> str:
    """Shorten a value to 80 characters for a message, with control and invisible characters escaped.

    >>> shorten("a\\x1b[31m\\u202eb")
    'a\\\\x1b[31m\\\\u202eb'
    >>> shorten("x" * 100)[-30:]
    'xxxxxxxxxxxx… (100 characters)'
    """
    if isinstance(value, int) and abs(value) >= 10**LONGEST_VALUE:  # Python converts at most 4,300 digits
        return "a number of more than 80 digits"
    return _cut(escape_invisible(str(value)), LONGEST_VALUE)


def is_visible(character: str) -> bool:
    """Return whether a character is visible or a plain space.

    >>> [is_visible(character) for character in "a \\u202e\\u200b\\x1b\\n"]
    [True, True, False, False, False, False]
    """
    control = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return not control and not _UNSEEN.match(character)


def escape_invisible(text: str) -> str:
    """Escape characters that are not visible, as Python does."""
    return text if text.isascii() and text.isprintable() else "".join(map(_spell, text))


def count_further_problems(file: str, number: int) -> list[str]:
    """Return a line that counts the problems beyond `MOST_PROBLEMS`, or no line."""
    more = number - MOST_PROBLEMS
    return [f"{file}: {more:,} more problem{'s' if more > 1 else ''}; fix these first"] if more > 0 else []


def _spell(character: str) -> str:
    return character if is_visible(character) else character.encode("unicode_escape").decode()


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    said = f"… ({len(text):,} characters)"
    return text[: longest - len(said)] + said


@contextmanager
def convert_os_errors(what: str, remedy: str) -> Iterator[None]:
    """Convert an OSError inside the block, such as a full disk or a missing permission, to a UserError.

    >>> with convert_os_errors("the results", "free some space"):
    ...     raise OSError(28, "No space left on device", "/results/a")
    Traceback (most recent call last):
    xrealign_bench.errors.UserError: the results: No space left on device (/results/a); free some space
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {describe_os_error(error)}; {remedy}") from error


def describe_os_error(error: OSError) -> str:
    """Describe an operating-system error in one line, without the text that libraries wrap around it.

    >>> describe_os_error(FileNotFoundError("/store/a"))  # as pyarrow puts it
    'No such file or directory (/store/a)'
    >>> describe_os_error(OSError(28, "Error writing bytes. Detail: [errno 28] No space left"))
    'No space left on device'
    """
    if error.errno is None or type(error).__module__ != "builtins":  # ssl has its own error numbers
        said = " ".join(str(error).split()) or type(error).__name__
        return f"No such file or directory ({said})" if isinstance(error, FileNotFoundError) else said
    said = os.strerror(error.errno)
    return said if error.filename is None else f"{said} ({error.filename})"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, since libraries may quote whole files in it.

    >>> first_line(ValueError("no such layer\\nsee the documentation"))
    'no such layer'
    """
    return _cut(str(error).strip().split("\n")[0], LONGEST_REASON) or type(error).__name__


def shorten_list(names: Sequence[str]) -> str:
    """List the first five names and count the rest, for a message.

    >>> shorten_list(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class Problems:
    """Problems to report together, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def add(self, lines: Iterable[str]) -> bool:
        """Add problems; return whether there were none."""
        before = len(self._lines)
        self._lines.update(dict.fromkeys(lines))
        return len(self._lines) == before

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Return what a step returns, or add the problems that it raises and return None."""
        try:
            return step()
        except UserError as error:
            self.add(str(error).splitlines())
            return None

    def raise_if_any(self) -> None:
        """Raise all problems as one error.

        Raises:
            UserError: there are problems, a line each.
        """
        if self:
            raise UserError(str(self))


def unknown(
    what: str, name: str, known: Iterable[str], listed: Iterable[str] | None = None, near: Sequence[str] | None = None
) -> UserError:
    """Make the error for an unknown name, with the nearest matches and all known names, or only those to be `listed`.

    `near` replaces the matches that are found by spelling.

    >>> print(unknown("recipe", "alignfreeze-frnt", ["alignfreeze-front", "none"]))
    unknown recipe 'alignfreeze-frnt'; did you mean alignfreeze-front? Known: alignfreeze-front, none
    >>> print(unknown("column of a.csv:", "text", []))
    unknown column of a.csv: 'text'; there is none
    """
    choices = sorted(known)
    if not choices:
        return UserError(f"unknown {what} '{shorten(name)}'; there is none")
    near = nearest(name, choices) if near is None else near
    hint = f"; did you mean {' or '.join(near)}? Known" if near else "; known"
    return UserError(f"unknown {what} '{shorten(name)}'{hint}: {', '.join(map(shorten, listed or choices))}")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three known names that are similar, the most similar first."""
    return difflib.get_close_matches(name[:LONGEST_VALUE], list(known), n=3, cutoff=0.6)

"""The ways to select languages that a recipe can name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, TypeVar

from pydantic import Field

from xrealign_bench.arguments import names_arguments
from xrealign_bench.plugins import Registry, check_protocol
from xrealign_bench.specs.plugin import RegisteredName


class LanguageSelection(Protocol):
    """A way to select languages."""

    def select(self, n: int, candidates: Sequence[str], source: str, seed: int) -> Sequence[str]:
        """Return n different languages of the candidates. The same arguments must always give the same languages.

        Args:
            n: the number of languages; there are at least as many candidates.
            candidates: codes in alphabetical order, without the source language.
            source: code of the source language.
            seed: for a random choice.
        """


SELECTIONS: Registry[type[LanguageSelection] | None] = Registry(
    "selection", dict.fromkeys(("uriel", "family", "script", "random"))
)
"""None: `languages.selection` searches for it."""
SelectionName = Annotated[
    str,
    RegisteredName("selection", tuple(SELECTIONS.shipped)),
    Field(description=f"{', '.join(SELECTIONS.shipped)} or the name of a plugin"),
]


Selection = TypeVar("Selection", bound="type[LanguageSelection]")


@names_arguments
def register_selection(name: str, *, version: str) -> Callable[[Selection], Selection]:
    """Register a class with the method of `LanguageSelection`, so that a recipe can name it: `{select: NAME, n: 10}`.

    Args:
        name: the name that recipes give.
        version: raise it when it selects other languages.

    Raises:
        UserError: the class lacks the method or an argument.
    """

    def register(selection: Selection) -> Selection:
        check_protocol(selection, LanguageSelection)
        SELECTIONS.add(selection, name, version, selection)
        return selection

    return register

"""Formats of data files that a source can name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Field

from xrealign_bench.arguments import names_arguments
from xrealign_bench.plugins import Registry, check_protocol
from xrealign_bench.specs.plugin import RegisteredName


class RowReader(Protocol):
    """Reader of a format of files."""

    def read(self, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the line (from 1) and the columns of each row, which are texts, numbers or lists of these.

        All values of a column must have one type. Raise `xrealign_bench.UserError` with path and line for a bad row.

        Args:
            path: the file, which may be gzipped: `xrealign_bench.data.formats.lines.read_lines` unpacks it.
        """


ShippedFormat = Literal["parquet", "conllu", "conll", "jsonl", "json", "csv", "tsv", "text", "tmx"]
READERS: Registry[type[RowReader] | None] = Registry(
    "data_reader", dict.fromkeys(("parquet", "conllu", "conll", "jsonl", "json", "csv", "tsv", "text", "tmx"))
)
"""None: `data.formats` reads it."""
Format = Annotated[
    str,
    RegisteredName("data_reader", tuple(READERS.shipped)),
    Field(description=f"{', '.join(READERS.shipped)} or the name of a plugin"),
]
Reader = TypeVar("Reader", bound="type[RowReader]")


@names_arguments
def register_data_reader(name: str, *, version: str) -> Callable[[Reader], Reader]:
    """Register a class with the method of `RowReader`, so that a source can name it under `format`.

    Args:
        name: the name that sources give.
        version: raise it when other rows are read.

    Raises:
        UserError: the class lacks the method or an argument.
    """

    def register(reader: Reader) -> Reader:
        check_protocol(reader, RowReader)
        READERS.add(reader, name, version, reader)
        return reader

    return register

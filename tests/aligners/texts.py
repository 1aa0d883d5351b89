"""Parallel texts written as strings."""

from xrealign_bench.data import LocatedSplit, ParallelText


def text(*pairs: tuple[str, str], links=None) -> ParallelText:
    """Return a parallel text from sentences whose words are separated by spaces."""
    return ParallelText(
        source="en",
        target="de",
        source_words=[source.split() for source, _ in pairs],
        target_words=[target.split() for _, target in pairs],
        links=links,
        dropped={},
        located=LocatedSplit("embedded", None, "train", None, "0", ()),
    )

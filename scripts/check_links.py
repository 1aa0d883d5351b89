"""Check that every relative link in Markdown and HTML files leads to a file or folder.

    python scripts/check_links.py FOLDER ...

Prints broken links and exits with status 1 if there are any.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

MARKDOWN_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)


class Targets(HTMLParser):
    """The links and ids of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [link for name in ("href", "src") if (link := values.get(name))]
        self.ids |= {anchor for name in ("id", "name") if (anchor := values.get(name))}


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading.

    >>> anchor_of("How to read `this`, now")
    'how-to-read-this-now'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links_and_anchors(file: Path) -> tuple[list[str], set[str]]:
    """Return the links of a file, and the anchors that links can lead to."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".html":
        page = Targets(text)
        return page.links, page.ids
    return MARKDOWN_LINK.findall(text), {anchor_of(heading) for heading in HEADING.findall(text)}


def broken_links(folder: Path) -> Iterator[str]:
    """Yield `FILE: LINK` for every broken link in the Markdown and HTML files of a folder."""
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".html")):
        links, anchors = links_and_anchors(file)
        for link in dict.fromkeys(links):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            found = (file.parent / unquote(parts.path)).exists() if parts.path else unquote(parts.fragment) in anchors
            if not found:
                yield f"{file}: {link}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    broken = [line for folder in parser.parse_args().folders for line in broken_links(folder)]
    print("\n".join([*broken, f"{len(broken)} broken links"]))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()

"""Let links to files outside docs/ work in the site: to the site's copy of the file, else to the repository.

mkdocs runs this as a hook. A link to a file that does not exist is a warning, and so ends a strict build.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
BOARDS = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "leaderboard").glob("*/README.md"))]
COPIES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "leaderboard/README.md": "boards/index.md",
    "xrealign_bench/languages/README.md": "languages.md",
    **{board: f"boards/{board.split('/')[1]}.md" for board in BOARDS},
}
"""File of the repository -> page of the site."""

_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\\.|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: Any) -> None:
    for file, page in COPIES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    here = page.file.src_uri
    if here in COPIES.values() and here.startswith("boards/"):
        page.meta["search"] = {"exclude": True}  # rows of figures would crowd out everything else
    origin = next((file for file, copy in COPIES.items() if copy == here), f"docs/{here}")
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: _moved(link, here, origin, config.repo_url), part) for part in parts[::2]]
    return "".join(parts)


def _moved(link: re.Match[str], here: str, origin: str, repository: str) -> str:
    target, _, anchor = link["target"].partition("#")
    if not target or ":" in target:
        return link[0]
    file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    page = COPIES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if page is not None:
        moved = posixpath.relpath(page, posixpath.dirname(here) or ".")
        return f"{link['image']}[{link['text']}]({moved}{'#' + anchor if anchor else ''})"
    if not (ROOT / file).exists():
        _log.warning("%s links to %s, which does not exist", origin, target)
    return f"[{link['text']}]({repository}/blob/main/{file})" if repository else link["text"]

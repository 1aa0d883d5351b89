"""Write pages of the site from templates."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xrealign_bench.leaderboard.chart import OTHER_STYLE, TIER_STYLES
from xrealign_bench.leaderboard.formatting import pluralise, signed
from xrealign_bench.leaderboard.site import charts
from xrealign_bench.leaderboard.table import Cell, Table

GROUPED_BY = ("Tier", "Family", "Script")


class Pages:
    """The templates, and the folder that pages are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.templates = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters["inline_markdown"] = inline_markdown
        self.templates.globals |= {
            "pluralise": pluralise,
            "signed": signed,
            "level": charts.level,
            "levels": charts.LEVELS,
            "sort_key": sort_key,
            "rows_by_tier": rows_by_tier,
            "grouped_by": GROUPED_BY,
            "tier_styles": {**TIER_STYLES, "unclassified": OTHER_STYLE},
        }

    def write(self, page: str, template: str, **values: Any) -> Path:
        """Write one page.

        Args:
            page: its path below the site's folder, without the ending.
            values: the template's variables.
        """
        path = self.folder / f"{page}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * page.count("/")
        path.write_text(self.templates.get_template(template).render(root=root, **values), encoding="utf-8")
        return path


def inline_markdown(text: str) -> Markup:
    """Turn code and emphasis of Markdown into HTML.

    >>> inline_markdown("`a < b` is *seen*")
    Markup('<code>a &lt; b</code> is <em>seen</em>')
    """
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"(?<!\w)\*([^*]+)\*(?!\w)", r"<em>\1</em>", escaped))


def sort_key(cell: Cell) -> float | None:
    """Return the figure to sort a cell by, or None if its text starts with it.

    >>> sort_key(Cell("72.7 ±0.5", 72.7123)), sort_key(Cell("sw -0.3", -0.3)), sort_key(Cell("1,234 MiB", 1234.2))
    (None, -0.3, None)
    """
    if cell.sort_key is None:
        return None
    try:
        shown = cell.text.split()[0].replace(",", "")
        figure = float(shown)
    except (ValueError, IndexError):
        return cell.sort_key
    decimals = len(shown.partition(".")[2])
    return None if abs(figure - cell.sort_key) < 0.51 * 10.0**-decimals else cell.sort_key


def rows_by_tier(table: Table) -> list[tuple[str, list[tuple[Cell, ...]]]]:
    """Group the rows of a table of languages, which are sorted by tier, under the tiers' names."""
    column = [cell.text for cell in table.headings].index("Tier")
    return [(tier, list(rows)) for tier, rows in groupby(table.rows, key=lambda row: row[column].text)]

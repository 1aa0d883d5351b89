"""Write docs/protocols.md from xrealign_bench/protocols/ and benchmarks/protocol-points.csv.

python scripts/write_protocols.py
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from xrealign_bench.protocols import Point, Protocol, find_protocol, protocol_names

ROOT = Path(__file__).parent.parent
PAGE, MEASURED = ROOT / "docs/protocols.md", ROOT / "benchmarks/protocol-points.csv"
BASELINE, RECIPE, SOURCE = "finetune-only", "alignfreeze-full", "en"
TITLES = {
    "class": "lines of multiword tokens",
    "markers": "lone word markers",
    "repair": "repaired entity tags",
    "heads": "heads",
}
LEAD = """\
# The papers' protocols

What two papers describe, what their released code ran, and what the suites with their names do. `xrealign-bench show
suite alignfreeze --protocol` prints what differs from the code. `demo`, the `-lite` suites and `xrealign` follow
neither paper: they have data, lengths and heads of their own.
"""
MEASURED_LEAD = """\
## What four of the points matter

Full realignment and its baseline under both variants, with one seed of a multilingual E5-small (12 blocks x 384,
weights restored from a 4-bit copy), {languages} languages and 200 test sentences each; points in percent. One seed
gives no verdict: the columns say how far a choice of the protocol moves a score and a gain, not which is better.
The lines of multiword tokens are restored from the sentences' text, since the data at hand lack them.

"""
COMMANDS = """\
<details markdown="1">
<summary>Commands</summary>

```sh
OMP_NUM_THREADS=1 python benchmarks/protocol_points.py measure --checkpoint ./e5-small-q4-derived --data-root ./hub \\
    --work ./points
python scripts/write_protocols.py
```

</details>
"""


def page() -> str:
    """Return the page."""
    parts = [LEAD, *(section(find_protocol(name)) for name in protocol_names())]
    if MEASURED.is_file():
        parts += [measured_section(), COMMANDS]
    return "\n".join(parts)


def section(protocol: Protocol) -> str:
    """Return the section of one suite."""
    name = f"{protocol.suite} {protocol.version}"
    same = f"{len(protocol.points) - len(protocol.differences)} of {len(protocol.points)}"
    lines = [
        f"## {name}\n",
        f"{protocol.relation.capitalize()} {protocol.source}. {same} points are as the code ran.\n",
        "| | Described | Run | Here |",
        "| :-- | :-- | :-- | :-- |",
        *(row(point) for point in protocol.points),
    ]
    return "\n".join(lines) + "\n"


def row(point: Point) -> str:
    """Return the row of one point."""
    ours = f"**differs**: {point.ours}. Size: {point.size}" if point.differs else point.ours
    if point.measured:
        ours += " ([measured](#what-four-of-the-points-matter))"
    return (
        "| " + " | ".join(text.replace("|", "\\|") for text in (point.topic, point.described, point.run, ours)) + " |"
    )


Scores = Mapping[tuple[str, str], Mapping[str, float]]
"""Variant and recipe -> language -> score in percent."""


def measured_section() -> str:
    """Return the table of measured points."""
    points: dict[str, dict[tuple[str, str], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    with MEASURED.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["language"] != SOURCE:
                scores = points[line["point"]][line["variant"], line["recipe"]]
                scores[line["language"]] = 100 * float(line["score"])
    sizes = sorted({len(next(iter(scores.values()))) for scores in points.values()})
    languages = " to ".join(map(str, sizes))
    lines = [
        "| Point | Variant | Baseline | Realigned | Gain | Largest change of a language's score |",
        "| :-- | :-- | --: | --: | --: | --: |",
        *(line for name in TITLES if name in points for line in point_rows(TITLES[name], points[name])),
    ]
    return MEASURED_LEAD.format(languages=languages) + "\n".join(lines) + "\n"


def point_rows(title: str, scores: Scores) -> Iterator[str]:
    """Yield a row for each variant of a point."""
    variants: Sequence[str] = list(dict.fromkeys(variant for variant, _ in scores))
    first = variants[0]
    for variant in variants:
        before, after = (fmean(scores[variant, recipe].values()) for recipe in (BASELINE, RECIPE))
        largest = ""
        if variant != first:
            moved = {code: scores[variant, BASELINE][code] - score for code, score in scores[first, BASELINE].items()}
            code = max(moved, key=lambda code: abs(moved[code]))
            largest = f"{moved[code]:+.1f} ({code})"
        yield f"| {title} | {variant} | {before:.1f} | {after:.1f} | {after - before:+.1f} | {largest} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)

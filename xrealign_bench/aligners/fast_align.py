"""Align words statistically with fast_align (Dyer et al., NAACL 2013), through the package systran-align."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xrealign_bench.aligners.aligner import Aligner, Resources
from xrealign_bench.data import Links, ParallelText
from xrealign_bench.errors import UserError, shorten

_SCRIPT = """
import json, systran_align
systran_align.generate_alignment_probabilities(
    "text", "forward", "backward", favor_diagonal=True, optimize_tension=True, variational_bayes=True
)
aligner = systran_align.Aligner("forward", "backward")
with open("text") as lines, open("links", "w") as output:
    for line in lines:
        source, target = line.rstrip("\\n").split(" ||| ")
        print(json.dumps(aligner.align(source.split(), target.split())["alignments"]), file=output)
"""


def align_fast(text: ParallelText) -> list[Links]:
    """Align with fast_align's usual options (`-d -o -v`) in both directions, joined by grow-diag-final-and.

    The program runs in a process of its own with a single thread, so that equal input gives equal links. Words are
    lower-cased.

    Raises:
        UserError: it fails.
    """
    with tempfile.TemporaryDirectory(prefix="xrealign-fast-align-") as name:
        folder = Path(name)
        _write_text(folder / "text", text)
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or ["no message"]
            raise UserError(f"fast_align ended with status {done.returncode}: {shorten(reason[-1])}")
        return [sorted((s, t) for s, t in json.loads(line)) for line in (folder / "links").read_text().splitlines()]


def _write_text(path: Path, text: ParallelText) -> None:
    """Write a pair a line. Words are written as numbers, since they may contain spaces."""
    numbers: dict[str, int] = {}

    def write(words: Sequence[str]) -> str:
        return " ".join(str(numbers.setdefault(word.lower(), len(numbers))) for word in words)

    pairs = zip(text.source_words, text.target_words, strict=True)
    path.write_text("".join(f"{write(source)} ||| {write(target)}\n" for source, target in pairs))


def _align(text: ParallelText, resources: Resources) -> list[Links]:
    return align_fast(text)


FAST_ALIGN = Aligner(
    title="fast_align, both directions joined by grow-diag-final-and",
    version=1,
    align=_align,
    package="systran-align",
    extra="fast-align",
)

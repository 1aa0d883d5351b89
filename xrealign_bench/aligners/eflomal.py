"""Align words statistically with eflomal (Östling and Tiedemann, 2016)."""

from __future__ import annotations

import hashlib
import importlib.resources
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xrealign_bench.aligners.aligner import Aligner, Resources
from xrealign_bench.aligners.symmetrisation import symmetrise
from xrealign_bench.data import Links, ParallelText
from xrealign_bench.errors import UserError
from xrealign_bench.specs.aligner import Symmetrisation

SAMPLERS = 3
NULL_PRIOR = 0.2

# The program reads its seed from this file and has no option for it. The replacement has the same length.
_SYSTEM_SEED = b"\0/dev/urandom\0"
_FIXED_SEED = b"\0./fixed-seed\0"
_CUT_OFF = "eflomal's output is cut off: is the disk of {} full? Free some space there, or set TMPDIR to another folder"


def align_eflomal(text: ParallelText, symmetrisation: Symmetrisation = "intersection") -> list[Links]:
    """Align with eflomal's HMM and fertility model in both directions, and join the links of both.

    Settings are those of eflomal's own Python interface (three samplers, iterations by the number of pairs), and so is
    lower-casing. The intersection is one-to-one, since each direction links a word at most once.

    **Deterministic** on one machine, unlike eflomal itself, which seeds itself from the operating system and whose
    threads race for the seed: on 2,000 pairs of news, two runs share only nine links in ten. So a copy of the program
    is run that reads its seed from a fixed file, with a single thread per direction. A build of eflomal for another
    processor may round differently and change doubtful links.

    Raises:
        UserError: eflomal is not installed or fails.
    """
    with tempfile.TemporaryDirectory(prefix="xrealign-eflomal-") as name:
        folder = Path(name)
        program = _seeded_program(folder)
        _write_text(folder / "source", text.source_words)
        _write_text(folder / "target", text.target_words)
        command = [program, "-q", "-m", "3", "-s", "source", "-t", "target"]
        command += ["-n", str(SAMPLERS), "-N", str(NULL_PRIOR)]
        for model, count in enumerate(_iterations(len(text.source_words)), start=1):
            command += [f"-{model}", str(count)]
        runs = [_start([*command, option, out], folder) for option, out in (("-f", "forward"), ("-r", "reverse"))]
        for run in runs:
            _, complaint = run.communicate()
            if run.returncode != 0:
                raise UserError(f"eflomal ended with status {run.returncode}: {complaint.strip() or 'no message'}")
        forward, reverse = _read_links(folder / "forward"), _read_links(folder / "reverse")
        if not len(forward) == len(reverse) == len(text.source_words):
            raise UserError(_CUT_OFF.format(folder.parent))
    return [symmetrise(one, other, symmetrisation) for one, other in zip(forward, reverse, strict=True)]


def _seeded_program(folder: Path) -> str:
    """Copy eflomal into a folder, with a fixed seed instead of the system's."""
    packaged = Path(str(importlib.resources.files("eflomal"))) / "bin" / "eflomal"
    found = str(packaged) if packaged.is_file() else shutil.which("eflomal")
    if found is None:
        raise UserError("the program eflomal is missing; install it again: pip install --force-reinstall eflomal")
    program = Path(found).read_bytes()
    if program.count(_SYSTEM_SEED) != 1:
        raise UserError(f"{found}: this build of eflomal can't be given a seed; install eflomal 2.0.0")
    copy = folder / "eflomal"
    copy.write_bytes(program.replace(_SYSTEM_SEED, _FIXED_SEED))
    copy.chmod(0o700)
    (folder / "fixed-seed").write_bytes(hashlib.sha256(b"xrealign-bench").digest()[:8])
    return str(copy)


def _iterations(pairs: int) -> tuple[int, int, int]:
    """Return the iterations of IBM 1, the HMM and the fertility model, as eflomal chooses them."""
    full = max(2, round(5000 / math.sqrt(pairs)))
    quarter = max(1, full // 4)
    return max(2, quarter), quarter, full


def _start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(command, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE)
    except PermissionError:
        raise UserError(
            f"programs may not be run from {folder.parent}; set TMPDIR to a folder where they may"
        ) from None


def _write_text(path: Path, sentences: Sequence[Sequence[str]]) -> None:
    """Write the program's input: the numbers of sentences and words, then each sentence's length and words."""
    numbers: dict[str, int] = {}
    lines = []
    for words in sentences:
        line = [len(words), *(numbers.setdefault(word.lower(), len(numbers)) for word in words)]
        lines.append(" ".join(map(str, line)))
    path.write_text("\n".join([f"{len(sentences)} {len(numbers)}", *lines, ""]))


def _read_links(path: Path) -> list[set[tuple[int, int]]]:
    try:
        return [{_link(link) for link in line.split()} for line in path.read_text().splitlines()]
    except ValueError:
        raise UserError(_CUT_OFF.format(path.parent.parent)) from None


def _link(written: str) -> tuple[int, int]:
    source, target = written.split("-")
    return int(source), int(target)


def _pairs_read(pairs: int) -> float:
    """Return how many pairs all iterations read together: there are fewer iterations for more pairs."""
    return float(pairs * sum(_iterations(pairs)))


def _align(text: ParallelText, resources: Resources) -> list[Links]:
    return align_eflomal(text, resources.symmetrisation)


EFLOMAL = Aligner(
    title="statistical, both directions intersected",
    version=1,
    align=_align,
    package="eflomal",
    work=_pairs_read,
)

"""Pin every package that make installs, with the hashes of all its published files, in requirements/.

    make lock                           # after a change of the dependencies in pyproject.toml; keeps all other versions
    make lock UPGRADE="torch pyarrow"   # the same, with these packages at their newest versions

`uv pip compile --universal` resolves pyproject.toml for Linux and macOS and for every Python that has wheels of all
packages. Its answer is split by how a package is installed:

| File | Content | Installed |
|---|---|---|
| uv.txt | uv | first, by pip |
| torch-cpu.txt | torch without GPU libraries: CPU builds for Linux, PyPI's for macOS | without an NVIDIA GPU |
| torch-cuda.txt | PyPI's torch for Linux and the GPU libraries that it asks for | with one |
| runtime.txt | all other dependencies, and what builds this package | always |
| source.txt | packages without wheels | always, after the packages above, which build them |
| dev.txt | the further packages of the extras test, dev and docs | by `make test` and `make check` |
"""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "requirements"
SOURCE = ("eflomal", "seqeval")
CUDA = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
FILES = ("uv", "torch-cpu", "torch-cuda", "runtime", "source", "dev")
CPU_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
"""Links to CPU builds for Linux, and to the wheels for macOS that PyPI has too, each with its hash."""

Pins = dict[str, str]
"""Package -> its lines in a lock."""


def read_pins(text: str) -> Pins:
    """Split a requirements file by package, without its comments."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    entries = re.split(r"\n(?=\w)", "\n".join(lines).strip())
    return {re.split("[=<>]", entry, maxsplit=1)[0]: entry for entry in entries if entry}


def compile_pins(extras: list[str], constraints: Path) -> Pins:
    """Resolve the project with these extras and what builds it.

    Raises:
        SystemExit: nothing satisfies the bounds of pyproject.toml and the pins that are kept.
    """
    command = ["uv", "pip", "compile", "pyproject.toml", "--group", "build", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--constraints", str(constraints)]
    command += [f"--extra={extra}" for extra in extras]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f'{done.stderr}make lock: name the packages to upgrade as UPGRADE="torch pyarrow"')
    return read_pins(strip_common_marker(done.stdout))


def strip_common_marker(text: str) -> str:
    """Drop the marker that all packages have: that of tool.uv.environments."""
    markers = [line.partition(" ; ")[2].removesuffix(" \\") for line in text.splitlines() if "==" in line]
    return text.replace(f" ; {max(set(markers), key=markers.count)} \\", " \\")


def pin_cpu_builds(torch: str, old: str) -> str:
    """Pin torch's CPU builds in the version of this pin; with the old pin if PyTorch's index can't be reached.

    Raises:
        SystemExit: neither has this version.
    """
    version = torch.split()[0].removeprefix("torch==")
    try:
        with urllib.request.urlopen(CPU_INDEX, timeout=30) as page:
            text = page.read().decode()
    except OSError as error:
        if not old.startswith(f"torch=={version} "):
            raise SystemExit(f"{CPU_INDEX}: {error}. Run make lock where it can be reached.") from None
        print(f"{CPU_INDEX}: {error}; torch-cpu.txt stays as it is", file=sys.stderr)
        return old
    wheel = rf"torch-{re.escape(version)}(?:%2Bcpu)?-cp3(?:11|12|13|14)-[^\"#]*(?:manylinux|macosx)[^\"#]*#sha256=(\w+)"
    hashes = sorted(set(re.findall(wheel, text)))
    return " \\\n".join([f"torch=={version}", *(f"    --hash=sha256:{value}" for value in hashes)])


def main(upgrade: list[str]) -> None:
    """Write the files of requirements/ anew."""
    locked: Pins = {}
    for path in FOLDER.glob("*.txt"):
        locked |= read_pins(path.read_text())
    constraints = ROOT / "build" / "constraints.txt"
    constraints.parent.mkdir(exist_ok=True)
    constraints.write_text("\n".join(re.split(r" [;\\]", locked[name])[0] for name in locked if name not in upgrade))

    runtime = compile_pins([], constraints)
    everything = compile_pins(["test", "dev", "docs"], constraints)
    files: dict[str, list[str]] = {name: [] for name in FILES}
    for package in sorted(everything):
        files[place(package, runtime)].append(everything[package])
    old = FOLDER / "torch-cpu.txt"
    old_pin = read_pins(old.read_text()).get("torch", "") if old.is_file() else ""
    files["torch-cpu"] = [pin_cpu_builds(everything["torch"], old_pin)]
    for name, pins in files.items():
        (FOLDER / f"{name}.txt").write_text("# Written by `make lock`.\n" + "\n".join(pins) + "\n")


def place(package: str, runtime: Pins) -> str:
    """Name the file that a package belongs to."""
    if package == "uv":
        return "uv"
    if package in SOURCE:
        return "source"
    if package not in runtime:
        return "dev"
    return "torch-cuda" if CUDA.fullmatch(package) else "runtime"


if __name__ == "__main__":
    main(sys.argv[1:])

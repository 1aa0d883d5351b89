"""xrealign-bench: where cross-lingual realignment recipes are compared under one fixed protocol."""

from typing import TYPE_CHECKING

__version__: str
"""Version of this copy: the newest tag, and in a checkout the commits after it, such as `0.2.0.post3+g6726255`."""

if not TYPE_CHECKING:  # so that mypy still finds misspelt names

    def __getattr__(name: str) -> str:
        """Return `__version__`, worked out when it is first read, so that importing the package runs nothing."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = version = _read_version()
        return version


def _read_version() -> str:
    """Return what git says in a checkout, else what the installed package says; `0+unknown` if neither knows."""
    import subprocess
    from importlib import metadata
    from pathlib import Path

    root = Path(__file__).parent.parent
    if (root / ".git").exists():
        git = ["git", "-C", str(root), "describe", "--tags", "--match", "v[0-9]*", "--long", "--always"]
        try:
            described = subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            described = ""
        tag, *since = described.removeprefix("v").rsplit("-", 2)
        if since:
            return tag if since[0] == "0" else f"{tag}.post{since[0]}+{since[1]}"
        if described:  # no tag: the commit alone
            return f"0+g{described}"
    try:
        return metadata.version("xrealign-bench")
    except metadata.PackageNotFoundError:
        return "0+unknown"

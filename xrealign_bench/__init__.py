"""xrealign-bench: where cross-lingual realignment recipes are compared under one fixed protocol.

What `__all__` names is the public Python API (docs/how-to/notebook.md); everything else may change without notice. A
public name that goes is announced by a `DeprecationWarning` for at least one minor version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrealign_bench import plot as plot
    from xrealign_bench.aligners.aligner import Resources as Resources
    from xrealign_bench.aligners.aligner import WordAligner as WordAligner
    from xrealign_bench.aligners.registry import register_aligner as register_aligner
    from xrealign_bench.api import AnalyseOptions as AnalyseOptions
    from xrealign_bench.api import Evaluation as Evaluation
    from xrealign_bench.api import ExportOptions as ExportOptions
    from xrealign_bench.api import PlanOptions as PlanOptions
    from xrealign_bench.api import RealignOptions as RealignOptions
    from xrealign_bench.api import Results as Results
    from xrealign_bench.api import analyse as analyse
    from xrealign_bench.api import compare as compare
    from xrealign_bench.api import evaluate as evaluate
    from xrealign_bench.api import export as export
    from xrealign_bench.api import load_corpus as load_corpus
    from xrealign_bench.api import load_recipe as load_recipe
    from xrealign_bench.api import load_results as load_results
    from xrealign_bench.api import load_suite as load_suite
    from xrealign_bench.api import load_task as load_task
    from xrealign_bench.api import plan as plan
    from xrealign_bench.api import realign as realign
    from xrealign_bench.data import Links as Links
    from xrealign_bench.data import ParallelText as ParallelText
    from xrealign_bench.errors import ArgumentError as ArgumentError
    from xrealign_bench.errors import FieldError as FieldError
    from xrealign_bench.errors import HarnessError as HarnessError
    from xrealign_bench.errors import TrainingError as TrainingError
    from xrealign_bench.errors import UserError as UserError
    from xrealign_bench.realignment.pair_loss import PairLoss as PairLoss
    from xrealign_bench.realignment.pair_loss import register_method as register_method
    from xrealign_bench.realignment.pairs import PairBatch as PairBatch
    from xrealign_bench.specs import Corpus as Corpus
    from xrealign_bench.specs import Freeze as Freeze
    from xrealign_bench.specs import Objective as Objective
    from xrealign_bench.specs import Recipe as Recipe
    from xrealign_bench.specs import Suite as Suite
    from xrealign_bench.specs import Task as Task
    from xrealign_bench.specs.readers import RowReader as RowReader
    from xrealign_bench.specs.readers import register_data_reader as register_data_reader
    from xrealign_bench.specs.selections import LanguageSelection as LanguageSelection
    from xrealign_bench.specs.selections import register_selection as register_selection
    from xrealign_bench.specs.task_types import ExampleMetric as ExampleMetric
    from xrealign_bench.specs.task_types import TaskCode as TaskCode
    from xrealign_bench.specs.task_types import register_metric as register_metric
    from xrealign_bench.specs.task_types import register_task_type as register_task_type

_HOMES = {
    "api": ("AnalyseOptions", "Evaluation", "ExportOptions", "PlanOptions", "RealignOptions", "Results", "analyse",
            "compare", "evaluate", "export", "load_corpus", "load_recipe", "load_results", "load_suite", "load_task",
            "plan", "realign"),
    "errors": ("ArgumentError", "FieldError", "HarnessError", "TrainingError", "UserError"),
    "specs": ("Corpus", "Freeze", "Objective", "Recipe", "Suite", "Task"),
    "aligners.aligner": ("Resources", "WordAligner"),
    "aligners.registry": ("register_aligner",),
    "data": ("Links", "ParallelText"),
    "realignment.pairs": ("PairBatch",),
    "realignment.pair_loss": ("PairLoss", "register_method"),
    "specs.readers": ("RowReader", "register_data_reader"),
    "specs.selections": ("LanguageSelection", "register_selection"),
    "specs.task_types": ("ExampleMetric", "TaskCode", "register_metric", "register_task_type"),
}  # fmt: skip
"""Module -> its public names, imported when they are first used: importing the package imports nothing else."""
__all__ = ["plot", *(name for names in _HOMES.values() for name in names)]

__version__: str
"""Version of this copy: the newest tag, and in a checkout the commits after it, such as `0.2.0.post3+g6726255`."""


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if not TYPE_CHECKING:  # so that mypy still finds misspelt names

    def __getattr__(name: str) -> Any:
        """Return a public name or `__version__`, found when it is first read."""
        if name == "__version__":
            value = _read_version()
        elif name == "plot":
            value = import_module("xrealign_bench.plot")
        else:
            home = next((module for module, names in _HOMES.items() if name in names), None)
            if home is None:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            value = getattr(import_module(f"xrealign_bench.{home}"), name)
        globals()[name] = value
        return value


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

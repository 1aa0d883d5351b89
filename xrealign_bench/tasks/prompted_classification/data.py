"""Read the examples of the task: labelled texts."""

from xrealign_bench.tasks.labelled_texts import load

__all__ = ["load"]

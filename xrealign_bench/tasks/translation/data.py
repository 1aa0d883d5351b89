"""Read the examples of the task: sentences and their translations."""

from xrealign_bench.tasks.sentence_pairs import load

__all__ = ["load"]

"""Score the predictions of the task: label numbers."""

from xrealign_bench.tasks.label_metric import METRIC

__all__ = ["METRIC"]

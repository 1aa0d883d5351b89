"""Plugins for xrealign-bench: a method, an aligner, and a task type with a metric."""

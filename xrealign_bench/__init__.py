"""xrealign-bench: where cross-lingual realignment recipes are compared under one fixed protocol."""

__version__ = "0.1.0"

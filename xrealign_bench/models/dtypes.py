"""The number formats that the encoder's forward pass and its weights can have. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Precision = Literal["float32", "bfloat16", "float16"]
Quantised = Literal["8bit", "4bit"]
PRECISIONS: Mapping[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Option value -> dtype of the encoder's forward pass."""

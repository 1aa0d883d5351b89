"""The process around a command: its exit status, and the libraries that it loads."""

from __future__ import annotations

import logging
import os
import warnings

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def quiet_libraries(offline: bool) -> None:
    """Before they are imported: libraries draw no bars of their own, and never ask the Hub when told not to."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    # PEFT asks transformers by a name of old, and bitsandbytes for a kernel of 4 bits that 8 bits have no use for.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

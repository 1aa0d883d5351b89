"""The process around a command: its exit status, and the libraries that it loads."""

from __future__ import annotations

import logging
import os
import select
import warnings
from typing import TextIO

from xrealign_bench.errors import UserError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def has_lost_reader(stream: TextIO) -> bool:
    """Return whether a stream is a pipe that nobody reads any more, as with `| head`."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def discard(stream: TextIO) -> None:
    """Send nowhere what is left to print, about which Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def quiet_libraries(offline: bool) -> None:
    """Before they are imported: libraries draw no bars of their own, and never ask the Hub when told not to.

    Raises:
        UserError: there is no home folder, where they keep what they download; they would make one named `~` here.
    """
    if not any(os.environ.get(name) for name in ("HF_HOME", "XDG_CACHE_HOME")) and os.path.expanduser("~") == "~":
        raise UserError("there is no home folder to keep what is downloaded in; set HF_HOME to a folder for it")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    # PEFT asks transformers by a name of old, and bitsandbytes for a kernel of 4 bits that 8 bits have no use for.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

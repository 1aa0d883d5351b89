"""The process around a command: its exit status, and the libraries that it loads."""

from __future__ import annotations

import logging
import os
import select
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from xrealign_bench import distributed
from xrealign_bench.errors import UserError

FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it: cleaned up after like Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, unless the process ignores it or is one of several.

    Of several processes each may wait for another one, where no exception reaches it: SIGTERM ends them at once.
    """
    if distributed.world_size() > 1 or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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


def _terminate(*_: object) -> None:
    raise Terminated

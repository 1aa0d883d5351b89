"""Process of a command: exit status, signals, and settings of libraries."""

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
    """Raised on SIGTERM, which schedulers send; handled like Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, unless the process ignores SIGTERM or is one of several ranks.

    A rank may be waiting for another one, where no exception reaches it, so SIGTERM ends it at once.
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
    """Return whether a stream is a pipe whose reader has closed it, as `| head` does."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, so that Python does not fail to flush it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def quiet_libraries(offline: bool) -> None:
    """Turn off progress bars, and with `offline` the Hub, in libraries. Call it before they are imported.

    Raises:
        UserError: there is no home folder for downloads; libraries would create a folder named `~`.
    """
    if not any(os.environ.get(name) for name in ("HF_HOME", "XDG_CACHE_HOME")) and os.path.expanduser("~") == "~":
        raise UserError("there is no home folder for downloads; set HF_HOME to a folder for them")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    # PEFT uses a deprecated name of transformers; bitsandbytes warns about a 4-bit kernel even for 8 bits.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _terminate(*_: object) -> None:
    raise Terminated

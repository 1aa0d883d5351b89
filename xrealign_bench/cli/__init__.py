"""The commands. What they do lives in the folders; heavy libraries are imported only where a command needs them."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout

import click

from xrealign_bench import __version__, distributed
from xrealign_bench.cli.cache import cache
from xrealign_bench.cli.data import fetch_data
from xrealign_bench.cli.languages import languages
from xrealign_bench.cli.leaderboard import leaderboard
from xrealign_bench.cli.lists import doctor, list_kind, show, validate
from xrealign_bench.cli.options import Listing
from xrealign_bench.cli.printing import say
from xrealign_bench.cli.process import (
    BAD_INPUT,
    INTERRUPTED,
    TERMINATED,
    Terminated,
    discard,
    has_lost_reader,
    terminable,
)
from xrealign_bench.cli.results import compare, reproduce, rescore, submit
from xrealign_bench.cli.running import evaluate, freeze_search, verify
from xrealign_bench.errors import UserError, reason

SHARED = ("evaluate", "freeze-search", "verify")
"""What several processes do together; of the other commands the first process alone does the work."""


@click.group(cls=Listing, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="xrealign-bench")
@click.pass_context
def cli(context: click.Context) -> None:
    """Compare cross-lingual realignment recipes under one fixed protocol.

    \b
    Examples:
      xrealign-bench evaluate                            the embedded checkpoint and suite, offline
      xrealign-bench list recipes                        what can be compared
      xrealign-bench show recipe alignfreeze-front       what a recipe does
      xrealign-bench evaluate --checkpoint FacebookAI/xlm-roberta-base --suite pos-lite \\
          --recipe alignfreeze-full --recipe alignfreeze-front
    """
    if context.invoked_subcommand not in SHARED and not distributed.is_main_process():
        context.exit()


for command in (
    evaluate, freeze_search, fetch_data, list_kind, show, validate, languages, leaderboard,
    rescore, compare, reproduce, verify, submit, cache, doctor,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run a command: 0 good, 1 a stage failed, 2 the input is wrong or the system refuses, 130 interrupted, 143 ended
    by SIGTERM.

    If the reader of stdout goes away, as with `| head`, that is good too. Of several processes the first one prints;
    all of them end alike.
    """
    with ExitStack() as silence:
        if not distributed.is_main_process():
            nowhere = silence.enter_context(open(os.devnull, "w"))
            silence.enter_context(redirect_stdout(nowhere))
            silence.enter_context(redirect_stderr(nowhere))
        stdout = sys.stdout
        try:
            _run()
        except SystemExit:
            pipe_broke = sys.stdout is not stdout  # click replaces it then, and ends with status 1
            if not pipe_broke or not has_lost_reader(stdout):
                raise
            discard(stdout)


def _run() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        with terminable():
            cli(standalone_mode=False)
    except UserError as error:
        say(f"error: {error}")
        sys.exit(BAD_INPUT)
    except OSError as error:
        say(f"error: {UserError(reason(error))}")
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        declined = not isinstance(cause, KeyboardInterrupt)
        stored = "interrupted; finished stages are stored, and the same command goes on from there"
        say("nothing was done" if declined else stored)
        sys.exit(TERMINATED if isinstance(cause, Terminated) else INTERRUPTED)

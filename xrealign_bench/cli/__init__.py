"""Command line. Each command imports what it runs inside its function, so that `--help` loads only click."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout

import click

from xrealign_bench import __version__, distributed
from xrealign_bench.cli.analyse import analyse
from xrealign_bench.cli.cache import cache
from xrealign_bench.cli.data import fetch_data
from xrealign_bench.cli.export import export
from xrealign_bench.cli.languages import languages
from xrealign_bench.cli.leaderboard import leaderboard
from xrealign_bench.cli.lists import doctor, list_category, new, show, validate
from xrealign_bench.cli.options import OrderedGroup, describe_usage_error
from xrealign_bench.cli.printing import say
from xrealign_bench.cli.process import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    TERMINATED,
    Terminated,
    discard,
    has_lost_reader,
    terminable,
)
from xrealign_bench.cli.results import compare, confusion, reproduce, rescore, submit
from xrealign_bench.cli.running import evaluate, freeze_search, verify
from xrealign_bench.errors import TrainingError, UserError, describe_os_error

DISTRIBUTED = ("evaluate", "freeze-search", "verify")
"""Commands that every rank runs; the others run on rank 0 only."""


@click.group(cls=OrderedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="xrealign-bench")
@click.pass_context
def cli(context: click.Context) -> None:
    """Compare cross-lingual realignment recipes under one fixed protocol.

    \b
    Examples:
      xrealign-bench evaluate                            demo suite and checkpoint, offline, 4 minutes
      xrealign-bench list recipes                        recipes to compare
      xrealign-bench show recipe alignfreeze-front       all settings of a recipe
      xrealign-bench evaluate --checkpoint FacebookAI/xlm-roberta-base --suite pos-lite \\
          --recipe alignfreeze-full,alignfreeze-front
    """
    if context.invoked_subcommand not in DISTRIBUTED and not distributed.is_main_process():
        context.exit()


for command in (
    evaluate, analyse, freeze_search, fetch_data, list_category, show, new, validate, languages, leaderboard,
    rescore, compare, confusion, reproduce, verify, export, submit, cache, doctor,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run a command and exit with its status.

    0: success, also if the reader of stdout closes the pipe, as `| head` does. 1: a stage failed. 2: bad input, or an
    error of the operating system. 130: interrupted. 143: ended by SIGTERM. Only rank 0 prints; every rank exits alike.
    """
    with ExitStack() as silence:
        if not distributed.is_main_process():
            devnull = silence.enter_context(open(os.devnull, "w"))
            silence.enter_context(redirect_stdout(devnull))
            silence.enter_context(redirect_stderr(devnull))
        stdout = sys.stdout
        try:
            _run()
        except SystemExit:
            pipe_broke = sys.stdout is not stdout  # click replaces stdout when the pipe breaks
            if not pipe_broke or not has_lost_reader(stdout):
                raise
            discard(stdout)


def _run() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        with terminable():
            cli(prog_name="xrealign-bench", standalone_mode=False)
    except UserError as error:
        say(f"error: {error}")
        sys.exit(BAD_INPUT)
    except TrainingError as error:
        say(f"error: {UserError(str(error))}")
        sys.exit(FAILED)
    except OSError as error:
        say(f"error: {UserError(describe_os_error(error))}")
        sys.exit(BAD_INPUT)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.UsageError as error:
        say(f"error: {UserError(describe_usage_error(error))}")
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        if isinstance(cause, KeyboardInterrupt):
            say("interrupted; finished stages are stored. Run the same command again to resume")
        else:  # a prompt was answered with no
            say("nothing was done")
        sys.exit(TERMINATED if isinstance(cause, Terminated) else INTERRUPTED)

"""Several processes that compute one run together, on a device each, as `accelerate launch` starts them.

Usually there is one, and then every function here does nothing but return what it was given. Of several, each knows
its place from the variables that the launcher sets; accelerate does the talking. They stay in step by one rule:
whatever they do together begins with an `exchange`, at which a process that failed says so instead (`together`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from xrealign_bench.errors import TrainingError, UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

T = TypeVar("T")

_PATIENCE = timedelta(days=7)
"""How long one waits for the others, who may be computing a stage that is long: torch's 10 minutes are too few."""
_TOLD = "in one of several processes"
"""The note on an error that all processes know of."""


def count() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Is this the one that prints and writes?"""
    return _index() == 0


def count_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def join(device: torch.device) -> None:
    """Find the others, who compute on devices of the same type; a GPU of its own becomes each one's `cuda`.

    To be called once, before the first exchange.
    """
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)


def leave() -> None:
    """Close the connections, after the last exchange."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()


def own(items: Sequence[T]) -> list[T]:
    """This process's share: a run of them, perhaps none. All shares, in the processes' order, are all items."""
    if count() == 1:
        return list(items)
    from accelerate import PartialState

    with PartialState().split_between_processes(list(items)) as share:
        return list(share)


def exchange(value: T) -> list[T]:
    """The values that all processes give, in their order; they may be anything that can be pickled.

    Raises:
        UserError: another process has ended.
        Exception: whatever another one raised inside `together`.
    """
    return [value] if count() == 1 else _exchange(value, None)


@contextmanager
def together() -> Iterator[None]:
    """What people are told of, and memory that runs out, in one process, is raised in all of them.

    The others raise it where they next exchange something, at the latest at the end of this block.
    """
    if count() == 1:
        yield
        return
    try:
        yield
    except (UserError, TrainingError, OSError, RuntimeError) as error:
        if _TOLD in getattr(error, "__notes__", ()):
            raise
        error.add_note(_TOLD)
        _exchange(None, error)
    else:
        exchange(None)


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; what it raises is raised in all."""
    with together():
        return cast(T, exchange(make() if is_first() else None)[0])


def gather_rows(rows: Tensor) -> tuple[Tensor, slice]:
    """The rows (n, d) of all processes, one after the other and without a graph, and where this one's are among them.

    Each may have another n; one without any gives (0,).
    """
    if count() == 1:
        return rows, slice(None)
    import torch
    from accelerate.utils import gather

    shapes = exchange(tuple(rows.shape))
    most, width = (max(shape[side] for shape in shapes) for side in (0, -1))
    padded = rows.new_zeros(most, width)
    if len(rows):
        padded[: len(rows)] = rows
    everywhere = [part[: shape[0]] for part, shape in zip(gather(padded).split(most), shapes, strict=True)]
    before = sum(shape[0] for shape in shapes[: _index()])
    return torch.cat(everywhere), slice(before, before + len(rows))


def add_up_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Give each parameter the sum of its gradients in all processes; none where no process has one."""
    if count() == 1:
        return
    import torch
    from accelerate.utils import reduce

    reached = exchange([parameter.grad is not None for parameter in parameters])
    for parameter, *anywhere in zip(parameters, *reached, strict=True):
        if any(anywhere):
            own_gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = reduce(own_gradient, "sum")


def draw_apart() -> None:
    """Let dropout draw other numbers in each process, which follow from the seed and its place; the first goes on."""
    if not is_first():
        import numpy as np
        import torch

        own_seed = np.random.SeedSequence([torch.initial_seed(), _index()]).generate_state(1)
        torch.manual_seed(int(own_seed[0]))


def _index() -> int:
    return int(os.environ.get("RANK", "0"))


def _exchange(value: T | None, error: Exception | None) -> list[T]:
    from accelerate.utils import gather_object

    try:
        answers = gather_object([(value, error)])
    except RuntimeError as lost:
        ended = UserError(
            f"another of the {count()} processes has ended; when the cause is mended, the same command goes on from "
            "what is stored"
        )
        ended.add_note(_TOLD)
        raise ended from lost
    for _, told in answers:
        if told is not None:
            raise told
    return [given for given, _ in answers]

"""Several ranks that compute one run together, with one device each, as `accelerate launch` starts them.

Usually there is one rank, and every function returns its argument unchanged. With several, each rank reads its place
from the launcher's environment variables, and accelerate communicates. One rule keeps the ranks in step: every joint
operation starts with `all_gather`, where a rank that failed reports its error instead (`raise_on_every_rank`).
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

_TIMEOUT = timedelta(days=7)
"""A rank may wait for the others through a whole stage; torch's default of 10 minutes is too short."""
_SHARED = "in one of several processes"
"""Note on an error that every rank has received."""


def world_size() -> int:
    """Return the number of ranks."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this is rank 0, which prints and writes."""
    return _rank() == 0


def local_world_size() -> int:
    """Return the number of ranks on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def init(device: torch.device) -> None:
    """Join the process group of ranks on devices of this type; each rank's `cuda` is a GPU of its own.

    Call it once, before the first `all_gather`.
    """
    if world_size() > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu", timeout=_TIMEOUT)


def shutdown() -> None:
    """Destroy the process group, after the last `all_gather`."""
    if world_size() > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()


def shard(items: Sequence[T]) -> list[T]:
    """Return this rank's contiguous, possibly empty share of the items. The shares in rank order are all items."""
    if world_size() == 1:
        return list(items)
    from accelerate import PartialState

    with PartialState().split_between_processes(list(items)) as share:
        return list(share)


def all_gather(value: T) -> list[T]:
    """All-gather a picklable value from every rank, in rank order.

    Raises:
        UserError: another rank has ended.
        Exception: whatever another rank raised inside `raise_on_every_rank`.
    """
    return [value] if world_size() == 1 else _all_gather(value, None)


@contextmanager
def raise_on_every_rank() -> Iterator[None]:
    """Re-raise a UserError or out-of-memory error from any rank on every rank.

    The other ranks raise it at their next `all_gather`, at the latest at the end of this block.
    """
    if world_size() == 1:
        yield
        return
    try:
        yield
    except (UserError, TrainingError, OSError, RuntimeError) as error:
        if _SHARED in getattr(error, "__notes__", ()):
            raise
        error.add_note(_SHARED)
        _all_gather(None, error)
    else:
        all_gather(None)


def broadcast(make: Callable[[], T]) -> T:
    """Call `make` on rank 0 and return its result on every rank. Errors of rank 0 are raised on every rank."""
    with raise_on_every_rank():
        return cast(T, all_gather(make() if is_main_process() else None)[0])


def all_gather_rows(rows: Tensor) -> tuple[Tensor, slice]:
    """All-gather rows (n, d) from every rank, detached. Return the stacked rows and this rank's slice.

    Every rank may have another n; a rank without rows passes a tensor of shape (0,).
    """
    if world_size() == 1:
        return rows, slice(None)
    import torch
    from accelerate.utils import gather

    shapes = all_gather(tuple(rows.shape))
    most, width = (max(shape[side] for shape in shapes) for side in (0, -1))
    padded = rows.new_zeros(most, width)
    if len(rows):
        padded[: len(rows)] = rows
    stacked = [part[: shape[0]] for part, shape in zip(gather(padded).split(most), shapes, strict=True)]
    before = sum(shape[0] for shape in shapes[: _rank()])
    return torch.cat(stacked), slice(before, before + len(rows))


def all_reduce_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sum each parameter's gradient over the ranks. A parameter without a gradient on any rank keeps none."""
    if world_size() == 1:
        return
    import torch
    from accelerate.utils import reduce

    has_gradient = all_gather([parameter.grad is not None for parameter in parameters])
    for parameter, *on_ranks in zip(parameters, *has_gradient, strict=True):
        if any(on_ranks):
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = reduce(gradient, "sum")


def seed_per_rank() -> None:
    """Give each rank but the first a dropout seed of its own, derived from torch's seed and the rank."""
    if not is_main_process():
        import numpy as np
        import torch

        seed = np.random.SeedSequence([torch.initial_seed(), _rank()]).generate_state(1)
        torch.manual_seed(int(seed[0]))


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _all_gather(value: T | None, error: Exception | None) -> list[T]:
    from accelerate.utils import gather_object

    try:
        answers = gather_object([(value, error)])
    except RuntimeError as lost:
        ended = UserError(
            f"another of the {world_size()} processes has ended. When the cause is fixed, the same command resumes "
            "from the stored stages."
        )
        ended.add_note(_SHARED)
        raise ended from lost
    for _, raised in answers:
        if raised is not None:
            raise raised
    return [given for given, _ in answers]

"""Measure a training step of 32 texts of 48 tokens with bfloat16 and torch.compile on this CPU, in processor seconds.

python benchmarks/step_settings.py --checkpoint ./encoder --compile
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from tabulate import tabulate

from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.embedding_rows import shrink_embeddings
from xrealign_bench.models.encoder import load_encoder

TEXTS, TOKENS, ROWS, SIZE = 32, 48, 25_000, 2048


def seconds(work: Callable[[], Any], times: int = 5) -> float:
    """Return the lowest processor time of several runs."""
    taken = []
    for _ in range(times):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def product(dtype: torch.dtype) -> float:
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return seconds(lambda: a @ b)


def step(encoder: Any, forward: Any, ids: torch.Tensor, low: bool) -> Callable[[], None]:
    adam = torch.optim.Adam(encoder.parameters(), lr=1e-5, fused=True)

    def run() -> None:
        adam.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            hidden = forward(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        hidden.float().pow(2).mean().backward()
        adam.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--compile", action="store_true", help="takes minutes")
    options = parser.parse_args()
    encoder: Any = load_encoder(resolve_checkpoint(options.checkpoint, None, True, False, False), seed=0).train()
    ids = torch.randint(5, ROWS, (TEXTS, TOKENS))
    operations = 6 * TEXTS * TOKENS * encoder.num_parameters(exclude_embeddings=True)
    seconds_of_product, rows = product(torch.float32), []
    peak = 2 * SIZE**3 / seconds_of_product
    with shrink_embeddings(encoder, ids.tolist()):
        forwards = {"as it is": encoder} | ({"compiled": torch.compile(encoder)} if options.compile else {})
        for name, forward in forwards.items():
            for dtype, low in (("float32", False), ("bfloat16", True)):
                run, before = step(encoder, forward, ids, low), time.perf_counter()
                run()
                first, taken = time.perf_counter() - before, seconds(run)
                rows.append([name, dtype, f"{first:.1f}", f"{taken:.2f}", f"{100 * operations / taken / peak:.0f} %"])
    faster = seconds_of_product / product(torch.bfloat16)
    print(
        f"{torch.get_num_threads()} threads; {peak / 1e9:.0f} Gflop/s in products, {faster:.1f} times that in bfloat16"
    )
    print(tabulate(rows, ["encoder", "in", "first step, wall s", "step, cpu s", "of float32's peak"]))


if __name__ == "__main__":
    main()

"""Greedy generation of one line of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    StoppingCriteriaList,
)

from xrealign_bench.models.config import quiet_transformers
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.models.length_bucketing import batch_by_length

TOKENS_PER_BATCH = 8192
"""Padding and generated tokens included: the cache of keys and values of Llama 3 8B takes 2 GB in fp32."""
LINE_BREAK = re.compile(r"[\r\n]")


class _LineEnd(StoppingCriteria):
    """Stops a row after a token with a line break.

    Args:
        tokenizer: from `load_tokenizer`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._ends = cache(lambda token: LINE_BREAK.search(_decode(tokenizer, [token])) is not None)

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        done = [self._ends(token) for token in input_ids[:, -1].tolist()]
        return torch.tensor(done, device=input_ids.device)


class _CheckFinite(LogitsProcessor):
    """Refuses logits with NaN or infinity, of which any token could be the largest."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        check_finite_outputs(scores, "likelihoods of tokens", self._model)
        return scores


def generate_lines(
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    device: torch.device,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[str]:
    """Continue each prompt with the likeliest token at every step, up to a line break or the end of the text.

    The checkpoint's own settings of generation, such as sampling, beams or penalties, have no effect. Prompts are
    padded on the left.

    Args:
        model: from `add_output_layer`.
        tokenizer: from `load_tokenizer`.
        prompts: token ids.
        max_new_tokens: maximum number of tokens to generate.
        device: where to compute.
        tokens_per_batch: maximum tokens in a batch, with padding and generated ones.

    Returns:
        The text that follows each prompt, without the line break and spaces around it. May be empty.

    Raises:
        UserError: the model computes logits that are not finite.
    """
    pad_id = tokenizer.pad_token_id
    ends = end_tokens(model, tokenizer)
    whole: Any = model.whole
    configuration: Any = GenerationConfig  # has no types
    settings = configuration(
        max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, eos_token_id=ends or None, pad_token_id=pad_id
    )
    criteria = StoppingCriteriaList([_LineEnd(tokenizer)])
    checks = LogitsProcessorList([_CheckFinite(model)])
    lines = [""] * len(prompts)
    model.to(device).eval()
    own, whole.generation_config = whole.generation_config, configuration()
    try:
        with torch.inference_mode(), quiet_transformers():
            for chosen in batch_by_length([len(ids) + max_new_tokens for ids in prompts], tokens_per_batch):
                ids, mask = _pad_left([prompts[number] for number in chosen], pad_id, device)
                written = whole.generate(
                    ids,
                    attention_mask=mask,
                    generation_config=settings,
                    logits_processor=checks,
                    stopping_criteria=criteria,
                )
                for number, row in zip(chosen, written[:, ids.shape[1] :].tolist(), strict=True):
                    lines[number] = _first_line(tokenizer, row, ends)
    finally:
        whole.generation_config = own
    return lines


def end_tokens(model: LanguageModel, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the tokens that end a text: the tokenizer's, and those in the checkpoint's settings of generation."""
    whole: Any = model.whole
    own = whole.generation_config.eos_token_id
    listed: Iterable[int | None] = own if isinstance(own, list) else [own]
    return sorted({token for token in (*listed, tokenizer.eos_token_id) if token is not None})


def _first_line(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], ends: Sequence[int]) -> str:
    kept = list(takewhile(lambda token: token not in ends, ids))
    return LINE_BREAK.split(_decode(tokenizer, kept), maxsplit=1)[0].strip()


def _decode(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    """Return the text of tokens, without special ones."""
    text: Any = tokenizer.decode(ids, skip_special_tokens=True)
    return str(text)


def _pad_left(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return token ids padded on the left and the attention mask, both (rows, longest)."""
    longest = max(map(len, rows))
    ids = [[pad_id] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

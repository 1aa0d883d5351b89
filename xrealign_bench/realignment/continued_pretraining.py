"""Continued pre-training on the text of the pairs: a control for what realignment owes to more training on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from xrealign_bench import distributed
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.length_bucketing import run_by_length
from xrealign_bench.models.output_layer import OutputLayer
from xrealign_bench.models.training import StepLoss
from xrealign_bench.models.windows import TokenBatch
from xrealign_bench.realignment.pairs import PairBatch

_IGNORED = -100
"""Label of a position without a loss, as in transformers."""


class LanguageModelLoss:
    """Mean cross-entropy of masked or next tokens in both sides of a batch of pairs, which are not aligned.

    Tokens are masked as for BERT (Devlin et al. 2019, section 3.1): 15 % are predicted, of which 80 % are masked, 10 %
    replaced and 10 % kept.

    Args:
        output_layer: the layer on the encoder that is trained.
        masks: masks tokens, from `token_masks`; None: the next token is predicted.
    """

    def __init__(self, output_layer: OutputLayer, masks: DataCollatorForLanguageModeling | None) -> None:
        self.head = output_layer
        self._encoder: Any = output_layer.encoder
        self._masks = masks

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the output layer that are not the encoder's."""
        return self.head.own_parameters()

    def texts(self) -> Iterable[Sequence[int]]:
        """Return the whole vocabulary: each token may be predicted or replace another one."""
        return [range(self._vocabulary)]

    def step(self, batch: PairBatch, device: torch.device) -> StepLoss:
        """Return the loss of a step, and draw its masked tokens: one draw whatever the number of parts and ranks."""
        ids, mask = batch.windows.input_ids, batch.windows.attention_mask
        if self._masks is None:
            read, labels = ids, _next_tokens(ids, mask)
        else:
            masked, labels = self._masks.torch_mask_tokens(ids.clone())
            read = torch.where(masked < self._vocabulary, masked, ids)  # a tokenizer may have more tokens
        return partial(self._in_parts, TokenBatch(input_ids=read, attention_mask=mask).to(device), labels.to(device))

    @property
    def _vocabulary(self) -> int:
        size: int = self._encoder.get_input_embeddings().num_embeddings
        return size

    def _in_parts(self, batch: TokenBatch, labels: Tensor, parts: int) -> Iterator[Tensor]:
        """Yield parts that add up to the mean over all predicted tokens of the batch, or to 0 without any."""
        predicted = max(1, int((labels != _IGNORED).sum()))
        size = -(-len(labels) // parts)
        for begin in distributed.shard(range(0, len(labels), size)):
            rows = slice(begin, begin + size)
            yield self._sum(batch.input_ids[rows], batch.attention_mask[rows], labels[rows]) / predicted

    def _sum(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        read = partial(block_output, self._encoder, "last")
        hidden = run_by_length(self._encoder, read, input_ids, attention_mask)
        predicted = labels != _IGNORED
        logits = self.head(hidden[predicted])
        return functional.cross_entropy(logits.float(), labels[predicted], reduction="sum")


def token_masks(tokenizer: PreTrainedTokenizerFast, seed: int) -> DataCollatorForLanguageModeling:
    """Return transformers' masking of tokens, with a generator of its own. The tokenizer must have a mask token."""
    masks = DataCollatorForLanguageModeling(tokenizer)
    masks.generator = torch.Generator().manual_seed(seed)
    return masks


def _next_tokens(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the token after each token, or `_IGNORED` where there is none."""
    labels = torch.full_like(input_ids, _IGNORED)
    labels[:, :-1] = input_ids[:, 1:].masked_fill(attention_mask[:, 1:] == 0, _IGNORED)
    return labels

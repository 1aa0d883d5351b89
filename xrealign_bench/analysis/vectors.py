"""Vectors of texts and words after every block of a model, from one forward pass."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xrealign_bench.analysis.table import TextVector
from xrealign_bench.models.blocks import all_block_outputs
from xrealign_bench.models.finite_checks import check_finite_outputs
from xrealign_bench.models.length_bucketing import batch_by_length
from xrealign_bench.models.pooling import pool_sentences, pool_words
from xrealign_bench.models.windows import Window, collate

Vectors = NDArray[np.float32]
WordPooling = Literal["first_subword", "mean"]
_TOKENS_PER_BATCH = 4096


class Pooling(NamedTuple):
    """How sub-words become the vector of a text, see `pool_sentences`, and of a word, see `pool_words`."""

    texts: TextVector = "mean"
    words: WordPooling = "first_subword"


@dataclass(frozen=True)
class BlockVectors:
    """Vectors before the first block (entry 0) and after each block (entry number + 1)."""

    texts: list[Vectors]
    """(texts, dim) each."""
    words: list[Vectors]
    """(words, dim) each: the words of the texts that they were asked for, one text after the other."""
    ends: NDArray[np.int64]
    """(texts + 1,): the words of text n are `words[ends[n]:ends[n + 1]]`."""

    def words_of(self, entry: int, text: int) -> Vectors:
        """Return the vectors (words, dim) of one text's words."""
        return self.words[entry][self.ends[text] : self.ends[text + 1]]


def read_vectors(
    encoder: nn.Module,
    windows: Sequence[Window],
    pad_id: int,
    *,
    pooling: Pooling,
    word_texts: Container[int] = (),
    device: torch.device,
) -> BlockVectors:
    """Run an encoder on texts and pool the outputs of all blocks.

    Args:
        encoder: as `load_encoder` returns it.
        windows: a window for each text.
        pad_id: the tokenizer's padding token.
        pooling: how texts and words become vectors.
        word_texts: numbers of the texts whose words are wanted too.
        device: where to compute.

    Raises:
        UserError: a vector is not finite, or a text is too long for the model.
    """
    sizes = [len(window.starts) if number in word_texts else 0 for number, window in enumerate(windows)]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    texts: list[Vectors] = []
    words: list[Vectors] = []
    encoder.to(device).eval()
    with torch.inference_mode():
        for chosen in batch_by_length([len(window.input_ids) for window in windows], _TOKENS_PER_BATCH):
            batch = collate([windows[number] for number in chosen], pad_id).to(device)
            places = np.concatenate([np.arange(ends[number], ends[number + 1]) for number in chosen])
            asked = torch.tensor([[sizes[number] > 0] for number in chosen], device=device)
            wanted = (batch.starts >= 0) & asked
            for entry, hidden in enumerate(all_block_outputs(encoder, batch.input_ids, batch.attention_mask)):
                pooled = pool_sentences(hidden, batch.starts, batch.ends, pooling.texts)
                check_finite_outputs(pooled, "vectors of sentences", encoder)
                _fill(texts, entry, (len(windows), pooled.shape[-1]))[chosen] = pooled.cpu().numpy()
                if len(places):
                    own = pool_words(hidden, batch.starts, batch.ends, pooling.words)[wanted]
                    _fill(words, entry, (int(ends[-1]), own.shape[-1]))[places] = own.cpu().numpy()
    return BlockVectors(texts, words, ends)


def _fill(arrays: list[Vectors], entry: int, shape: tuple[int, int]) -> Vectors:
    """Return the array of a block, created when its first batch comes."""
    if entry == len(arrays):
        arrays.append(np.zeros(shape, np.float32))
    return arrays[entry]

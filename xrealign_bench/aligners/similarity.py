"""Align words by the similarity of a checkpoint's own vectors (SimAlign; Jalili Sabet et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xrealign_bench.aligners.aligner import Aligner, Resources, WordVectors
from xrealign_bench.data import Links, ParallelText

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

    from xrealign_bench.models.windows import Window

_CHUNK = 512
"""Pairs whose vectors are in memory at a time."""


def align_similarity(text: ParallelText, vectors: WordVectors) -> list[Links]:
    """Link words that are each other's most similar word in the other sentence.

    Args:
        text: the pairs.
        vectors: returns contextual word vectors, see `encoder_vectors`.
    """
    links: list[Links] = []
    for begin in range(0, len(text.source_words), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        links += mutual_argmax(vectors(text.source_words[chunk]), vectors(text.target_words[chunk]))
    return links


def _align(text: ParallelText, resources: Resources) -> list[Links]:
    if resources.vectors is None:
        raise ValueError("the aligner 'similarity' needs word vectors")
    return align_similarity(text, resources.vectors)


SIMILARITY = Aligner(
    title="mutually nearest word vectors of the checkpoint", version=1, align=_align, needs_checkpoint=True
)


def mutual_argmax(source: Sequence[Tensor], target: Sequence[Tensor]) -> list[Links]:
    """Return the links of SimAlign's "Argmax" for a batch: (s, t) if s and t have the greatest cosine for each other.

    Among equal cosines the first one counts. Links are one-to-one.

    Args:
        source: for each pair, a tensor (source words, dim) in float32.
        target: for each pair, a tensor (target words, dim).

    >>> import torch
    >>> mutual_argmax([torch.eye(2)], [torch.tensor([[0.1, 0.9], [0.2, 0.3], [0.8, 0.1]])])
    [[(0, 2), (1, 0)]]
    """
    import torch
    from torch.nn.functional import normalize
    from torch.nn.utils.rnn import pad_sequence

    if not source:
        return []
    # Padding is zero, like a word without a vector.
    left = normalize(pad_sequence(list(source), batch_first=True), dim=-1)
    right = normalize(pad_sequence(list(target), batch_first=True), dim=-1)
    there = left.any(-1).unsqueeze(2) & right.any(-1).unsqueeze(1)
    cosine = (left @ right.transpose(1, 2)).masked_fill(~there, -torch.inf)
    to_target, to_source = cosine.argmax(2), cosine.argmax(1)
    positions = torch.arange(left.shape[1], device=left.device)
    mutual = (to_source.gather(1, to_target) == positions) & there.any(2)
    links: list[Links] = [[] for _ in source]
    for pair, s in mutual.nonzero().tolist():
        links[pair].append((s, int(to_target[pair, s])))
    return links


def encoder_vectors(
    tokenizer: PreTrainedTokenizerFast,
    encoder: nn.Module,
    *,
    max_length: int,
    device: torch.device,
    layer: int | None = None,
    batch_size: int = 64,
) -> WordVectors:
    """Return a function that computes word vectors: the mean over a word's sub-words of a block's output.

    Args:
        tokenizer: the encoder's tokenizer.
        encoder: an encoder in eval mode.
        max_length: sub-words per window, special ones included; longer sentences are split into several windows.
        device: the device of the encoder.
        layer: the block, counted from 0 at the bottom; None for the last one of the lower two thirds, which for 12
            blocks is SimAlign's layer 8.
        batch_size: windows per batch.

    Returns:
        The function; it raises a UserError if a vector is not finite.
    """
    import torch

    from xrealign_bench.models.blocks import find_blocks
    from xrealign_bench.models.encode_words import encode_words

    chosen = lower_two_thirds(len(find_blocks(encoder))) if layer is None else layer
    pad_id = int(tokenizer.pad_token_id)

    def vectors(sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        windows = encode_words(tokenizer, sentences, max_length)
        of_sentence: list[list[Tensor]] = [[] for _ in sentences]
        of_window = _embed(encoder, windows, pad_id, chosen, device, batch_size)
        for window, rows in zip(windows, of_window, strict=True):  # the windows of a sentence are in order
            of_sentence[window.sentence].append(rows)
        return [torch.cat(parts) for parts in of_sentence]

    return vectors


def lower_two_thirds(blocks: int) -> int:
    """Return the number of the last block of the lower two thirds.

    >>> lower_two_thirds(12), lower_two_thirds(6), lower_two_thirds(4), lower_two_thirds(1)
    (7, 3, 2, 0)
    """
    return max(round(blocks * 2 / 3), 1) - 1


def _embed(
    encoder: nn.Module, windows: Sequence[Window], pad_id: int, layer: int, device: torch.device, batch_size: int
) -> list[Tensor]:
    """Return the word vectors (words, dim) of each window, computed in batches of similar length."""
    import torch

    from xrealign_bench.models.blocks import block_output
    from xrealign_bench.models.finite_checks import check_finite_outputs
    from xrealign_bench.models.pooling import pool_words
    from xrealign_bench.models.windows import collate

    of_window: list[Tensor] = [torch.empty(0)] * len(windows)
    by_length = sorted(range(len(windows)), key=lambda number: len(windows[number].input_ids))
    with torch.inference_mode():
        for begin in range(0, len(windows), batch_size):
            chosen = by_length[begin : begin + batch_size]
            batch = collate([windows[number] for number in chosen], pad_id).to(device)
            hidden = block_output(encoder, layer, batch.input_ids, batch.attention_mask)
            pooled = pool_words(hidden, batch.starts, batch.ends, "mean").float().cpu()
            for row, number in enumerate(chosen):
                of_window[number] = pooled[row, : len(windows[number].starts)]
                check_finite_outputs(of_window[number], "vectors of words", encoder)
    return of_window

"""Textbook implementation of realignment, fine-tuning and prediction, as a baseline for the harness's speed.

All batches are padded to the full length, both sides of a pair are encoded one after the other, words are looked up in
Python loops, the optimiser is torch's default, and prediction runs with gradients, in the order of the data. Losses and
predictions equal the harness's: same batches, same objective (AlignFreeze), same initial weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.pairs import EncodedPair

TEMPERATURE = 0.1


def pad(windows: Sequence[Window], length: int, pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad windows. Returns token ids and attention mask, (batch, length)."""
    ids = torch.tensor([w.input_ids + [pad_id] * (length - len(w.input_ids)) for w in windows])
    mask = torch.tensor([[1] * len(w.input_ids) + [0] * (length - len(w.input_ids)) for w in windows])
    return ids, mask


def realign(
    encoder: Any,
    head: nn.Module,
    batches: Iterable[list[EncodedPair]],
    *,
    layer: int,
    length: int,
    pad_id: int,
    rate: float,
) -> list[float]:
    """Realign all weights with the word-contrastive loss. Returns the loss of each step.

    Seven parameters: the settings are plain numbers, so that this file needs nothing of the harness.
    """
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=rate)
    encoder.train()
    losses = []
    for pairs in batches:
        sides = [[pair.source for pair in pairs], [pair.target for pair in pairs]]
        vectors: list[Tensor] = []
        place: dict[tuple[int, int, int], int] = {}
        for side, windows in enumerate(sides):
            ids, mask = pad(windows, length, pad_id)
            hidden = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[layer + 1]
            for row, window in enumerate(windows):
                for word, start in enumerate(window.starts):
                    place[side, row, word] = len(vectors)
                    vectors.append(head(hidden[row, start]))
        everything = torch.stack(vectors)
        terms = []
        for row, pair in enumerate(pairs):
            for source, target in pair.links.tolist():
                ends = [place[0, row, source], place[1, row, target]]
                for anchor, positive in (ends, ends[::-1]):
                    scores = functional.cosine_similarity(everything[anchor].unsqueeze(0), everything) / TEMPERATURE
                    others = torch.cat([scores[:anchor], scores[anchor + 1 :]])
                    terms.append(torch.logsumexp(others, 0) - scores[positive])
        loss = torch.stack(terms).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def finetune(
    model: Any, batches: Iterable[list[tuple[Window, list[int]]]], *, length: int, pad_id: int, rates: Sequence[float]
) -> list[float]:
    """Fine-tune a tagger. Words with label -100 are ignored. Returns the loss of each step."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rates[0])
    model.train()
    losses = []
    for batch, rate in zip(batches, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        ids, mask = pad([window for window, _ in batch], length, pad_id)
        labels = torch.full(ids.shape, -100)
        for row, (window, own) in enumerate(batch):
            for start, label in zip(window.starts, own, strict=True):
                labels[row, start] = label
        hidden = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        logits = model.classifier(model.dropout(hidden))
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def tag(model: Any, windows: Sequence[Window], *, length: int, pad_id: int, batch_size: int = 32) -> list[list[int]]:
    """Predict the label of each word of each window."""
    model.eval()
    found = []
    for begin in range(0, len(windows), batch_size):
        batch = windows[begin : begin + batch_size]
        ids, mask = pad(batch, length, pad_id)
        logits = model.classifier(model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)
        for row, window in enumerate(batch):
            found.append([int(logits[row, start].argmax()) for start in window.starts])
    return found

"""A toy language of numbered words and its ciphers: translation pairs that an untrained model can learn."""

from __future__ import annotations

import random

import torch
from torch import nn
from transformers import BertConfig, BertModel

from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.pairs import EncodedPairs, pair_up

PAD, CLS, SEP, FIRST = 0, 1, 2, 3
WORDS = 12
"""Of a language; language n has the token ids FIRST + n * WORDS up to FIRST + (n + 1) * WORDS."""


def tiny_bert(*, dropout: float = 0.1, layers: int = 4) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=FIRST + 3 * WORDS,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=24,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def sentence_window(number: int, ids: list[int]) -> Window:
    return Window(number, 0, [CLS, *ids, SEP], list(range(1, len(ids) + 1)), list(range(2, len(ids) + 2)))


def cipher_pairs(language: int, count: int, seed: int) -> EncodedPairs:
    """Return sentences of language 0 and their translations: each word is replaced by the cipher, in reversed order."""
    generator = random.Random(seed)
    shift = random.Random(language).sample(range(WORDS), WORDS)
    sources, targets, links = [], [], []
    for number in range(count):
        words = generator.sample(range(WORDS), generator.randint(3, 6))
        sources.append(sentence_window(number, [FIRST + word for word in words]))
        translated = [FIRST + language * WORDS + shift[word] for word in reversed(words)]
        targets.append(sentence_window(number, translated))
        links.append([(place, len(words) - 1 - place) for place in range(len(words))])
    return pair_up(sources, targets, links)


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

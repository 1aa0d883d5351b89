"""Whole texts, single or in pairs, as the model reads them: special tokens where the tokenizer puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.tokenizer import LINE_BREAK, room_for_text, run_tokenizer
from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData

_BATCH = 1024


@dataclass(frozen=True)
class EncodedTexts:
    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    """Which text each sub-word belongs to, where the tokenizer says so."""
    altered: dict[str, int]
    """How many examples the model does not read as they are: `truncated` at the end, or `without_token` for a text."""


@dataclass(frozen=True)
class TextBatch:
    """Texts of a batch, padded on the right: all torch.long, (batch, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    """1 where there is a token."""
    token_type_ids: Tensor | None

    def to(self, device: torch.device) -> TextBatch:
        types = None if self.token_type_ids is None else self.token_type_ids.to(device)
        return TextBatch(self.input_ids.to(device), self.attention_mask.to(device), types)


def encode_texts(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> EncodedTexts:
    """Tokenise texts, or pairs of them by the tokenizer's own template.

    Where that sets the texts of a pair not apart, a line break does. A text of which nothing is left is read as the
    token that pads. What is too long is truncated as transformers does it: token by token, the longer text of a pair
    first.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        texts: the texts, or the first ones of the pairs.
        pairs: the second ones, as many.
        max_length: sub-words of an example, special ones included.

    Raises:
        UserError: `max_length` is too small for a sub-word of each text or larger than the model takes.
    """
    special = tokenizer.num_special_tokens_to_add(pairs is not None)
    # Room for one sub-word of each text: the last of them is not counted as special.
    room_for_text(tokenizer, max_length, special + (pairs is not None))
    typed = "token_type_ids" in tokenizer.model_input_names
    if pairs is not None and not _sets_apart(tokenizer):
        pairs = [LINE_BREAK + text for text in pairs]
    ids: list[list[int]] = []
    types: list[list[int]] = []
    altered: Counter[str] = Counter()
    for begin in range(0, len(texts), _BATCH):
        chosen = slice(begin, begin + _BATCH)
        encodings = run_tokenizer(
            tokenizer,
            list(texts[chosen]),
            None if pairs is None else list(pairs[chosen]),
            add_special_tokens=True,
            truncation="longest_first",
            max_length=max_length,
        )
        ids += [list(encoding.ids) or [tokenizer.pad_token_id] for encoding in encodings]
        types += [list(encoding.type_ids) or [0] for encoding in encodings] if typed else []
        for encoding in encodings:
            altered["truncated"] += bool(encoding.overflowing)
            altered["without_token"] += len(set(encoding.sequence_ids) - {None}) < (1 if pairs is None else 2)
    return EncodedTexts(ids, types if typed else None, {name: count for name, count in altered.items() if count})


def _sets_apart(tokenizer: PreTrainedTokenizerFast) -> bool:
    sides = tokenizer([str(tokenizer.pad_token)], [str(tokenizer.pad_token)], is_split_into_words=True).sequence_ids(0)
    return None in sides[sides.index(0) : sides.index(1)]


def collate_texts(
    input_ids: Sequence[Sequence[int]], token_type_ids: Sequence[Sequence[int]] | None, pad_id: int
) -> TextBatch:
    """Pad texts to the longest of them."""
    lengths = torch.tensor([len(row) for row in input_ids])
    ids = _padded(input_ids, pad_id)
    return TextBatch(
        input_ids=ids,
        attention_mask=(torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        token_type_ids=None if token_type_ids is None else _padded(token_type_ids, 0),
    )


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    return pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True, padding_value=fill)


_EXAMPLES = pa.schema(
    {
        "example": pa.int32(),
        "input_ids": pa.list_(pa.int32()),
        "token_type_ids": pa.list_(pa.int32()),
        "label": pa.int16(),
    }
)


def encode(
    task: Task, data: TextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`examples`: row, sub-words, their token types (null where the tokenizer gives none), the label's number."""
    encoded = encode_texts(tokenizer, data.text, data.text_pair, max_length)
    columns: dict[str, Sequence[Any]] = {
        "example": data.rows,
        "input_ids": encoded.input_ids,
        "token_type_ids": encoded.token_type_ids or [None] * len(data),
        "label": data.labels,
    }
    return {"examples": pa.table(columns, schema=_EXAMPLES)}, encoded.altered

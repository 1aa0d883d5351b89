"""Encode whole texts or pairs of texts, with the tokenizer's special tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.tokenisation import LINE_BREAK, room_for_text, run_tokenizer
from xrealign_bench.models.windows import INTS
from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData

_EXAMPLES = pa.schema({"example": pa.int32(), "input_ids": INTS, "token_type_ids": INTS, "label": pa.int16()})


@dataclass(frozen=True)
class EncodedTexts:
    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    """The text that each sub-word belongs to; None if the tokenizer does not return it."""
    altered: dict[str, int]
    """How many examples the model does not read unchanged: `truncated` at the end, or `without_token` for a text."""


def encode(
    task: Task, data: TextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `examples` (row in the data, sub-words, token types or null, label number) and counts of altered texts."""
    encoded = encode_texts(tokenizer, data.text, data.text_pair, max_length)
    columns: dict[str, Sequence[Any]] = {
        "example": data.rows,
        "input_ids": encoded.input_ids,
        "token_type_ids": encoded.token_type_ids or [None] * len(data),
        "label": data.labels,
    }
    return {"examples": pa.table(columns, schema=_EXAMPLES)}, encoded.altered


def encode_texts(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> EncodedTexts:
    """Tokenise texts, or pairs of texts with the tokenizer's own template.

    If the template does not separate the texts of a pair, a line break does. A text without tokens becomes the padding
    token. Long texts are truncated as in transformers: token by token, the longer text of a pair first.

    Args:
        tokenizer: from `load_tokenizer`.
        texts: the texts, or the first text of each pair.
        pairs: the second text of each pair, or None.
        max_length: sub-words of an example, special tokens included.

    Raises:
        UserError: `max_length` is too small for one sub-word of each text or larger than the model takes.
    """
    special = tokenizer.num_special_tokens_to_add(pairs is not None)
    if pairs is None:
        room_for_text(tokenizer, max_length, special)
    else:
        room_for_text(tokenizer, max_length, special + 1)  # one sub-word of the first text, too
        if not _separates_pairs(tokenizer):
            pairs = [LINE_BREAK + text for text in pairs]
    typed = "token_type_ids" in tokenizer.model_input_names
    sides = 1 if pairs is None else 2
    ids: list[list[int]] = []
    types: list[list[int]] = []
    altered: Counter[str] = Counter()
    for encoding in run_tokenizer(
        tokenizer, texts, pairs, add_special_tokens=True, truncation="longest_first", max_length=max_length
    ):
        ids.append(list(encoding.ids) or [tokenizer.pad_token_id])
        if typed:
            types.append(list(encoding.type_ids) or [0])
        altered["truncated"] += bool(encoding.overflowing)
        altered["without_token"] += len(set(encoding.sequence_ids) - {None}) < sides
    return EncodedTexts(ids, types if typed else None, {name: count for name, count in altered.items() if count})


def _separates_pairs(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Return whether the tokenizer puts a special token between the two texts of a pair."""
    sides = tokenizer([str(tokenizer.pad_token)], [str(tokenizer.pad_token)], is_split_into_words=True).sequence_ids(0)
    return None in sides[sides.index(0) : sides.index(1)]

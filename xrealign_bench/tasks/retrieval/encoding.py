"""Encode sentences and their translations, each as one window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenisation import room_for_text, run_tokenizer
from xrealign_bench.models.windows import Window, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.tasks.sentence_pairs import TranslationData

_PAIRS = pa.schema({"example": pa.int32()})


def encode(
    task: Task, data: TranslationData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `pairs` (rows in the data), `sources` and `targets` (one window per sentence), and counts of sentences
    that the model does not read whole."""
    sides = [encode_sentences(tokenizer, texts, max_length) for texts in (data.text, data.text_pair)]
    counts = {
        "without_token": sum(window.without_token for side in sides for window in side),
        "truncated": sum(window.shortened for side in sides for window in side),
    }
    pairs = pa.table({"example": data.rows}, schema=_PAIRS)
    sources, targets = (windows_table(side) for side in sides)
    tables = {"pairs": pairs, "sources": sources, "targets": targets}
    return tables, {name: count for name, count in counts.items() if count}


def encode_sentences(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int) -> list[Window]:
    """Tokenise plain text with the tokenizer's own template, one window per text, truncated to `max_length`.

    The text counts as the window's only word: `starts` and `ends` leave out special tokens. A text without tokens
    becomes the unknown token.

    Raises:
        UserError: `max_length` is too small for one sub-word or larger than the model takes, or a text has no tokens
            and the tokenizer has no unknown token.
    """
    room_for_text(tokenizer, max_length, tokenizer.num_special_tokens_to_add(pair=False))
    options: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_special_tokens_mask": True}
    encodings = run_tokenizer(tokenizer, texts, **options)
    windows = [_window(number, encoding) for number, encoding in enumerate(encodings)]
    empty = [window.sentence for window in windows if window.starts == window.ends]
    if empty:
        if tokenizer.unk_token is None:
            raise UserError(
                "the tokenizer gives no token for some texts and has no unknown token; use another checkpoint"
            )
        unknown = tokenizer([tokenizer.unk_token], **options).encodings[0]
        for number in empty:
            windows[number] = _window(number, unknown, without_token=1)
    return windows


def _window(number: int, encoding: Any, without_token: int = 0) -> Window:
    text = [position for position, special in enumerate(encoding.special_tokens_mask) if not special]
    return Window(
        sentence=number,
        first_word=0,
        input_ids=list(encoding.ids),
        starts=[text[0] if text else 0],
        ends=[text[-1] + 1 if text else 0],
        without_token=without_token,
        shortened=int(bool(encoding.overflowing)),
    )

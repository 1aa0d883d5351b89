"""Encode sentences and their translations, each as one window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.tokenizer import room_for_text, run_tokenizer
from xrealign_bench.models.windows import Window, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.tasks.retrieval.data import TranslationData

_PAIRS = pa.schema({"example": pa.int32()})


def encode(
    task: Task, data: TranslationData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`pairs` with their rows in the data; `sources` and `targets`, a window a sentence; and how many sentences the
    model does not read whole."""
    sides = [encode_sentences(tokenizer, texts, max_length) for texts in (data.text, data.text_pair)]
    counts = {
        "without_token": sum(window.without_token for side in sides for window in side),
        "truncated": sum(window.shortened for side in sides for window in side),
    }
    pairs = pa.table({"example": data.rows}, schema=_PAIRS)
    sources, targets = (windows_table(side) for side in sides)
    return {"pairs": pairs, "sources": sources, "targets": targets}, {
        name: count for name, count in counts.items() if count
    }


def encode_sentences(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int) -> list[Window]:
    """Tokenise plain text as the tokenizer does by itself, one window a text, cut off at `max_length`.

    The text counts as the window's one word: `starts` and `ends` leave out the special tokens. A text that the
    tokenizer drops altogether is read as the unknown token.

    Raises:
        UserError: `max_length` is too small for one sub-word or larger than the model takes, or a text without tokens
            and no unknown token.
    """
    room_for_text(tokenizer, max_length, tokenizer.num_special_tokens_to_add(pair=False))
    settings: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_special_tokens_mask": True}
    windows = []
    for number, encoding in enumerate(run_tokenizer(tokenizer, list(texts), **settings)):
        windows.append(_window(number, encoding))
    empty = [window.sentence for window in windows if window.starts == window.ends]
    if empty:
        if tokenizer.unk_token is None:
            raise UserError(
                "the tokenizer gives no token for some texts and has no unknown token; use another checkpoint"
            )
        unknown = tokenizer([tokenizer.unk_token] * len(empty), **settings).encodings
        for number, encoding in zip(empty, unknown, strict=True):
            windows[number] = _window(number, encoding, without_token=1)
    return windows


def _window(number: int, encoding: Any, without_token: int = 0) -> Window:
    text = [position for position, special in enumerate(encoding.special_tokens_mask) if not special]
    start, end = (text[0], text[-1] + 1) if text else (0, 0)
    cut = int(bool(encoding.overflowing))
    return Window(number, 0, list(encoding.ids), [start], [end], without_token, cut)

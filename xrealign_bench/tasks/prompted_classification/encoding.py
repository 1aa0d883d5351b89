"""Encode the prompts of a text, one for each label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.likelihoods import Tokens, encode_for_likelihood

_CANDIDATES = pa.schema(
    {
        "example": pa.int32(),
        "label": pa.int16(),
        "gold": pa.int16(),
        "input_ids": pa.list_(pa.int32()),
        "start": pa.int32(),
    }
)


def encode(
    task: Task, data: TextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """`candidates`: of every text one row a label: row in the data, label, the right label, tokens, and where those
    begin that differ between its labels.

    Where a prompt is too long, the end of its longest text is left out, as much as it takes (counted: `truncated`).

    Raises:
        UserError: `max_length` has no room for the prompt itself, or labels are the same to the tokenizer.
    """
    columns = [data.text] if data.text_pair is None else [data.text, data.text_pair]
    texts = [list(sides) for sides in zip(*columns, strict=True)]
    whole = _encode(task, texts, tokenizer)
    longest = [max(len(tokens.input_ids) for tokens in candidates) for candidates in whole]
    long = [number for number, length in enumerate(longest) if length > max_length]
    for number in long:
        whole[number] = _shortened(task, texts[number], tokenizer, max_length)
    rows: dict[str, list[Any]] = {name: [] for name in _CANDIDATES.names}
    for row, gold, candidates in zip(data.rows, data.labels, whole, strict=True):
        start = _shared(candidates)
        if any(len(tokens.input_ids) <= start for tokens in candidates):
            raise UserError(
                f"task '{task.name}': what the tokenizer makes of one verbaliser is the beginning of another, or the "
                "same; put a sign behind {label} in the prompt or name other verbalisers"
            )
        for label, tokens in enumerate(candidates):
            for name, value in zip(_CANDIDATES.names, (row, label, gold, tokens.input_ids, start), strict=True):
                rows[name].append(value)
    unknown = sum(any(tokens.unknown for tokens in candidates) for candidates in whole)
    counts = {"truncated": len(long), "unknown": unknown}
    return {"candidates": pa.table(rows, schema=_CANDIDATES)}, {name: count for name, count in counts.items() if count}


def _encode(task: Task, texts: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[list[Tokens]]:
    """Of every example, single text or pair, its prompt with each label."""
    prompts = [_fill(task, sides, label) for sides in texts for label in task.labels]
    tokens = encode_for_likelihood(tokenizer, prompts)
    step = len(task.labels)
    return [tokens[begin : begin + step] for begin in range(0, len(tokens), step)]


def _fill(task: Task, sides: Sequence[str], label: str) -> str:
    given = dict(zip(("text", "text_pair"), sides, strict=False))
    return task.prompt.format(**given, label=task.verbalisers[label])


def _shortened(task: Task, sides: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Tokens]:
    """The prompts of one example with so much of its texts that they fit: the longest loses its last tokens, at most
    half of them at once."""
    sides = list(sides)
    while True:
        candidates = _encode(task, [sides], tokenizer)[0]
        excess = max(len(tokens.input_ids) for tokens in candidates) - max_length
        if excess <= 0:
            return candidates
        offsets = [tokenizer(side, add_special_tokens=False).encodings[0].offsets for side in sides]
        side = max(range(len(sides)), key=lambda number: len(offsets[number]))
        kept = max(len(offsets[side]) - excess, len(offsets[side]) // 2)  # the other may be the longest then
        if kept < 1:
            raise UserError(
                f"task '{task.name}': its prompt has no room for a text in windows of {max_length} sub-words; "
                "give the suite a larger finetuning.max_length or the task a shorter prompt"
            )
        # Several tokens may be of one character, so that the last one kept ends where the text does.
        sides[side] = sides[side][: min(offsets[side][kept - 1][1], len(sides[side]) - 1)]


def _shared(candidates: Sequence[Tokens]) -> int:
    """How many tokens all of them begin with."""
    columns = zip(*(tokens.input_ids for tokens in candidates), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))

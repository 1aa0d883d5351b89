"""Encode the prompts of a text, one for each label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.models.windows import INTS
from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.likelihoods import Tokens, encode_for_likelihood

_CANDIDATES = pa.schema(
    {"example": pa.int32(), "label": pa.int16(), "gold": pa.int16(), "input_ids": INTS, "start": pa.int32()}
)


def encode(
    task: Task, data: TextData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `candidates`, one row per text and label: row in the data, label, gold label, tokens, and the position of
    the first token that differs between the labels.

    If a prompt is too long, the longest of its texts loses as many of its last tokens as necessary (counted as
    `truncated`).

    Raises:
        UserError: `max_length` has no room for the prompt itself, or the tokenizer does not distinguish the labels.
    """
    sides = [data.text] if data.text_pair is None else [data.text, data.text_pair]
    texts = [list(example) for example in zip(*sides, strict=True)]
    prompts = _encode_prompts(task, texts, tokenizer)
    long = [number for number, candidates in enumerate(prompts) if _longest(candidates) > max_length]
    for number in long:
        prompts[number] = _truncate(task, texts[number], tokenizer, max_length)
    rows: list[dict[str, Any]] = []
    for row, gold, candidates in zip(data.rows, data.labels, prompts, strict=True):
        start = _shared(candidates)
        if any(len(tokens.input_ids) <= start for tokens in candidates):
            raise UserError(
                f"task '{task.name}': what the tokenizer makes of one verbaliser is the beginning of another, or the "
                "same; put a sign behind {label} in the prompt or name other verbalisers"
            )
        for label, tokens in enumerate(candidates):
            example = {"example": row, "label": label, "gold": gold}
            rows.append({**example, "input_ids": tokens.input_ids, "start": start})
    unknown = sum(any(tokens.unknown for tokens in candidates) for candidates in prompts)
    counts = {"truncated": len(long), "unknown": unknown}
    table = pa.Table.from_pylist(rows, schema=_CANDIDATES)
    return {"candidates": table}, {name: count for name, count in counts.items() if count}


def _encode_prompts(
    task: Task, texts: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast
) -> list[list[Tokens]]:
    """Return the prompts of each example (a text or a pair), one for each label."""
    prompts = [_fill(task, sides, label) for sides in texts for label in task.labels]
    tokens = encode_for_likelihood(tokenizer, prompts)
    labels = len(task.labels)
    return [tokens[begin : begin + labels] for begin in range(0, len(tokens), labels)]


def _fill(task: Task, sides: Sequence[str], label: str) -> str:
    given = dict(zip(("text", "text_pair"), sides, strict=False))
    return task.prompt.format(**given, label=task.verbalisers[label])


def _longest(candidates: Sequence[Tokens]) -> int:
    return max(len(tokens.input_ids) for tokens in candidates)


def _truncate(task: Task, sides: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Tokens]:
    """Return the prompts of one example whose texts are truncated until they fit.

    Each round removes the last tokens of the longest text, at most half of it: the other may be the longest then.
    """
    texts = list(sides)
    while True:
        candidates = _encode_prompts(task, [texts], tokenizer)[0]
        excess = _longest(candidates) - max_length
        if excess <= 0:
            return candidates
        offsets = [tokenizer(text, add_special_tokens=False).encodings[0].offsets for text in texts]
        side = max(range(len(texts)), key=lambda number: len(offsets[number]))
        kept = max(len(offsets[side]) - excess, len(offsets[side]) // 2)
        if kept < 1:
            raise UserError(
                f"task '{task.name}': its prompt has no room for a text in windows of {max_length} sub-words; "
                "give the suite a larger finetuning.max_length or the task a shorter prompt"
            )
        # Several tokens may stand for one character: then the last one kept ends where the text does.
        texts[side] = texts[side][: min(offsets[side][kept - 1][1], len(texts[side]) - 1)]


def _shared(candidates: Sequence[Tokens]) -> int:
    """Return how many tokens all candidates begin with."""
    columns = zip(*(tokens.input_ids for tokens in candidates), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))

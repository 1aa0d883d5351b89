"""Encode the prompts of a sentence pair, one for each direction."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.models.windows import INTS
from xrealign_bench.specs import Task
from xrealign_bench.tasks.likelihoods import encode_for_likelihood
from xrealign_bench.tasks.sentence_pairs import TranslationData

_PAIRS = pa.schema(
    {"example": pa.int32(), "target": pa.string(), "source_text": pa.string(), "target_text": pa.string()}
)
_PROMPTS = pa.schema({"input_ids": INTS})


def encode(
    task: Task, data: TranslationData, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """Return `pairs` (row in the data, language and both texts), and `forward` and `backward`, the prompts for
    translating into the language and out of it.

    Sentences are never truncated: `max_length` is not used. The counts are of pairs with a part that is read as the
    unknown token (`unknown`).

    Raises:
        UserError: a prompt and `task.max_new_tokens` together are longer than the model's input.
    """
    source, target = str(task.text_language), data.language
    directions = {"forward": (source, target, data.text), "backward": (target, source, data.text_pair)}
    read = {
        name: encode_for_likelihood(tokenizer, fill_prompt(task, side, other, texts))
        for name, (side, other, texts) in directions.items()
    }
    rows = {name: [tokens.input_ids for tokens in prompts] for name, prompts in read.items()}
    for prompts in rows.values():
        _check_room(task, data, prompts, tokenizer.model_max_length)
    unknown = sum(one.unknown or other.unknown for one, other in zip(*read.values(), strict=True))
    pairs = {
        "example": data.rows,
        "target": [target] * len(data),
        "source_text": data.text,
        "target_text": data.text_pair,
    }
    tables = {name: pa.table({"input_ids": ids}, schema=_PROMPTS) for name, ids in rows.items()}
    return {"pairs": pa.table(pairs, schema=_PAIRS), **tables}, {"unknown": unknown} if unknown else {}


def fill_prompt(task: Task, source: str, target: str, texts: Sequence[str]) -> list[str]:
    """Return the prompts for translating texts, with the languages' English names.

    A sentence is one line: its line breaks and repeated spaces become single spaces.

    Args:
        task: has the prompt.
        source: code of the language to translate from.
        target: code of the language to translate into.
        texts: the sentences.
    """
    names = {"source": find(source).name, "target": find(target).name}
    return [task.prompt.format(**names, text=" ".join(text.split())) for text in texts]


def _check_room(task: Task, data: TranslationData, prompts: Sequence[Sequence[int]], longest: int) -> None:
    for row, ids in zip(data.rows, prompts, strict=True):
        if len(ids) + task.max_new_tokens > longest:
            raise UserError(
                f"{data.located}: row {row}: its prompt has {len(ids):,} tokens, and with max_new_tokens "
                f"{task.max_new_tokens:,} of the task '{task.name}' that is more than the {longest:,} that the model "
                "takes; give a smaller max_new_tokens or use another checkpoint"
            )

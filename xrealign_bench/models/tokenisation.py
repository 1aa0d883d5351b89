"""Run a tokenizer without padding, and only on tokens for which the model has an embedding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError

LINE_BREAK = "\n"
"""Separator of two texts if the tokenizer's template for pairs has none."""
TEXTS_PER_BATCH = 1024
"""Texts tokenised at once: their encodings take far more memory than their token ids."""
_NO_EMBEDDING = "tokens_without_embedding"
"""Attribute of a tokenizer: the tokens, by id, for which the model has no embedding."""


def limit_vocabulary(tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    """Make `run_tokenizer` refuse token ids beyond the model's embedding table. Modifies the tokenizer in place.

    Special tokens beyond the table, such as Gemma 3's image token, occur only in texts that spell them out.

    Args:
        tokenizer: the tokenizer.
        size: number of embeddings.

    Raises:
        UserError: ordinary text, or the template that the tokenizer adds, may contain a token beyond the table.
    """
    spelt = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    spelt -= {*tokenizer("a", "a")["input_ids"], tokenizer.unk_token_id}
    lacking = {number: token for token, number in tokenizer.get_vocab().items() if number >= size}
    if given := sorted(lacking.keys() - spelt):
        raise UserError(
            f"its tokenizer gives tokens up to number {given[-1]} ({lacking[given[-1]]!r}), but the model has only "
            f"{size} embeddings; use the tokenizer that the model was trained with"
        )
    setattr(tokenizer, _NO_EMBEDDING, lacking)


def has_embedding(tokenizer: PreTrainedTokenizerFast, number: int) -> bool:
    """Return whether the model has an embedding for the token with this id."""
    return number not in getattr(tokenizer, _NO_EMBEDDING, {})


def run_tokenizer(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[Any], pairs: Sequence[Any] | None = None, **options: Any
) -> Iterator[Encoding]:
    """Tokenise texts without padding, a batch at a time. All token ids of data sets come from here.

    Args:
        tokenizer: from `load_tokenizer`.
        texts: strings, or lists of words.
        pairs: the second text of each pair, or None.
        options: further arguments of transformers' tokenizers.

    Yields:
        One encoding per text.

    Raises:
        UserError: a text spells out a token for which the model has no embedding.
    """
    lacking: Mapping[int, str] = getattr(tokenizer, _NO_EMBEDDING, {})
    for begin in range(0, len(texts), TEXTS_PER_BATCH):
        batch = list(texts[begin : begin + TEXTS_PER_BATCH])
        second = None if pairs is None else list(pairs[begin : begin + TEXTS_PER_BATCH])
        encodings: list[Encoding] = tokenizer(batch, second, padding=False, verbose=False, **options).encodings or []
        for number, encoding in enumerate(encodings):
            if lacking and (found := sorted(lacking.keys() & set(encoding.ids))):
                _refuse(lacking[found[0]], [batch[number], *([] if second is None else [second[number]])])
            yield encoding


def _refuse(token: str, parts: Sequence[Any]) -> NoReturn:
    words = " ".join(part if isinstance(part, str) else " ".join(part) for part in parts).split()
    text = " ".join(words)[:80]
    raise UserError(
        f"the text '{text}' holds {token!r}, a token for which the model has no embedding; take it out of the text"
    )


def room_for_text(tokenizer: PreTrainedTokenizerFast, max_length: int, special: int) -> int:
    """Return how many sub-words fit into a window beside its special tokens.

    Raises:
        UserError: none fit, or `max_length` is more than the model takes.
    """
    if max_length <= special:
        raise UserError(f"max_length {max_length} leaves no room beside the tokenizer's special tokens; give more")
    if max_length > tokenizer.model_max_length:
        raise UserError(f"max_length {max_length} is more than the {tokenizer.model_max_length} that the model takes")
    return max_length - special

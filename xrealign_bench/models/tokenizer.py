"""Run a tokenizer without padding, and only on tokens for which the model has an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from xrealign_bench.errors import UserError

LINE_BREAK = "\n"
"""Between two texts where the tokenizer's own rule for pairs puts nothing."""


_NO_EMBEDDING = "tokens_without_embedding"
"""Where a tokenizer keeps the tokens, by id, that its model lacks."""


def limit_vocabulary(tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    """Let a tokenizer give no id that the model's table of embeddings lacks.

    Special tokens beyond the table, such as Gemma 3's for an image, are no token of a text that does not spell them
    out; `run_tokenizer` refuses one that does.

    Args:
        tokenizer: is changed in place.
        size: number of embeddings.

    Raises:
        UserError: ordinary text, or what the tokenizer puts around it, may be a token beyond the table.
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
) -> list[Encoding]:
    """Tokenise texts without padding. Every id of a data set's text is made here.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        texts: strings, or lists of words.
        pairs: as many second texts, or None.
        options: as transformers' tokenizers take them.

    Raises:
        UserError: a text spells out a token for which the model has no embedding.
    """
    encodings: list[Encoding] = tokenizer(texts, pairs, padding=False, verbose=False, **options).encodings or []
    lacking: Mapping[int, str] = getattr(tokenizer, _NO_EMBEDDING, {})
    for number, encoding in enumerate(encodings if lacking else []):
        if found := sorted(lacking.keys() & set(encoding.ids)):
            parts = [texts[number], *([] if pairs is None else [pairs[number]])]
            words = " ".join(part if isinstance(part, str) else " ".join(part) for part in parts).split()
            text = " ".join(words)[:80]
            raise UserError(
                f"the text '{text}' holds {lacking[found[0]]!r}, a token for which the model has no embedding; take it "
                "out of the text"
            )
    return encodings


def room_for_text(tokenizer: PreTrainedTokenizerFast, max_length: int, special: int) -> int:
    """Sub-words that fit between so many special ones.

    Raises:
        UserError: none do, or `max_length` is more than the model takes.
    """
    if max_length <= special:
        raise UserError(f"max_length {max_length} leaves no room beside the tokenizer's special tokens; give more")
    if max_length > tokenizer.model_max_length:
        raise UserError(f"max_length {max_length} is more than the {tokenizer.model_max_length} that the model takes")
    return max_length - special

"""Load a checkpoint's tokenizer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerFast

from xrealign_bench.errors import UserError, first_line, shorten
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.config import load_config, quiet_transformers
from xrealign_bench.models.tokenisation import limit_vocabulary

_PROBES = (
    "Das HAUS", "Zürich", "2003", "650841823", "3.5 %", "don't", "two words", "ｆｕｌｌ", "понедельник", "مارس", "मार्च",
    "東京",
)  # fmt: skip
"""Texts that tokenizers split differently if their rules for case, accents, numbers, spaces or scripts differ."""
_BERT_RULES = {"do_lower_case", "strip_accents", "tokenize_chinese_chars"}
"""Options of BERT's text normaliser that `tokenizer_config.json` may set."""


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """Load the checkpoint's tokenizer. Its `model_max_length` never exceeds the model's number of positions.

    If it has no padding token that the model knows, as most decoders, it pads with the end-of-text token: padding is
    masked everywhere.

    Raises:
        UserError: it can't be read, is not a fast one, has neither of these tokens, or gives text tokens for which the
            model has no embedding.
    """
    config = load_config(checkpoint)
    tokenizer = _read(checkpoint, config)
    size = getattr(config.get_text_config(), "vocab_size", None)
    if not isinstance(size, int):
        raise UserError(f"checkpoint {checkpoint.id}: its config.json names no vocab_size; write it there")
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= size:
        if tokenizer.eos_token is None or tokenizer.eos_token_id >= size:
            raise UserError(
                f"checkpoint {checkpoint.id}: its tokenizer has no padding token and none that ends a text; name one "
                "in tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    numbers = set(tokenizer.get_vocab().values())
    if numbers <= set(tokenizer.all_special_ids):  # transformers makes such a one of another class's files
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokenizer has no vocabulary; add the tokenizer.json that goes with it"
        )
    tokenizer.truncation_side = "right"  # always, so that checkpoints are compared on the same text
    try:
        limit_vocabulary(tokenizer, size)
    except UserError as error:
        raise UserError(f"checkpoint {checkpoint.id}: {error}") from None
    positions = getattr(config, "max_position_embeddings", None) or -1  # XLNet says -1: it has no table of them
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions if positions > 0 else 2**31)
    return tokenizer


def _read(checkpoint: Checkpoint, config: PreTrainedConfig) -> PreTrainedTokenizerFast:
    try:
        with quiet_transformers(), _panics_as_errors():
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.tokenizer or checkpoint.folder,
                local_files_only=True,
                trust_remote_code=checkpoint.trust_remote_code,
                **({} if checkpoint.tokenizer is None else {"config": config}),  # an adapter's folder has none
            )
            tokenizer = _with_rules_of_file(checkpoint.folder, tokenizer)
            _check_length(tokenizer)
            if isinstance(tokenizer, PreTrainedTokenizerFast):
                tokenizer("a", "a"), tokenizer.all_special_ids  # some damage shows only in use
    except Exception as error:  # the tokenizers library raises nothing more specific for a damaged file
        raise UserError(f"checkpoint {checkpoint.id}: its tokenizer can't be loaded: {first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokenizer ({type(tokenizer).__name__}) is not a fast one, which is "
            "needed to know the sub-words of each word; add a tokenizer.json (models that read bytes or characters "
            "have none and are not supported)"
        )
    return tokenizer


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Re-raise a panic of the tokenizers library, which is no `Exception`, as a ValueError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(str(error)) from error


def _check_length(tokenizer: Any) -> None:
    length = tokenizer.model_max_length
    if isinstance(length, bool) or not isinstance(length, int | float) or math.isnan(length) or length < 1:
        raise ValueError(f"its model_max_length is {shorten(length)} and no number of tokens")


def _with_rules_of_file(folder: Path, tokenizer: Any) -> Any:
    """Return the tokenizer, or one that follows `tokenizer.json` if the tokenizer splits text differently from it.

    For many classes transformers takes only the vocabulary from that file, and rules for case, spaces and numbers from
    the class. A rule that `tokenizer_config.json` sets itself takes precedence, as in transformers.
    """
    path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    rebuilt = isinstance(tokenizer, PreTrainedTokenizerFast) and type(tokenizer).__module__.startswith("transformers.")
    if not (rebuilt and path.is_file()):
        return tokenizer
    written = Tokenizer.from_file(str(path))
    named = set(json.loads(settings.read_text(encoding="utf-8"))) if settings.is_file() else set()
    if "fix_mistral_regex" in named or (isinstance(written.normalizer, BertNormalizer) and named & _BERT_RULES):
        return tokenizer
    for backend in (written, tokenizer.backend_tokenizer):
        backend.no_truncation()
        backend.no_padding()
    if _tokenise_probes(written) == _tokenise_probes(tokenizer.backend_tokenizer):
        return tokenizer
    special = {
        name: token
        for name, token in tokenizer.special_tokens_map.items()
        if written.token_to_id(str(token)) is not None
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=written,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **special,
    )


def _tokenise_probes(tokenizer: Tokenizer) -> list[list[int]]:
    """Tokenise the probes after another word, since tokenizers treat the beginning of a text differently."""
    first = tokenizer.encode("a", add_special_tokens=False).ids
    return [tokenizer.encode(f"a {text}", add_special_tokens=False).ids[len(first) :] for text in _PROBES]

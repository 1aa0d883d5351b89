"""Which languages known checkpoints have seen in pre-training."""

from __future__ import annotations

from collections.abc import Mapping

from xrealign_bench.languages.inventory import Language

PRETRAINED_ON: Mapping[str, str] = {
    "google-bert/bert-base-multilingual-cased": "mbert",
    "bert-base-multilingual-cased": "mbert",
    "distilbert/distilbert-base-multilingual-cased": "mbert",
    "distilbert-base-multilingual-cased": "mbert",
    "FacebookAI/xlm-roberta-base": "xlmr",
    "xlm-roberta-base": "xlmr",
    "FacebookAI/xlm-roberta-large": "xlmr",
    "xlm-roberta-large": "xlmr",
}
"""Checkpoint id -> its pre-training data, as `Language.seen_by` names them."""


def seen_in_pretraining(language: Language, checkpoint: str) -> bool | None:
    """Was the language in the checkpoint's pre-training data? None where they are not known."""
    data = PRETRAINED_ON.get(checkpoint)
    return None if data is None else data in language.seen_by

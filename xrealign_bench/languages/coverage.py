"""Pre-training languages of known checkpoints."""

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
"""Checkpoint id -> name of its pre-training data in `Language.seen_by`."""


def seen_in_pretraining(language: Language, checkpoint: str) -> bool | None:
    """Return whether the checkpoint was pre-trained on the language; None if its pre-training data are unknown."""
    data = PRETRAINED_ON.get(checkpoint)
    return None if data is None else data in language.seen_by

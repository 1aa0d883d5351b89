"""What differs between families of models. All else is found by how a model is built and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Family = Literal["encoder", "decoder", "encoder_decoder"]
TextPooling = Literal["first_token", "last_token", "mean"]

TEXT_POOLING: Mapping[Family, TextPooling] = {
    "encoder": "first_token",
    "decoder": "last_token",
    "encoder_decoder": "mean",
}
"""What stands for a whole text: the token that the tokenizer puts in front ([CLS], <s>) where every token sees all
others; the last one where only that does; all of them in the encoders of encoder-decoders, which have no such token
or one for the language. All are padded on the right, which changes nothing in any of them."""


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Which family a model with this `config.json` is of; None: it is no text model that transformers knows.

    Transformers has no list of encoders; those that it can train with masked words are the nearest to one. It is read
    from the type, since an encoder taken out of an encoder-decoder says of itself that it is none.
    """
    from transformers.models.auto import modeling_auto as auto

    kind = config["model_type"]
    if any(f"{sense}_config" in config for sense in ("vision", "audio", "speech")):
        return None
    if kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "encoder_decoder"
    masked = kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (config.get("is_decoder") or not masked):
        return "decoder"
    return "encoder" if masked else None

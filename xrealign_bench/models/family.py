"""Model families. Everything else about a model is found from its structure and by running it."""

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
"""How the hidden states of a text become one vector. Encoders: the first token ([CLS], <s>), since every token attends
to all others. Decoders: the last token, the only one that attends to all others. Encoder-decoders: the mean, since
their encoders have no such token, or one for the language. Padding is on the right, which changes none of these."""


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Return the model family for this `config.json`, or None if transformers knows no text model of that type.

    Transformers has no list of encoders; the models that it can train as masked language models come closest. The
    model type decides, because an encoder taken out of an encoder-decoder claims not to be an encoder-decoder.
    """
    from transformers.models.auto import modeling_auto as auto

    model_type = config["model_type"]
    if any(f"{sense}_config" in config for sense in ("vision", "audio", "speech")):
        return None
    if model_type in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "encoder_decoder"
    masked = model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (config.get("is_decoder") or not masked):
        return "decoder"
    return "encoder" if masked else None

"""Task classes of transformers, such as `BertForSequenceClassification`, with an encoder that is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_MAPPING,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.config import load_base_config, load_config, quiet_transformers
from xrealign_bench.models.pretrained import load_pretrained, loading_errors
from xrealign_bench.specs import TaskType

_AUTO_CLASSES: Mapping[TaskType, Any] = {
    "token_classification": AutoModelForTokenClassification,
    "sequence_classification": AutoModelForSequenceClassification,
    "question_answering": AutoModelForQuestionAnswering,
}


def load_task_class(
    checkpoint: Checkpoint, encoder: nn.Module, task_type: TaskType, outputs: int, *, random: bool, pad_id: int
) -> Any:
    """Load transformers' class for a task, and put an encoder in place of its own.

    The head starts from the checkpoint's weights as far as the checkpoint has them under the names of that class, such
    as BERT's pooler; other weights are initialised by the class, from torch's generator: call `seed_everything` first.
    The encoder's weights stay as they are. It gets the pooler if the class reads one.

    Args:
        checkpoint: as `resolve_checkpoint` returns it.
        encoder: the checkpoint's encoder, from `load_encoder`, realigned or not.
        task_type: a task type with fine-tuning.
        outputs: outputs of the last layer.
        random: initialise the whole head, whatever the checkpoint has.
        pad_id: the tokenizer's padding token. Decoders classify a text by the last token before the padding.

    Raises:
        UserError: transformers has no such class for the checkpoint, or the class has another kind of encoder.
    """
    models = _AUTO_CLASSES[task_type]
    with quiet_transformers():
        if random:
            config = _with_outputs(load_config(checkpoint), outputs)
            with loading_errors(checkpoint):
                code = checkpoint.trust_remote_code
                whole = models.from_config(config, dtype=torch.float32, trust_remote_code=code)
        else:
            config = _with_outputs(load_base_config(checkpoint), outputs)
            whole, _ = load_pretrained(models, checkpoint, config, ignore_mismatched_sizes=True)
    if type(whole.base_model) is not type(encoder):
        raise UserError(
            f"checkpoint {checkpoint.id}: a {type(whole).__name__} is built on a {type(whole.base_model).__name__}, "
            f"and the encoder is a {type(encoder).__name__}; use a suite with 'head: linear'"
        )
    for name, child in whole.base_model.named_children():
        if getattr(encoder, name, None) is None:  # a pooler, which `load_encoder` leaves out
            setattr(encoder, name, child)
    setattr(whole, whole.base_model_prefix, encoder)
    whole.config.pad_token_id = pad_id
    return whole


def has_task_class(checkpoint: Checkpoint, task_type: TaskType) -> bool:
    """Return whether transformers has a class for this task type around the checkpoint's encoder.

    False for encoder-decoders: the heads of most read the decoder, which is not loaded here.
    """
    config = load_base_config(checkpoint)
    if checkpoint.family == "encoder_decoder":
        return False
    code = checkpoint.trust_remote_code
    with quiet_transformers(), torch.device("meta"):
        try:
            whole = _AUTO_CLASSES[task_type].from_config(config, trust_remote_code=code)
        except ValueError:  # the model type has no such class
            return False
    known: Any = MODEL_MAPPING.get(type(config), None)
    return whole.base_model is not whole and (known is None or type(whole.base_model) is known)


def _with_outputs(config: Any, outputs: int) -> Any:
    config.num_labels = outputs
    return config

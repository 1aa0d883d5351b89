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

from xrealign_bench.errors import UserError, shorten_list
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.config import load_base_config, load_config, quiet_transformers
from xrealign_bench.models.encoder import build_encoder
from xrealign_bench.models.pretrained import load_pretrained, loading_errors
from xrealign_bench.specs import TaskType

AUTO_CLASSES: Mapping[TaskType, Any] = {
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
    models = AUTO_CLASSES[task_type]
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
            whole = AUTO_CLASSES[task_type].from_config(config, trust_remote_code=code)
        except ValueError:  # the model type has no such class
            return False
    known: Any = MODEL_MAPPING.get(type(config), None)
    return whole.base_model is not whole and (known is None or type(whole.base_model) is known)


def check_linear_head(checkpoint: Checkpoint, task_type: TaskType, outputs: int) -> None:
    """Refuse a task type for which transformers' class has more or less than one linear layer on the encoder.

    Nothing is loaded.

    Raises:
        UserError: there is no such class, or its head is another one.
    """
    with quiet_transformers(), torch.device("meta"):
        whole = _new_task_class(checkpoint, task_type, outputs)
        _find_linear_layer(whole, build_encoder(checkpoint), outputs)


def to_task_class(
    checkpoint: Checkpoint, encoder: nn.Module, classifier: nn.Linear, task_type: TaskType, pad_id: int
) -> Any:
    """Return transformers' class for a task with copies of an encoder's weights and of the linear layer on it.

    Args:
        checkpoint: the checkpoint that the encoder is from.
        encoder: from `load_encoder`, fine-tuned.
        classifier: the layer on the encoder's hidden states.
        task_type: a task type with fine-tuning.
        pad_id: the tokenizer's padding token.

    Raises:
        UserError: as `check_linear_head`.
    """
    with quiet_transformers():
        whole = _new_task_class(checkpoint, task_type, classifier.out_features)
        inner, layer = _find_linear_layer(whole, encoder, classifier.out_features)
        inner.load_state_dict(encoder.state_dict())
        layer.load_state_dict(classifier.state_dict())
    whole.config.pad_token_id = pad_id
    return whole.eval()


def _new_task_class(checkpoint: Checkpoint, task_type: TaskType, outputs: int) -> Any:
    """Return transformers' class with random weights.

    Raises:
        UserError: transformers has no such class for the model type.
    """
    config = _with_outputs(load_config(checkpoint), outputs)
    code = checkpoint.trust_remote_code
    try:
        return AUTO_CLASSES[task_type].from_config(config, dtype=torch.float32, trust_remote_code=code)
    except ValueError:
        raise UserError(f"the model type {checkpoint.model_type} has no class for it") from None


def _find_linear_layer(whole: Any, encoder: nn.Module, outputs: int) -> tuple[nn.Module, nn.Linear]:
    """Return the encoder inside a class, and the linear layer that is all the rest of the class.

    Raises:
        UserError: the class has no such encoder, or its head is another one.
    """
    inner = next((module for module in whole.modules() if type(module) is type(encoder)), None)
    if inner is None:
        raise UserError(f"a {type(whole).__name__} has no {type(encoder).__name__} inside")
    known = encoder.state_dict().keys()
    shared = {id(parameter) for name, parameter in inner.named_parameters(remove_duplicate=False) if name in known}
    others = [name for name, parameter in whole.named_parameters() if id(parameter) not in shared]
    layer = whole.get_submodule(others[0].rpartition(".")[0]) if others else None
    names = {name.rpartition(".")[2] for name in others if whole.get_submodule(name.rpartition(".")[0]) is layer}
    if (
        not isinstance(layer, nn.Linear)
        or len(others) != 2
        or names != {"weight", "bias"}
        or layer.out_features != outputs
    ):
        parts = dict.fromkeys(".".join(name.split(".")[:-1][:3]) for name in others)
        bias = " without bias" if len(others) == 1 else ""
        raise UserError(f"the head of a {type(whole).__name__} is {shorten_list(list(parts))}{bias}")
    return inner, layer


def _with_outputs(config: Any, outputs: int) -> Any:
    config.num_labels = outputs
    return config

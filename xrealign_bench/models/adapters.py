"""PEFT adapters: add one to an encoder, save it, and load it again."""

from __future__ import annotations

import inspect
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedConfig

from xrealign_bench.errors import UserError, first_line, shorten_list
from xrealign_bench.models.checkpoint_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from xrealign_bench.models.finite_checks import check_finite_files, check_finite_training
from xrealign_bench.models.tied_weights import TiedNames, find_tied_parameters, set_parameter
from xrealign_bench.specs import Adapter

_AUTO_CLASSES = {
    "CAUSAL_LM": transformers.AutoModelForCausalLM,
    "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM,
    "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    "TOKEN_CLS": transformers.AutoModelForTokenClassification,
    "QUESTION_ANS": transformers.AutoModelForQuestionAnswering,
    "FEATURE_EXTRACTION": transformers.AutoModel,
}
"""PEFT task type -> the class of base models for it."""
_NOT_MERGED = ("alora_invocation_tokens", "arrow_config", "layer_replication")
"""LoRA options that can't be merged into the weights."""
_PREFIX = "base_model.model."
"""Prefix that PEFT adds to the names of a model's tensors."""
_REFUSALS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ImportError)
"""Exceptions of PEFT for an adapter that does not fit a model (NotImplementedError is a RuntimeError)."""
_TOLERANCE = 1e-2
"""The largest change of hidden states by merging, relative to their maximum. Rounding changes them far less."""


def add_adapter(encoder: nn.Module, spec: Adapter) -> Any:
    """Add LoRA (Hu et al., ICLR 2022) to every linear layer of an encoder, in place. Its outputs do not change yet.

    The initial weights are drawn from torch's generator: call `seed_everything` first.

    Returns:
        PEFT's model around the encoder, for `adapter_parameters` and `save_adapter`.

    Raises:
        UserError: the encoder has no linear layer that PEFT supports, or already has an adapter.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in encoder.modules()):
        raise UserError(
            "adapter: the checkpoint is an adapter itself, which stays beside quantised weights and would be replaced; "
            "merge it into its base model first, or leave --quantise out"
        )
    config = LoraConfig(
        r=spec.r, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules="all-linear", bias="none"
    )
    try:
        return get_peft_model(encoder, config)
    except ValueError as error:
        raise UserError(f"adapter: PEFT puts no LoRA on a {type(encoder).__name__}: {error}") from None


def adapter_parameters(adapted: Any) -> set[int]:
    """Return the ids of the adapter's own parameters."""
    return {id(p) for name, p in adapted.named_parameters() if ".lora_" in name}


def save_adapter(adapted: Any, folder: Path, base: str) -> None:
    """Save the adapter alone, in PEFT's format, for `load_adapter`.

    Args:
        adapted: PEFT's model around the encoder.
        folder: created by this function.
        base: the name of the base checkpoint.

    Raises:
        TrainingError: a weight of the adapter is not finite.
    """
    check_finite_training({name: p for name, p in adapted.named_parameters() if ".lora_" in name})
    adapted.peft_config["default"].base_model_name_or_path = base
    # By default PEFT asks the Hub whether embeddings were trained.
    adapted.save_pretrained(str(folder), save_embedding_layers=False)


@dataclass(frozen=True)
class AdapterBase:
    """The model that an adapter was trained on."""

    models: Any
    """Its class in transformers, or the `Auto` class that loads it."""
    model_class: type[nn.Module]
    vocabulary: int | None
    """Rows of its embedding table, if the adapter's has another size than the checkpoint's; else None."""


def find_adapter_base(folder: Path, config: PreTrainedConfig, what: str, trust_remote_code: bool) -> AdapterBase:
    """Find the model class that an adapter was trained on, whose module names it uses.

    Candidates are the classes for its `task_type`, its `auto_mapping` and the checkpoint's `architectures`, and the
    model without a head. The first candidate with all modules of the adapter's tensors is chosen, or else the one with
    the most. Candidates are built without weights.

    Args:
        folder: has `adapter_config.json` and `adapter_model.safetensors`.
        config: the configuration of the base model.
        what: names the checkpoint in errors.
        trust_remote_code: allow Python code that comes with the base model.

    Raises:
        UserError: `adapter_config.json` can't be read, or new tokens have no embeddings.
    """
    adapter = _read_config(folder, what)
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no dictionary
    names = [name.removeprefix(_PREFIX) for name in shapes if name.startswith(_PREFIX)]
    best, most = None, -1
    for models, model in _candidates(adapter, config, trust_remote_code):
        inside = {name for name, _ in [*model.named_children(), *model.named_parameters(recurse=False)]}
        fitting = sum(name.split(".")[0] in inside for name in names)
        if fitting > most:
            best, most = (models, model), fitting
        if fitting == len(names):
            break
    assert best is not None  # the checkpoint's own class was built before
    models, model = best
    return AdapterBase(models, type(model), _vocabulary(model, shapes, what))


def _candidates(adapter: Any, config: PreTrainedConfig, trust_remote_code: bool) -> Iterator[tuple[Any, Any]]:
    """Yield the classes that the adapter may have been trained on, with a model of each without weights."""
    named = [(adapter.auto_mapping or {}).get("base_model_class"), *(config.architectures or [])]
    classes: list[Any] = [getattr(transformers, name, None) for name in named if isinstance(name, str)]
    models: Any
    for models in (_AUTO_CLASSES.get(adapter.task_type), *classes, transformers.AutoModel):
        with torch.device("meta"):
            if hasattr(models, "from_config"):
                try:
                    yield models, models.from_config(config, trust_remote_code=trust_remote_code)
                except ValueError:  # the family has no such class
                    continue
            elif isinstance(config, getattr(models, "config_class", None) or ()):
                yield models, models(config)


def _vocabulary(model: Any, shapes: Mapping[str, Sequence[int]], what: str) -> int | None:
    """Return the number of rows of the adapter's own embedding table if it differs from the model's, else None.

    Raises:
        UserError: it is larger, and the adapter lacks the new rows of the input or the output layer.
    """
    layers = {"input": model.get_input_embeddings(), "output": model.get_output_embeddings()}
    paths = {role: _path_of(model, layer) for role, layer in layers.items() if layer is not None}
    whole = {role: _rows(f"{_PREFIX}{path}.", shapes) for role, path in paths.items()}
    by_lora = shapes.get(f"{_PREFIX}{paths['input']}.lora_embedding_A", (0, None))[1]
    rows, before = whole["input"] or by_lora, layers["input"].num_embeddings
    if rows is None or rows == before:
        return None
    tied = "output" in layers and layers["output"] is not None and layers["output"].weight is layers["input"].weight
    needed = [role for role in paths if role == "input" or not tied]
    lacking = [paths[role] for role in needed if whole[role] != rows]
    if rows > before and lacking:
        raise UserError(
            f"{what}: its adapter was trained with {rows} embeddings instead of the base model's {before}, and "
            f"{ADAPTER_WEIGHTS} lacks those of {shorten_list(lacking)}; save it with save_embedding_layers=True"
        )
    return int(rows)


def _rows(layer: str, shapes: Mapping[str, Sequence[int]]) -> int | None:
    """Return the rows of a layer's weight if the adapter has that weight as a whole, else None."""
    whole = (s[0] for n, s in shapes.items() if n.startswith(layer) and n.endswith(".weight") and ".lora_" not in n)
    return next(whole, None)


def _path_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(str(name) for name, module in model.named_modules() if module is wanted)


def _read_config(folder: Path, what: str) -> Any:
    """Read PEFT's configuration of an adapter.

    Raises:
        UserError: PEFT can't read it, does not know one of its fields, or can't merge an adapter with these options.
    """
    from peft import PeftConfig

    path = folder / ADAPTER_CONFIG
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PEFT only warns about is refused below
        try:
            config = PeftConfig.from_pretrained(str(folder))
        except _REFUSALS as error:
            raise UserError(f"{what}: PEFT can't read {path}: {first_line(error)}") from None
    if config.is_prompt_learning:
        raise UserError(f"{what}: an adapter of type {config.peft_type} adds to the text and can't be merged")
    known = inspect.signature(type(config)).parameters
    written = json.loads(path.read_text(encoding="utf-8"))
    for name, value in written.items():
        if name not in known and name != "runtime_config" and value:
            raise UserError(
                f"{what}: {path} sets {name} to {str(value)[:80]}, which the installed PEFT does not know; update peft"
            )
        if name in _NOT_MERGED and value:
            raise UserError(f"{what}: {path} sets {name}, and such an adapter can't be merged; use another checkpoint")
    config.inference_mode = True
    config.base_model_name_or_path = None  # PEFT would ask the Hub for its vocabulary
    return config


def load_adapter(model: Any, folder: Path, what: str, encoder: Any = None) -> Any:
    """Load an adapter into a model of the class that it was trained on, in place.

    The adapter is merged into the weights, so that the model keeps its structure. With quantised weights it is not
    merged, because rounding would swallow it. Tied layers are untied before the merge, which would otherwise change
    both, and tied again if they are equal afterwards.

    Args:
        model: the model, with the adapter's vocabulary size.
        folder: has `adapter_config.json` and `adapter_model.safetensors`.
        what: names the checkpoint in errors.
        encoder: the part of the model that is used, or None for the whole model.

    Returns:
        The model.

    Raises:
        UserError: the adapter is for another base model, can't be merged, or has weights that are not finite.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils.save_and_load import load_peft_weights, set_peft_model_state_dict

    check_finite_files(what, [folder / ADAPTER_WEIGHTS])
    config = _read_config(folder, what)
    tied, is_read = find_tied_parameters(model), _names_read(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PEFT warns about is refused or fixed below
        renamed = getattr(model, "_checkpoint_conversion_mapping", None)
        given = load_peft_weights(str(folder), device="cpu", key_mapping=renamed)
        try:
            adapted = PeftModel(model, config)
            expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            # Embeddings may have been saved as a whole.
            own = adapted.state_dict() | get_peft_model_state_dict(adapted, save_embedding_layers=True)
            wrong = [n for n in sorted(expected.keys() | given) if is_read(n) and not _fits(n, own, given)]
            if not wrong:
                set_peft_model_state_dict(adapted, given, ignore_mismatched_sizes=True)
        except _REFUSALS as error:
            raise UserError(f"{what}: the adapter is for another base model: {first_line(error)}") from None
        if wrong:
            raise UserError(
                f"{what}: the adapter is for another base model: {shorten_list(wrong)} don't fit; use its own, or mend "
                f"target_modules, modules_to_save or bias in its {ADAPTER_CONFIG}"
            )
        if not getattr(model, "is_quantized", False):
            _merge(adapted, model, model if encoder is None else encoder, tied, what)
    return model


def _merge(adapted: Any, model: Any, encoder: Any, tied: Sequence[TiedNames], what: str) -> None:
    before = _hidden_states(encoder)
    _untie(adapted)
    try:
        adapted.merge_and_unload()
    except _REFUSALS as error:
        raise UserError(f"{what}: PEFT can't merge its adapter: {first_line(error)}") from None
    for first, *others in tied:
        source = model.get_parameter(first)
        for name in others:
            if torch.equal(model.get_parameter(name), source):
                set_parameter(model, name, source)
    model.requires_grad_(True)
    difference = (_hidden_states(encoder) - before).abs().max()
    if not difference <= _TOLERANCE * before.abs().max():
        raise UserError(
            f"{what}: PEFT's merge of its adapter changes what the model computes, by {difference:.3g} of "
            f"{before.abs().max():.3g}; merge it yourself and evaluate the whole model"
        )


def _untie(adapted: nn.Module) -> None:
    """Give every layer that the adapter changes its own copy of tied weights."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    uses = Counter(id(p) for module in adapted.modules() for p in module.parameters(recurse=False))
    for layer in [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]:
        base = layer.get_base_layer()
        for name, parameter in list(base.named_parameters(recurse=False)):
            if uses[id(parameter)] > 1:
                setattr(base, name, nn.Parameter(parameter.detach().clone()))


def _names_read(model: Any) -> Callable[[str], bool]:
    """Return a test for names of an adapter's tensors that matter: all but those of a head without a language model."""
    base, output = model.base_model, model.get_output_embeddings()
    parts = [model.base_model_prefix] if base is not model else [name for name, _ in model.named_children()]
    if output is not None:
        parts.append(_path_of(model, output))
    prefixes = tuple(f"{_PREFIX}{part}." for part in parts)
    return lambda name: name.startswith(prefixes) or not name.startswith(_PREFIX)


def _fits(name: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> bool:
    return name in own and name in given and own[name].shape == given[name].shape


def _hidden_states(encoder: Any) -> Tensor:
    """Return the hidden states of a few tokens."""
    ids = torch.arange(min(8, encoder.config.vocab_size)).unsqueeze(0)
    encoder.eval()
    with torch.no_grad():
        hidden: Tensor = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return hidden

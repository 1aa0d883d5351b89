"""Load a checkpoint's tokenizer and encoder, and write and read weights."""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.initialization import no_init_weights
from transformers.utils import logging as library_logging

from xrealign_bench.errors import UserError, first_line, shorten, shorten_list
from xrealign_bench.models.adapters import AdapterBase, find_adapter_base, load_adapter
from xrealign_bench.models.blocks import find_blocks, output_width
from xrealign_bench.models.checkpoint import ADAPTER_WEIGHTS, Checkpoint, weight_files
from xrealign_bench.models.family import family_of
from xrealign_bench.models.finite import check_finite_files, check_finite_training
from xrealign_bench.models.tokenizer import limit_vocabulary
from xrealign_bench.models.weights import untrained, wrapper_prefix

_SKIPS_BLOCKS = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")
"""Shares of whole blocks that BART's kin leave out at random in training. They are set to none: a block whose output a
recipe reads must be there."""
_OTHER = "use the config.json that belongs to them"
_MOST_BLOCKS = 1000
"""Several times the deepest published models."""
_ALWAYS_BUILT = 2**28
"""Parameters: 1 GiB in float32. What is larger must be so in the files of weights too."""
_PROBES = (
    "Das HAUS", "Zürich", "2003", "650841823", "3.5 %", "don't", "two words", "ｆｕｌｌ", "понедельник", "مارس", "मार्च",
    "東京",
)  # fmt: skip
"""Texts that tokenizers read differently if their rules for case, accents, numbers, spaces or scripts differ."""
_BERT_RULES = {"do_lower_case", "strip_accents", "tokenize_chinese_chars"}
"""What `tokenizer_config.json` may say of BERT's own way to normalise text."""


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """The checkpoint's tokenizer; its `model_max_length` is never more than the model's positions.

    One without a padding token that the model knows, as most decoders have it, pads with the token that ends a text:
    what is padded is never looked at.

    Raises:
        UserError: it can't be read, is not a fast one, has neither of these tokens, or gives text tokens for which the
            model has no embedding.
    """
    config = load_config(checkpoint)
    try:
        with quiet(), _panics_as_errors():
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.tokenizer or checkpoint.folder,
                local_files_only=True,
                trust_remote_code=checkpoint.trust_remote_code,
                **({} if checkpoint.tokenizer is None else {"config": config}),  # none is beside an adapter
            )
            tokenizer = _with_rules_of_file(checkpoint.folder, tokenizer)
            _check_length(tokenizer)
            if isinstance(tokenizer, PreTrainedTokenizerFast):
                tokenizer("a", "a"), tokenizer.all_special_ids  # some damage shows only in use
    except Exception as error:  # the tokenizers library raises nothing more special for a damaged file
        raise UserError(f"checkpoint {checkpoint.id}: its tokenizer can't be loaded: {first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokenizer ({type(tokenizer).__name__}) is not a fast one, which is "
            "needed to know the sub-words of each word; add a tokenizer.json (models that read bytes or characters "
            "have none and are not supported)"
        )
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
    if numbers <= set(tokenizer.all_special_ids):  # what transformers makes of files that are another class's
        raise UserError(
            f"checkpoint {checkpoint.id}: its tokenizer has no vocabulary; add the tokenizer.json that goes with it"
        )
    tokenizer.truncation_side = "right"  # whatever it was saved with: checkpoints are compared by the same text
    try:
        limit_vocabulary(tokenizer, size)
    except UserError as error:
        raise UserError(f"checkpoint {checkpoint.id}: {error}") from None
    positions = getattr(config, "max_position_embeddings", None) or -1  # XLNet says -1: it has no table of them
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions if positions > 0 else 2**31)
    return tokenizer


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Make an error of the tokenizers library's panics, which some damaged files cause and which are no `Exception`."""
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
    """Return the tokenizer, or if it reads text otherwise than its own `tokenizer.json`, one that keeps to that.

    For many classes transformers takes only the vocabulary from that file, and rules for case, spaces and numbers from
    the class. A rule that `tokenizer_config.json` sets itself counts, as in transformers.
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
    if _read_probes(written) == _read_probes(tokenizer.backend_tokenizer):
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


def _read_probes(tokenizer: Tokenizer) -> list[list[int]]:
    """Tokenise the probes behind another word: what begins a text is a matter of its own."""
    first = tokenizer.encode("a", add_special_tokens=False).ids
    return [tokenizer.encode(f"a {text}", add_special_tokens=False).ids[len(first) :] for text in _PROBES]


def load_encoder(
    checkpoint: Checkpoint,
    *,
    initialisation: Literal["checkpoint", "random"] = "checkpoint",
    seed: int,
    weights: Path | None = None,
    quantisation: Mapping[str, Any] = {},
) -> nn.Module:
    """The checkpoint's encoder in float32, in eval mode, without a pooler where its class can do without.

    A decoder is an encoder here: its hidden states are read, its language-model head is left out. Of an
    encoder-decoder it is the encoder alone.

    Args:
        checkpoint: what `resolve_checkpoint` found.
        initialisation: the checkpoint's weights, or random ones drawn with the seed.
        seed: of whatever is random; torch's own generator is left as it was.
        weights: a file that `save_weights` wrote; its weights are used instead.
        quantisation: what `quantised_loading` says; the checkpoint's linear layers are of so few bits then.

    Raises:
        UserError: weights are missing, don't fit or are left over in the blocks, the configuration describes another or
            no model, the blocks can't be found, or it reads no text.
    """
    with torch.random.fork_rng(devices=[]), quiet():
        _check_size(checkpoint)
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would reach a GPU's generator
        if weights is not None:
            with no_init_weights():
                encoder = _from_config(checkpoint)
            load_weights(encoder, weights)
        elif initialisation == "random":
            encoder = _from_config(checkpoint)
        else:
            encoder = _from_weights(checkpoint, quantisation)
    find_blocks(encoder)  # better refused now than when it is to be realigned
    try:
        output_width(encoder)
    except Exception as error:  # whatever its classes make of sizes that don't fit
        raise UserError(
            f"checkpoint {checkpoint.id}: its {type(encoder).__name__} can't read two tokens: {first_line(error)}; "
            "mend its config.json or use another checkpoint"
        ) from error
    return encoder.eval()


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's state as safetensors, for `load_weights`.

    Raises:
        OSError: the file can't be written.
        TrainingError: a weight is not finite, so that nothing could be computed with it.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    check_finite_training(state)
    try:
        save_file(state, path)
    except SafetensorError as error:
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(number[1]), first_line(error), str(path)) from None


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a module of the same make.

    Raises:
        UserError: the file can't be read, its names or shapes are not exactly the module's, or a weight is not finite.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights {path} can't be read: {first_line(error)}") from None
    own = module.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) or [n for n, tensor in own.items() if tensor.shape != state[n].shape]
    if wrong:
        raise UserError(f"the weights {path} are of another model: {shorten_list(wrong)} don't fit")
    check_finite_files("the weights of a stage", [path])
    module.load_state_dict(state)


def check_weights(checkpoint: Checkpoint) -> None:
    """Read the checkpoint's weights once, and an adapter's, to see that they are finite.

    Raises:
        UserError: they are not, or are a pickle that is damaged or holds more than tensors.
    """
    with _refused(checkpoint):
        own = [] if checkpoint.adapter is None else [checkpoint.adapter / ADAPTER_WEIGHTS]
        check_finite_files(f"checkpoint {checkpoint.id}", [*weight_files(checkpoint), *own])


def _from_config(checkpoint: Checkpoint) -> nn.Module:
    config = load_config(checkpoint)
    with _refused(checkpoint):
        model = _class_of(config).from_config(
            config, dtype=torch.float32, trust_remote_code=checkpoint.trust_remote_code, **_without_pooler(config)
        )
    return _encoder_of(model)


@lru_cache(maxsize=1)
def _check_size(checkpoint: Checkpoint) -> None:
    """Check that the configuration describes a model about as large as the weights, before memory is taken for it.

    Raises:
        UserError: it is far larger, or can't be built at all.
    """
    config = base_config(checkpoint)
    for name, value in config.to_dict().items():
        if "layer" in name and isinstance(value, int) and value > _MOST_BLOCKS:
            raise UserError(
                f"checkpoint {checkpoint.id}: its config.json sets {name} to {shorten(value)}; models have at most "
                f"{_MOST_BLOCKS} of them, get it again"
            )
    with _refused(checkpoint), torch.device("meta"):
        model = _class_of(config).from_config(config, trust_remote_code=checkpoint.trust_remote_code)
    described = sum(tensor.numel() for tensor in chain(model.parameters(), model.buffers()))
    there = sum(path.stat().st_size for path in weight_files(checkpoint))  # one byte a parameter at least
    if described > max(2 * there, _ALWAYS_BUILT):
        raise UserError(
            f"checkpoint {checkpoint.id}: its config.json describes a model of {described:,} parameters, and its "
            f"weights have {there:,} bytes; {_OTHER}"
        )


def _from_weights(checkpoint: Checkpoint, quantisation: Mapping[str, Any]) -> nn.Module:
    config = base_config(checkpoint)
    base = adapter_base(checkpoint)
    model, loaded = read_weights(
        _class_of(config) if base is None else base.models,
        checkpoint,
        config,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        **(_without_pooler(config) if base is None else {}),
        **quantisation,
    )
    encoder = _encoder_of(model if base is None else model.base_model)
    own = {id(tensor) for tensor in chain(encoder.parameters(), encoder.buffers())}
    of_head = set() if base is None else {name for name, tensor in _named_tensors(model) if id(tensor) not in own}
    missing = sorted(name for name in loaded["missing_keys"] - of_head if "pooler" not in name)
    if missing:
        raise UserError(f"checkpoint {checkpoint.id}: its weights lack {shorten_list(missing)}; get it again")
    misfit = sorted(
        f"{name} {tuple(has)}"
        for name, has, _ in loaded["mismatched_keys"]
        if "pooler" not in name and name not in of_head
    )
    if misfit:
        raise UserError(
            f"checkpoint {checkpoint.id}: of its weights, {shorten_list(misfit)} don't fit its config.json; {_OTHER}"
        )
    blocks = find_blocks(encoder)
    path = next(name for name, module in model.base_model.named_modules() if module is blocks)
    in_blocks = re.compile(rf"({re.escape(model.base_model_prefix)}\.)?{re.escape(path)}\.\d+\.")
    left = sorted(name for name in loaded["unexpected_keys"] if in_blocks.match(name))
    if foreign := sorted(set(left) - untrained(checkpoint, left)):
        raise UserError(
            f"checkpoint {checkpoint.id}: its config.json has no place for its weights {shorten_list(foreign)}; "
            f"{_OTHER}, or merge them if they are an adapter's"
        )
    if base is not None:
        put_adapter(checkpoint, base, model, encoder)
        if _without_pooler(config):
            encoder.pooler = None  # type: ignore[assignment]
    return encoder


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))


def put_adapter(checkpoint: Checkpoint, base: AdapterBase, model: Any, encoder: Any) -> None:
    """Put the checkpoint's adapter on its base model, in place.

    Args:
        checkpoint: one with an adapter.
        base: what `adapter_base` gives for it.
        model: of the class `base.model_class`, with the base model's weights.
        encoder: the part of it that is read; or the model itself.

    Raises:
        UserError: it doesn't fit or can't be merged.
    """
    assert checkpoint.adapter is not None
    if base.vocabulary is not None:
        model.resize_token_embeddings(base.vocabulary, mean_resizing=False)
    load_adapter(model, checkpoint.adapter, f"checkpoint {checkpoint.id}", encoder)


def read_weights(
    models: Any, checkpoint: Checkpoint, config: PreTrainedConfig, **more: Any
) -> tuple[Any, dict[str, Any]]:
    """A model of transformers in float32 with the checkpoint's weights, and what transformers says of them.

    Raises:
        UserError: they are not finite, are a pickle that is damaged or holds more than tensors, or are none or several
            of the model's.
    """
    check_weights(checkpoint)

    def read(**more: Any) -> tuple[Any, dict[str, Any]]:
        model, loaded = models.from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=not checkpoint.pickled,
            trust_remote_code=checkpoint.trust_remote_code,
            output_loading_info=True,
            **more,
        )
        return model, loaded

    with _refused(checkpoint):
        model, loaded = read(**more)
        prefix = wrapper_prefix(model, loaded, f"checkpoint {checkpoint.id}")
        return read(key_mapping={f"^{re.escape(prefix)}": ""}, **more) if prefix else (model, loaded)


@contextmanager
def _refused(checkpoint: Checkpoint) -> Iterator[None]:
    """Make a `UserError` of what transformers and torch raise of a checkpoint that they can't build or read."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        what = (
            "its pickled weights can't be read as tensors alone, and nothing else is"
            if checkpoint.pickled
            else "no model can be made of its config.json and weights"
        )
        raise UserError(f"checkpoint {checkpoint.id}: {what}: {first_line(error)}; get it again") from error


def _class_of(config: PreTrainedConfig) -> Any:
    """Transformers' class: of an encoder-decoder the encoder alone, where there is one, so that it needs no more."""
    alone = family_of(config.to_dict()) == "encoder_decoder" and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    return AutoModelForTextEncoding if alone else AutoModel


def _encoder_of(model: Any) -> nn.Module:
    encoder: nn.Module = model.get_encoder() if family_of(model.config.to_dict()) == "encoder_decoder" else model
    if encoder.main_input_name != "input_ids":
        raise UserError(f"a {type(model).__name__} reads {encoder.main_input_name} and no text; use another checkpoint")
    return encoder


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The checkpoint's configuration, with no block left out at random, outputs that have names, and the vocabulary
    of an adapter.

    Raises:
        UserError: it is refused, or an adapter's.
    """
    config = base_config(checkpoint)
    base = adapter_base(checkpoint)
    if base is not None and base.vocabulary is not None:
        config.vocab_size = base.vocabulary
    return config


@lru_cache(maxsize=1)
def adapter_base(checkpoint: Checkpoint) -> AdapterBase | None:
    """The model that the checkpoint's adapter was trained on; None: it has none.

    Raises:
        UserError: its adapter can't be used.
    """
    if checkpoint.adapter is None:
        return None
    what = f"checkpoint {checkpoint.id}"
    with quiet():
        return find_adapter_base(
            checkpoint.adapter, base_config(checkpoint), what, trust_remote_code=checkpoint.trust_remote_code
        )


def base_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """As `load_config`; of an adapter's checkpoint, the base model's configuration as it is.

    Raises:
        UserError: it is refused.
    """
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=checkpoint.trust_remote_code
        )
    except Exception as error:  # whatever the configuration's class finds wrong with its values
        raise UserError(f"checkpoint {checkpoint.id}: its config.json is refused: {first_line(error)}") from error
    for name in _SKIPS_BLOCKS:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    config.return_dict = True  # outputs are read by name, whatever they were saved with
    return config


def _without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """The argument that leaves the pooler out, for the classes that have it."""
    known: Any = MODEL_MAPPING.get(type(config), None)
    has_it = known is not None and "add_pooling_layer" in inspect.signature(known).parameters
    return {"add_pooling_layer": False} if has_it else {}


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and its report of unused weights, which is checked here instead."""
    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity(logging.ERROR)
    library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

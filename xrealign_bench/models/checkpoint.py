"""Find a checkpoint, check that it can be used, and identify it exactly. No weights are loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from xrealign_bench.errors import UserError, first_line, shorten
from xrealign_bench.memo import recall
from xrealign_bench.models.checkpoint_files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    EMBEDDED,
    check_safetensors,
    find_folder,
    find_weight_files,
    hash_files,
    hash_with_adapter,
    read_json,
    tokenizer_files,
)
from xrealign_bench.models.family import Family, family_of

_SUPPORTED = "supported are text encoders (BERT, XLM-R, ModernBERT), decoders (Llama, BLOOM) and encoder-decoders (mT5)"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine, as `resolve_checkpoint` found it."""

    id: str
    """A Hub id, the name of a folder, or the name of the embedded checkpoint."""
    folder: Path
    revision: str | None
    """The commit on the Hub, or None for a folder."""
    model_type: str
    family: Family | None
    """None if transformers does not know the model, whose code then comes with it."""
    architecture: str
    """The class from which the weights were saved."""
    config_sha256: str
    weights_sha256: str
    """Covers the names and contents of the weight files."""
    tokenizer_sha256: str
    trust_remote_code: bool
    pickled: bool = False
    """Whether the weights are a pickle rather than safetensors."""
    adapter: Path | None = None
    """The folder of a PEFT adapter, which is merged into the weights on loading. All other fields are those of its base
    model, except that the checksums of weights and configuration cover both."""
    longest_input: int | None = None
    """Sub-words of the longest input, according to the configuration of model and tokenizer; None: not stated there."""
    tokenizer: Path | None = None
    """The adapter's folder, if its tokenizer splits text differently from the base model's."""


# Over 50 lines only with its docstring.
def resolve_checkpoint(
    id_or_path: str,
    revision: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Find a checkpoint and check it as far as possible without loading it.

    Args:
        id_or_path: a Hub id, a local folder, or the name of the embedded checkpoint.
        revision: branch, tag or commit of a Hub id.
        offline: use the local Hub cache only.
        trust_remote_code: allow Python code that comes with the checkpoint.
        allow_pickle: allow weights in a pickle; torch reads nothing but tensors from it.

    Raises:
        UserError: it is not there, incomplete, damaged, or not a text model.
    """
    what = f"checkpoint {id_or_path}"
    folder, commit = find_folder(id_or_path, revision, offline, trust_remote_code, allow_pickle)
    if (folder / ADAPTER_CONFIG).is_file():
        base = _base_of(what, folder, offline, trust_remote_code, allow_pickle)
        tokenizer = _own_tokenizer(what, folder, base)
        return replace(
            base,
            id=id_or_path if commit else folder.name,
            revision=commit,
            config_sha256=hash_with_adapter(base.config_sha256, folder / ADAPTER_CONFIG),
            weights_sha256=hash_with_adapter(base.weights_sha256, folder / ADAPTER_WEIGHTS),
            tokenizer_sha256=hash_files(tokenizer) if tokenizer else base.tokenizer_sha256,
            adapter=folder,
            tokenizer=folder if tokenizer else None,
        )
    config = _read_config(what, folder)
    family = _check_model_type(what, config, trust_remote_code)
    weights = find_weight_files(what, folder, allow_pickle)
    tokenizer = tokenizer_files(folder)
    if not tokenizer:
        raise UserError(f"{what}: {folder} has no tokenizer (tokenizer.json or a vocabulary); add it")
    # The checkpoint's own code is part of what the model computes.
    code = sorted(folder.glob("*.py")) if trust_remote_code else []
    return Checkpoint(
        id=id_or_path if commit or id_or_path == EMBEDDED else folder.name,
        folder=folder,
        revision=commit,
        model_type=config["model_type"],
        family=family,
        architecture=(config.get("architectures") or ["unknown"])[0],
        config_sha256=hash_files([folder / "config.json", *code]),
        weights_sha256=hash_files(weights),
        longest_input=_longest_input(what, folder, config),
        tokenizer_sha256=hash_files(tokenizer),
        trust_remote_code=trust_remote_code,
        pickled=weights[0].suffix == ".bin",
    )


def weight_files(checkpoint: Checkpoint) -> list[Path]:
    """Return the weight files of the model, without those of an adapter.

    Raises:
        UserError: they have changed since `resolve_checkpoint`.
    """
    return find_weight_files(f"checkpoint {checkpoint.id}", checkpoint.folder, checkpoint.pickled)


def _longest_input(what: str, folder: Path, config: dict[str, Any]) -> int | None:
    settings = folder / "tokenizer_config.json"
    stated = [config.get("max_position_embeddings")]
    stated += [read_json(what, settings).get("model_max_length")] if settings.is_file() else []
    lengths = [length for length in stated if isinstance(length, int) and not isinstance(length, bool) and length > 0]
    return min(lengths, default=None)


def _read_config(what: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{what}: {folder} has no config.json; name a folder that transformers wrote")
    config = read_json(what, path)
    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{what}: {path} names no model_type; name a folder that transformers wrote")
    named = config.get("architectures") or []
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        raise UserError(f"{what}: {path}: 'architectures' is {shorten(named)} and no list of classes; get it again")
    return config


def _base_of(what: str, folder: Path, offline: bool, trust_remote_code: bool, allow_pickle: bool) -> Checkpoint:
    """Resolve the base model of an adapter: a folder, which may be relative to the adapter's, or a Hub id."""
    config = read_json(what, folder / ADAPTER_CONFIG)
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise UserError(f"{what}: {folder / ADAPTER_CONFIG} names no base_model_name_or_path; write it there")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(
            f"{what}: {folder} has an {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}; add it (a pickle, adapter_model.bin, "
            "is not read, because that can run any code)"
        )
    check_safetensors(what, folder / ADAPTER_WEIGHTS)
    beside = folder / name
    if not Path(name).is_dir() and beside.is_dir():
        name = str(beside)
    revision = None if Path(name).is_dir() else config.get("revision")
    try:
        base = resolve_checkpoint(name, revision, offline, trust_remote_code, allow_pickle)
    except UserError as error:
        raise UserError(f"{what} is an adapter, and its base model is not available: {error}") from None
    if base.adapter is not None:
        raise UserError(f"{what} is an adapter of an adapter ({name}); merge that one first")
    return base


def _own_tokenizer(what: str, folder: Path, base: Checkpoint) -> list[Path]:
    """Return the files of an adapter's tokenizer, or none if it has no tokenizer or splits text as the base model's.

    Most trainers save the tokenizer next to an adapter, whether tokens were added or not.

    Raises:
        UserError: it can't be loaded.
    """
    from transformers import AutoConfig, AutoTokenizer

    files = tokenizer_files(folder)
    if not files or hash_files(files) == base.tokenizer_sha256:
        return []
    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": base.trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(base.folder, **settings)
        rules = [_tokenisation_rules(AutoTokenizer.from_pretrained(at, config=config, **settings))
                 for at in (folder, base.folder)]  # fmt: skip
    except Exception as error:  # the tokenizers library raises nothing more specific for a damaged file
        raise UserError(
            f"{what}: the tokenizer in {folder}, or that of its base model, can't be loaded: {first_line(error)}; "
            "get it again"
        ) from error
    return [] if rules[0] == rules[1] else files


def _tokenisation_rules(tokenizer: Any) -> Any:
    """Return everything that decides how a text is tokenised, except padding and truncation, which are set here."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = {name: part for name, part in content.items() if name not in ("truncation", "padding")}
    return parts, tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token


def _check_model_type(what: str, config: dict[str, Any], trust_remote_code: bool) -> Family | None:
    """Return the model's family. Refuses what is not a text model, as far as the configuration tells.

    The blocks are checked on loading.
    """
    model_type = config["model_type"]
    known, family = recall("model type and family", [config, version("transformers")], partial(_look_up, config))
    if known == "no":
        if "auto_map" not in config:
            raise UserError(
                f"{what}: the installed transformers knows no model type '{shorten(model_type)}'; {_SUPPORTED}"
            )
        if not trust_remote_code:
            raise UserError(f"{what} needs Python code of its own; read it, then allow it with --trust-remote-code")
    elif family == "":
        raise UserError(f"{what} ({shorten(model_type)}) is not a text model, or not of text alone; {_SUPPORTED}")
    if config.get("quantization_config"):
        raise UserError(f"{what} is quantised already; use the original weights (and --quantise)")
    return next((name for name in get_args(Family) if name == family), None)


def _look_up(config: dict[str, Any]) -> list[str]:
    """Return whether transformers knows the model type (yes or no), and its family or an empty string."""
    from transformers.models.auto import modeling_auto as auto

    known = config["model_type"] in auto.MODEL_MAPPING_NAMES
    return ["yes" if known else "no", family_of(config) or ""]

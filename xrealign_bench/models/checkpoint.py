"""Find a checkpoint, check that it can be used, and say exactly what it is. No weights are loaded."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xrealign_bench.errors import UserError, first_line, shorten, shorten_list
from xrealign_bench.files import cached_sha256
from xrealign_bench.models.family import Family, family_of

EMBEDDED = "xrealign-mini"
"""The checkpoint that comes with the package."""

_VOCABULARIES = (
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model",
)  # fmt: skip
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", *_VOCABULARIES,
)  # fmt: skip
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DOWNLOADED = (
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, "config.json", "model.safetensors", "model-*.safetensors",
    "model.safetensors.index.json", *_TOKENIZER_FILES,
)  # fmt: skip
_PICKLES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")
_NO_PICKLES = (
    "not read, because that can run any code; use a revision that has safetensors, or allow it with --allow-pickle "
    "where you trust it"
)
_SUPPORTED = "supported are text encoders (BERT, XLM-R, ModernBERT), decoders (Llama, BLOOM) and encoder-decoders (mT5)"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine."""

    id: str
    """As it was asked for: a Hub id, a folder, or the embedded one's name."""
    folder: Path
    revision: str | None
    """The commit on the Hub; None for folders."""
    model_type: str
    family: Family | None
    """None: transformers does not know the model, its code comes with it."""
    architecture: str
    """The class that the weights were saved from."""
    config_sha256: str
    weights_sha256: str
    """Of the safetensors files, by name."""
    tokenizer_sha256: str
    trust_remote_code: bool
    pickled: bool = False
    """The weights are no safetensors but a pickle, which was allowed."""
    adapter: Path | None = None
    """The folder of a PEFT adapter that is merged into the weights on loading; all else is its base model's, but the
    checksums of weights and configuration cover both."""
    tokenizer: Path | None = None
    """The adapter's folder, if it has a tokenizer of its own that reads text otherwise than the base model's."""


def resolve_checkpoint(
    id_or_path: str,
    revision: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Find a checkpoint and check it as far as that is possible without loading it.

    Args:
        id_or_path: the embedded checkpoint's name, a local folder, or a Hub id.
        revision: branch, tag or commit of a Hub id.
        offline: take it from the local Hub cache only.
        trust_remote_code: allow Python code that comes with the checkpoint.
        allow_pickle: read weights that are no safetensors but a pickle; torch reads nothing but tensors from it.

    Raises:
        UserError: it is not there, incomplete, damaged, or not a text model.
    """
    what = f"checkpoint {id_or_path}"
    patterns = [*_DOWNLOADED, *(["*.py"] if trust_remote_code else []), *(_PICKLES if allow_pickle else [])]
    folder, commit = _find(what, id_or_path, revision, offline, patterns)
    if (folder / ADAPTER_CONFIG).is_file():
        base = _base_of(what, folder, offline, trust_remote_code, allow_pickle)
        tokenizer = _own_tokenizer(what, folder, base)
        return replace(
            base,
            id=id_or_path if commit else folder.name,
            revision=commit,
            config_sha256=_digest_both(base.config_sha256, folder / ADAPTER_CONFIG),
            weights_sha256=_digest_both(base.weights_sha256, folder / ADAPTER_WEIGHTS),
            tokenizer_sha256=_digest(tokenizer) if tokenizer else base.tokenizer_sha256,
            adapter=folder,
            tokenizer=folder if tokenizer else None,
        )
    config = _read_config(what, folder)
    _check_kind(what, config, trust_remote_code)
    weights = _weight_files(what, folder, allow_pickle)
    tokenizer = _tokenizer_files(folder)
    if not tokenizer:
        raise UserError(f"{what}: {folder} has no tokenizer (tokenizer.json or a vocabulary); add it")
    # Code that is run is part of what the model computes.
    code = sorted(folder.glob("*.py")) if trust_remote_code else []
    return Checkpoint(
        id=id_or_path if commit or id_or_path == EMBEDDED else folder.name,
        folder=folder,
        revision=commit,
        model_type=config["model_type"],
        family=family_of(config),
        architecture=(config.get("architectures") or ["unknown"])[0],
        config_sha256=_digest([folder / "config.json", *code]),
        weights_sha256=_digest(weights),
        tokenizer_sha256=_digest(tokenizer),
        trust_remote_code=trust_remote_code,
        pickled=weights[0].suffix == ".bin",
    )


def weight_files(checkpoint: Checkpoint) -> list[Path]:
    """Return the files of the model's weights, those of an adapter left out.

    Raises:
        UserError: they are no longer what `resolve_checkpoint` found.
    """
    return _weight_files(f"checkpoint {checkpoint.id}", checkpoint.folder, checkpoint.pickled)


def _find(
    what: str, name: str, revision: str | None, offline: bool, patterns: Sequence[str]
) -> tuple[Path, str | None]:
    """The folder, and the commit of one from the Hub."""
    if name == EMBEDDED:
        folder = Path(__file__).parent.parent / "demo" / "checkpoint"
        if not folder.is_dir():
            raise UserError(f"{what}, the embedded one, is missing from this installation ({folder}); install again")
    elif not name.strip():
        raise UserError("the checkpoint's name is empty; write a folder, a Hub id or " + EMBEDDED)
    elif Path(name).is_dir():
        folder = Path(name)
    elif Path(name).exists():
        raise UserError(f"{what} is a file; name the folder that holds config.json and the weights")
    elif name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise UserError(f"{what}: there is no such folder")
    else:
        return _download(what, name, revision, offline, patterns)
    if revision is not None:
        raise UserError(f"{what} is a folder here, so the revision '{revision}' means nothing; leave it out")
    return folder.resolve(), None


def _download(what: str, name: str, revision: str | None, offline: bool, patterns: Sequence[str]) -> tuple[Path, str]:
    from huggingface_hub import errors, snapshot_download

    at = f"{what} at revision {revision}" if revision else what
    try:
        folder = snapshot_download(name, revision=revision, local_files_only=offline, allow_patterns=list(patterns))
    except errors.HFValidationError:
        raise UserError(f"{what} is neither a folder here nor a Hub id like FacebookAI/xlm-roberta-base") from None
    except errors.GatedRepoError:
        raise UserError(f"{what} is gated: ask for access on its Hub page, then log in with `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{what} is neither a folder here nor on the Hub; check its name, or log in to it") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{what} has no revision '{revision}' on the Hub; see its page for those it has") from None
    except errors.LocalEntryNotFoundError as error:
        incomplete = "is incomplete" if isinstance(error, errors.IncompleteSnapshotError) else "is not"
        remedy = "leave --offline out to download it" if offline else "the Hub can't be reached; try again later"
        raise UserError(f"{at} {incomplete} in the local Hub cache; {remedy}") from None
    except OSError as error:
        raise UserError(f"{at} can't be downloaded: {str(error).splitlines()[0]}") from error
    # The cache keeps a snapshot in a folder that is named after its commit.
    return Path(folder), Path(folder).name


def _read_config(what: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{what}: {folder} has no config.json; name a folder that transformers wrote")
    config = _read_json(what, path)
    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{what}: {path} names no model_type; name a folder that transformers wrote")
    named = config.get("architectures") or []
    if not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        raise UserError(f"{what}: {path}: 'architectures' is {shorten(named)} and no list of classes; get it again")
    return config


def _read_json(what: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what}: {path} is not JSON ({first_line(error)}); get it again") from None
    return content if isinstance(content, dict) else {}


def _base_of(what: str, folder: Path, offline: bool, trust_remote_code: bool, allow_pickle: bool) -> Checkpoint:
    """The checkpoint that an adapter is for: a folder, also one relative to the adapter's, or a Hub id."""
    config = _read_json(what, folder / ADAPTER_CONFIG)
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise UserError(f"{what}: {folder / ADAPTER_CONFIG} names no base_model_name_or_path; write it there")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(
            f"{what}: {folder} has an {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}; add it (a pickle, adapter_model.bin, "
            "is not read, because that can run any code)"
        )
    _check_safetensors(what, folder / ADAPTER_WEIGHTS)
    beside = folder / name
    if not Path(name).is_dir() and beside.is_dir():
        name = str(beside)
    revision = None if Path(name).is_dir() else config.get("revision")
    try:
        base = resolve_checkpoint(name, revision, offline, trust_remote_code, allow_pickle)
    except UserError as error:
        raise UserError(f"{what} is an adapter, and its base model can't be had: {error}") from None
    if base.adapter is not None:
        raise UserError(f"{what} is an adapter of an adapter ({name}); merge that one first")
    return base


def _tokenizer_files(folder: Path) -> list[Path]:
    """The files of a tokenizer; none if they lack its vocabulary."""
    files = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    return files if any(path.name in ("tokenizer.json", *_VOCABULARIES) for path in files) else []


def _own_tokenizer(what: str, folder: Path, base: Checkpoint) -> list[Path]:
    """The files of an adapter's tokenizer; none if it has no tokenizer, or one that reads text as its base model's.

    Most trainers write the tokenizer beside an adapter, whether tokens were added or not.

    Raises:
        UserError: it can't be loaded.
    """
    from transformers import AutoConfig, AutoTokenizer

    files = _tokenizer_files(folder)
    if not files or _digest(files) == base.tokenizer_sha256:
        return []
    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": base.trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(base.folder, **settings)
        ways = [_way_of_reading(AutoTokenizer.from_pretrained(at, config=config, **settings))
                for at in (folder, base.folder)]  # fmt: skip
    except Exception as error:  # the tokenizers library raises nothing more special for a damaged file
        raise UserError(
            f"{what}: the tokenizer in {folder}, or that of its base model, can't be loaded: {first_line(error)}; "
            "get it again"
        ) from error
    return [] if ways[0] == ways[1] else files


def _way_of_reading(tokenizer: Any) -> Any:
    """All that decides which tokens a text becomes; not how texts are padded or truncated, which is decided here."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = {name: part for name, part in content.items() if name not in ("truncation", "padding")}
    return parts, tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token


def _check_kind(what: str, config: dict[str, Any], trust_remote_code: bool) -> None:
    """Refuse what is not a text model, as far as the configuration tells; its blocks are looked at on loading."""
    from transformers.models.auto import modeling_auto as auto

    kind = config["model_type"]
    if kind not in auto.MODEL_MAPPING_NAMES:
        if "auto_map" not in config:
            raise UserError(f"{what}: the installed transformers knows no model type '{shorten(kind)}'; {_SUPPORTED}")
        if not trust_remote_code:
            raise UserError(f"{what} needs Python code of its own; read it, then allow it with --trust-remote-code")
    elif family_of(config) is None:
        raise UserError(f"{what} ({shorten(kind)}) is not a text model, or not of text alone; {_SUPPORTED}")
    if config.get("quantization_config"):
        raise UserError(f"{what} is quantised already; use the original weights (and --quantise)")


def _weight_files(what: str, folder: Path, allow_pickle: bool) -> list[Path]:
    """The model's files: safetensors, each with a header that fits its size, or where there are none pickles."""
    if files := _one_or_shards(what, folder, "model.safetensors"):
        for path in files:
            _check_safetensors(what, path)
    elif files := _one_or_shards(what, folder, "pytorch_model.bin"):
        if not allow_pickle:
            raise UserError(f"{what}: its weights are a pickle (pytorch_model.bin), {_NO_PICKLES}")
    else:
        raise UserError(
            f"{what}: {folder} has a config.json but no model.safetensors; add it (a pickle, pytorch_model.bin, is "
            f"{_NO_PICKLES})"
        )
    return files


def _one_or_shards(what: str, folder: Path, name: str) -> list[Path]:
    """The file of that name, or those that its index names; none: neither is there."""
    index = folder / f"{name}.index.json"
    if (folder / name).is_file() or not index.is_file():
        return [folder / name] if (folder / name).is_file() else []
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [shard for shard in shards if Path(shard).name != shard]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise UserError(f"{what}: {index} can't be read; get it again") from None
    if outside:
        raise UserError(f"{what}: {index} names {shorten(outside[0])}, which is no file beside it; get it again")
    missing = [shorten(shard) for shard in shards if not (folder / shard).is_file()]
    if missing or not shards:
        raise UserError(
            f"{what}: {index.name} names {shorten_list(missing) or 'no file'}, which {folder} lacks; get it again"
        )
    return [folder / shard for shard in shards]


def _check_safetensors(what: str, path: Path) -> None:
    """Compare what a file's header announces with its size (format: 8 bytes length, JSON, data), and with itself."""
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error):
        raise UserError(f"{what}: {path} is no safetensors file, or damaged; get it again") from None
    if size != expected:
        raise UserError(f"{what}: {path} has {size} bytes instead of {shorten(expected)}; get it again")
    try:
        with safe_open(path, framework="np"):
            pass  # types and shapes fit the places of their bytes
    except SafetensorError as error:
        raise UserError(f"{what}: {path} is damaged ({first_line(error)}); get it again") from None


def _digest_both(base: str, own: Path) -> str:
    """Sha256 over that of the base model and that of an adapter's file."""
    return hashlib.sha256(f"{base}\n{cached_sha256(own)}\n".encode()).hexdigest()


def _digest(paths: Iterable[Path]) -> str:
    """Sha256 over the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(f"{path.name}\0{cached_sha256(path)}\n".encode())
    return digest.hexdigest()

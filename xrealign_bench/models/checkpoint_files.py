"""The files of a checkpoint: find a folder or download it, check its files, and hash them."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xrealign_bench.errors import UserError, first_line, shorten, shorten_list
from xrealign_bench.files import cached_sha256

EMBEDDED = "xrealign-mini"
"""The checkpoint that comes with the package."""
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_VOCABULARIES = (
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model",
)  # fmt: skip
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", *_VOCABULARIES,
)  # fmt: skip
_DOWNLOADED = (
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, "config.json", "model.safetensors", "model-*.safetensors",
    "model.safetensors.index.json", *_TOKENIZER_FILES,
)  # fmt: skip
_PICKLES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")
_NO_PICKLES = (
    "not read, because that can run any code; use a revision that has safetensors, or allow it with --allow-pickle "
    "where you trust it"
)


def find_folder(
    name: str, revision: str | None, offline: bool, trust_remote_code: bool, allow_pickle: bool
) -> tuple[Path, str | None]:
    """Return the folder of a checkpoint, downloaded if necessary, and the commit if it is from the Hub.

    The arguments are those of `resolve_checkpoint`.

    Raises:
        UserError: it is not there.
    """
    what = f"checkpoint {name}"
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
    elif _is_path(name):
        raise UserError(f"{what}: there is no such folder")
    else:
        patterns = [*_DOWNLOADED, *(["*.py"] if trust_remote_code else []), *(_PICKLES if allow_pickle else [])]
        return _download(name, revision, offline, patterns)
    if revision is not None:
        raise UserError(f"{what} is a folder here, so the revision '{revision}' means nothing; leave it out")
    return folder.resolve(), None


def is_on_hub(name: str) -> bool:
    """Return whether a checkpoint of this name has to be looked up on the Hub."""
    return name != EMBEDDED and bool(name.strip()) and not Path(name).exists() and not _is_path(name)


def _is_path(name: str) -> bool:
    """Return whether a name can't be a Hub id."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _download(name: str, revision: str | None, offline: bool, patterns: list[str]) -> tuple[Path, str]:
    from huggingface_hub import errors, snapshot_download

    what = f"checkpoint {name}"
    at = f"{what} at revision {revision}" if revision else what
    try:
        folder = snapshot_download(name, revision=revision, local_files_only=offline, allow_patterns=patterns)
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
        remedy = (
            "to download it, leave out --offline and unset HF_HUB_OFFLINE"
            if offline
            else "the Hub can't be reached; try again later"
        )
        raise UserError(f"{at} {incomplete} in the local Hub cache; {remedy}") from None
    except OSError as error:
        raise UserError(f"{at} can't be downloaded: {str(error).splitlines()[0]}") from error
    return Path(folder), Path(folder).name  # the cache names a snapshot's folder after its commit


def read_json(what: str, path: Path) -> dict[str, Any]:
    """Read a JSON file of a checkpoint; anything but an object is read as an empty one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what}: {path} is not JSON ({first_line(error)}); get it again") from None
    return content if isinstance(content, dict) else {}


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of a tokenizer, or none if its vocabulary is missing."""
    files = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    return files if any(path.name in ("tokenizer.json", *_VOCABULARIES) for path in files) else []


def find_weight_files(what: str, folder: Path, allow_pickle: bool) -> list[Path]:
    """Return a model's weight files: intact safetensors, or pickles if there are none and they are allowed."""
    if files := _file_or_shards(what, folder, "model.safetensors"):
        for path in files:
            check_safetensors(what, path)
    elif files := _file_or_shards(what, folder, "pytorch_model.bin"):
        if not allow_pickle:
            raise UserError(f"{what}: its weights are a pickle (pytorch_model.bin), {_NO_PICKLES}")
    else:
        raise UserError(
            f"{what}: {folder} has a config.json but no model.safetensors; add it (a pickle, pytorch_model.bin, is "
            f"{_NO_PICKLES})"
        )
    return files


def _file_or_shards(what: str, folder: Path, name: str) -> list[Path]:
    """Return the file of that name, or the shards in its index; an empty list if there is neither."""
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


def check_safetensors(what: str, path: Path) -> None:
    """Check that a file's header (8 bytes of length, then JSON) fits the size of the file and itself.

    Raises:
        UserError: it doesn't.
    """
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
            pass  # types and shapes fit the bytes of each tensor
    except SafetensorError as error:
        raise UserError(f"{what}: {path} is damaged ({first_line(error)}); get it again") from None


def hash_with_adapter(base: str, adapter_file: Path) -> str:
    """Return the SHA-256 over a base model's SHA-256 and that of an adapter's file."""
    return hashlib.sha256(f"{base}\n{cached_sha256(adapter_file)}\n".encode()).hexdigest()


def hash_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(f"{path.name}\0{cached_sha256(path)}\n".encode())
    return digest.hexdigest()

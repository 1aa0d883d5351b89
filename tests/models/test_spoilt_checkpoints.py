"""Checkpoints spoilt at random. Truth: a property, that each gives a model or is refused with one sentence, in no time.

What is loaded in spite of a changed file is another checkpoint, by its digests.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn
from transformers import AutoModel

from tests import spoil
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer

MANY = [40, pytest.param(110, marks=pytest.mark.slow)]
SECONDS, MEMORY, CHARACTERS = 20, 2**30, 2000
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("bert")


@pytest.fixture(scope="module")
def sharded(make_checkpoint: Callable[..., Path]) -> Path:
    """A decoder whose weights are in several files."""
    folder = make_checkpoint("llama")
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(set(json.loads((folder / INDEX).read_text())["weight_map"].values())) > 1
    return folder


def load(folder: Path) -> tuple[Checkpoint, nn.Module]:
    checkpoint = resolve_checkpoint(str(folder))
    load_tokenizer(checkpoint)
    return checkpoint, load_encoder(checkpoint, seed=0)


def digests(checkpoint: Checkpoint) -> tuple[str, ...]:
    return checkpoint.config_sha256, checkpoint.weights_sha256, checkpoint.tokenizer_sha256


def is_refused(folder: Path) -> bool:
    """Load a spoilt checkpoint; whatever comes of it must come soon, without much memory, and be clear."""
    began, peak = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = None
    try:
        load(folder)
    except UserError as error:
        said = str(error)
    assert time.monotonic() - began < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 < MEMORY
    if said is not None:
        assert folder.name in said
        assert len(said) < CHARACTERS
        assert said.isprintable(), said
    return said is not None


def spoil_header(content: bytes, chance: random.Random) -> bytes:
    """Spoil the JSON at the head of a safetensors file; mostly, so that its length is told rightly."""
    (length,) = struct.unpack("<Q", content[:8])
    header = chance.choice(spoil.JSON)(content[8 : 8 + length], chance)
    told = len(header) if chance.random() < 0.7 else length
    return struct.pack("<Q", told) + header + content[8 + length :]


def spoil_data(content: bytes, chance: random.Random) -> bytes:
    """Spoil what stands behind a safetensors file's header."""
    (length,) = struct.unpack("<Q", content[:8])
    return content[: 8 + length] + chance.choice(spoil.ANY_FILE)(content[8 + length :], chance)


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_a_spoilt_file_is_read_or_refused(
    kind: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    good: Path = request.getfixturevalue(kind)
    before, _ = load(good)
    files = [path for path in sorted(good.iterdir()) if path.name != "generation_config.json"]
    chance, outcomes = random.Random(kind), Counter[str]()
    for number in range(count):
        path = chance.choice(files)
        ways = [spoil_header, spoil_data] if path.suffix == ".safetensors" else spoil.JSON
        content = path.read_bytes()
        spoilt = chance.choice(ways)(content, chance)
        folder = Path(shutil.copytree(good, tmp_path / f"spoilt-{number}"))
        (folder / path.name).write_bytes(spoilt)
        if is_refused(folder):
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        if spoilt != content and path.name != INDEX:
            assert digests(resolve_checkpoint(str(folder))) != digests(before)
    assert min(outcomes["refused"], outcomes["read"]) > count / 10, outcomes


def test_a_flipped_bit_of_a_weight_is_another_checkpoint(whole: Path, tmp_path: Path) -> None:
    """The lowest bits of a few numbers, so that all of them are finite."""
    content = bytearray((whole / "model.safetensors").read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    chance, seen = random.Random(5), {resolve_checkpoint(str(whole)).weights_sha256}
    for number in range(5):
        folder = Path(shutil.copytree(whole, tmp_path / f"flipped-{number}"))
        place = 8 + length + 4 * chance.randrange((len(content) - 8 - length) // 4)  # little endian
        (folder / "model.safetensors").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        checkpoint, _ = load(folder)
        assert checkpoint.weights_sha256 not in seen
        seen.add(checkpoint.weights_sha256)


CONFIG_VALUES: list[tuple[str, object, str]] = [
    ("num_hidden_layers", 10**9, "sets num_hidden_layers to 1000000000; models have at most 1000 of them"),
    ("num_hidden_layers", 10**400, "sets num_hidden_layers to a number of more than 80 digits"),
    ("vocab_size", 2**26, r"describes a model of 1,07\d,\d{3},\d{3} parameters, and its weights have \d\d,\d{3} bytes"),
    ("max_position_embeddings", 2**31, r"describes a model of 38,\d{3},\d{3},\d{3} parameters"),
    ("vocab_size", 10**30, "no model can be made of its config.json and weights: "),
    ("hidden_dropout_prob", 3, "dropout probability has to be between 0 and 1, but got 3; get it again"),
    ("hidden_act", "none such", "no model can be made of its config.json and weights: 'none such'; get it again"),
    ("hidden_size", -16, "no model can be made of its config.json and weights: "),
    ("num_attention_heads", 0, "can't read two tokens: integer|no model can be made of its config.json and weights: "),
    ("architectures", 3, "'architectures' is 3 and no list of classes; get it again"),
    ("architectures", [[]], r"'architectures' is \[\[\]\] and no list of classes; get it again"),
    ("model_type", "x" * 3000, r"knows no model type 'x+… \(3,000 characters\)'"),
]


@pytest.mark.parametrize(
    ("name", "value", "message"), CONFIG_VALUES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CONFIG_VALUES)]
)
def test_values_that_no_model_has(whole: Path, tmp_path: Path, name: str, value: object, message: str) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "tiny"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(UserError, match=message):
        load(folder)
    assert is_refused(folder)


@pytest.mark.parametrize("length", [0, -1, "512", None, [], float("nan"), True])
def test_a_length_that_is_no_number_of_tokens(whole: Path, tmp_path: Path, length: object) -> None:
    """NaN would be less than any bound, and bound nothing."""
    folder = Path(shutil.copytree(whole, tmp_path / "tiny"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": length}))
    if length is None:  # transformers takes it for no bound
        assert load_tokenizer(resolve_checkpoint(str(folder))).model_max_length == 72
        return
    with pytest.raises(
        UserError, match=r"its tokenizer can't be loaded: its model_max_length is .* no number of tokens"
    ):
        load(folder)


@pytest.mark.parametrize(
    "name", ["model-00099-of-00099.safetensors", "../outside.safetensors", "/dev/zero", 3, "", None]
)
def test_an_index_that_names_no_file_beside_it(sharded: Path, tmp_path: Path, name: object) -> None:
    folder = Path(shutil.copytree(sharded, tmp_path / "tiny"))
    shutil.copy(next(folder.glob("model-*.safetensors")), tmp_path / "outside.safetensors")
    index = json.loads((folder / INDEX).read_text())
    one = next(iter(index["weight_map"]))
    index["weight_map"][one] = name
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"names .*, which (.*/tiny lacks|is no file beside it)|can't be read; get it"):
        resolve_checkpoint(str(folder))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to(target: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


FILES = ("config.json", "tokenizer.json", "model.safetensors")
IN_PLACE: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: path.unlink(),
    "a folder": replace_by_folder,
    "a pipe": replace_by_pipe,
    "a link to nothing": link_to("gone"),
    "a link to its folder": link_to("."),
    "a device": link_to("/dev/zero"),
}


@pytest.mark.parametrize("what", IN_PLACE)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file(whole: Path, tmp_path: Path, name: str, what: str) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "tiny"))
    IN_PLACE[what](folder / name)
    assert is_refused(folder)


def test_a_link_in_a_circle(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "tiny"))
    for name in FILES:
        link_to(name)(folder / name)
    assert is_refused(folder)


def test_files_in_each_other_s_place(whole: Path, sharded: Path, tmp_path: Path) -> None:
    names = [*FILES, "tokenizer_config.json"]
    for number, (one, other) in enumerate((a, b) for a in names for b in names if a < b):
        folder = Path(shutil.copytree(whole, tmp_path / f"swapped-{number}"))
        (folder / one).rename(folder / "between")
        (folder / other).rename(folder / one)
        (folder / "between").rename(folder / other)
        assert is_refused(folder)
    shards = sorted(sharded.glob("model-*.safetensors"))[:2]
    folder = Path(shutil.copytree(sharded, tmp_path / "shards"))
    for path, content in zip(shards, reversed([shard.read_bytes() for shard in shards]), strict=True):
        (folder / path.name).write_bytes(content)
    if not is_refused(folder):  # tensors know their names, whichever file they are in
        assert resolve_checkpoint(str(folder)).weights_sha256 != resolve_checkpoint(str(sharded)).weights_sha256

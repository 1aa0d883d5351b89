"""Checkpoints that can't be used are refused with one sentence, and the others say exactly what they are. Truth:
hashlib on the files, and a server of the test's own that notes what is fetched from it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.encoder import load_encoder


@pytest.fixture(scope="module")
def good(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("bert")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "tiny"))


def set_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def make_index(folder: Path, shards: list[str]) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weight_map = {f"weight.{n}": shard for n, shard in enumerate(shards)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    # what is done to a good folder, and what is said about it
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json; name a folder that transformers wrote"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), r"config.json is not JSON \(.*\); get it again"),
    "no model type": (lambda f: set_config(f, model_type=None), "config.json names no model_type"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has a config.json but no model.safetensors; add it"),
    "pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        r"its weights are a pickle \(pytorch_model.bin\), not read, .*allow it with --allow-pickle where you trust it",
    ),
    "missing shard": (
        lambda f: make_index(f, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
        "model.safetensors.index.json names model-00002-of-00002.safetensors, which .* lacks",
    ),
    "broken index": (
        lambda f: (make_index(f, []), (f / "model.safetensors.index.json").write_text("[]")),
        "model.safetensors.index.json can't be read",
    ),
    "truncated": (lambda f: cut(f / "model.safetensors", -100), r"model.safetensors has \d+ bytes instead of \d+"),
    "longer": (
        lambda f: (f / "model.safetensors").open("ab").write(b"x"),
        r"model.safetensors has \d+ bytes instead of \d+",
    ),
    "truncated in the header": (lambda f: cut(f / "model.safetensors", 50), "is no safetensors file, or damaged"),
    "empty weights": (lambda f: cut(f / "model.safetensors", 0), "is no safetensors file, or damaged"),
    "something else": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12"),
        "is no safetensors file, or damaged",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
    "adapter": (
        lambda f: (f / "adapter_config.json").write_text("{}"),
        "adapter_config.json names no base_model_name_or_path",
    ),
    "vision": (lambda f: set_config(f, model_type="vit"), r"\(vit\) is not a text model.*supported are text encoders"),
    "audio": (lambda f: set_config(f, model_type="wav2vec2"), r"\(wav2vec2\) is not a text model"),
    "text and images": (lambda f: set_config(f, model_type="modernvbert", vision_config={}), "is not a text model"),
    "text and images, decoder": (
        lambda f: set_config(f, model_type="gemma3", vision_config={}),
        r"\(gemma3\) is not a text model, or not of text",
    ),
    "speech to text": (
        lambda f: set_config(f, model_type="voxtral", audio_config={}),
        r"\(voxtral\) is not a text model",
    ),
    "unknown type": (lambda f: set_config(f, model_type="bret"), "knows no model type 'bret'; supported are"),
    "own code": (
        lambda f: set_config(f, model_type="own", auto_map={"AutoModel": "modeling.Own"}),
        "needs Python code of its own; read it, then allow it with --trust-remote-code",
    ),
    "quantised": (
        lambda f: set_config(f, quantization_config={"bits": 4}),
        "is quantised already; use the original weights",
    ),
}


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_a_pickle_is_read_where_it_is_allowed_and_tensors_alone(folder: Path) -> None:
    given = load_encoder(resolve_checkpoint(str(folder)), seed=0).state_dict()
    pickle_weights(folder)
    checkpoint = resolve_checkpoint(str(folder), allow_pickle=True)
    assert checkpoint.pickled
    read = load_encoder(checkpoint, seed=0).state_dict()
    assert read.keys() == given.keys() and all(torch.equal(read[name], given[name]) for name in given)
    touched = folder / "touched"
    state = torch.load(folder / "pytorch_model.bin")
    torch.save({**state, "more": _Runs(touched)}, folder / "pytorch_model.bin")
    assert resolve_checkpoint(str(folder), allow_pickle=True).weights_sha256 != checkpoint.weights_sha256
    with pytest.raises(UserError, match=r"its pickled weights can't be read as tensors alone, and nothing else is: "):
        load_encoder(resolve_checkpoint(str(folder), allow_pickle=True), seed=0)
    assert not touched.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert touched.exists()  # it would have run


class _Runs:
    """Whoever unpickles it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("case", BAD)
def test_bad_folders(folder: Path, case: str) -> None:
    spoil, message = BAD[case]
    resolve_checkpoint(str(folder))
    spoil(folder)
    with pytest.raises(UserError, match=message) as caught:
        resolve_checkpoint(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_places_that_are_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match=f"checkpoint {tmp_path}/gone: there is no such folder"):
        resolve_checkpoint(str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"config.json is a file; name the folder that holds config.json"):
        resolve_checkpoint(str(folder / "config.json"))
    with pytest.raises(UserError, match="name is empty"):
        resolve_checkpoint("")
    with pytest.raises(UserError, match="is a folder here, so the revision 'main' means nothing"):
        resolve_checkpoint(str(folder), revision="main")
    with pytest.raises(UserError, match="checkpoint no id! is neither a folder here nor a Hub id like"):
        resolve_checkpoint("no id!")


def test_what_a_folder_is(folder: Path) -> None:
    (folder / "notes.txt").write_text("not part of the model")
    checkpoint = resolve_checkpoint(str(folder))
    assert (checkpoint.id, checkpoint.folder, checkpoint.revision) == ("tiny", folder, None)
    assert (checkpoint.model_type, checkpoint.architecture) == ("bert", "BertForMaskedLM")

    def digest(*names: str) -> str:
        lines = [f"{n}\0{hashlib.sha256((folder / n).read_bytes()).hexdigest()}\n" for n in names]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    assert checkpoint.config_sha256 == digest("config.json")
    assert checkpoint.weights_sha256 == digest("model.safetensors")
    assert checkpoint.tokenizer_sha256 == digest("tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", "config_sha256"),
        ("model.safetensors", "weights_sha256"),
        ("tokenizer.json", "tokenizer_sha256"),
        ("tokenizer_config.json", "tokenizer_sha256"),
        ("special_tokens_map.json", "tokenizer_sha256"),
        ("vocab.txt", "tokenizer_sha256"),
    ],
)
def test_each_file_counts_in_one_digest(folder: Path, name: str, changes: str) -> None:
    before = resolve_checkpoint(str(folder))
    path = folder / name
    if name == "model.safetensors":
        save_file({k: t + 1 for k, t in load_file(path).items()}, path)
    else:
        path.write_text((path.read_text() if path.exists() else "") + "\n")
    after = resolve_checkpoint(str(folder))
    digests = ("config_sha256", "weights_sha256", "tokenizer_sha256")
    assert [d for d in digests if getattr(before, d) != getattr(after, d)] == [changes]


def test_a_copy_has_the_same_digests(folder: Path, tmp_path: Path) -> None:
    one, other = resolve_checkpoint(str(folder)), resolve_checkpoint(str(shutil.copytree(folder, tmp_path / "copy")))
    assert one.weights_sha256 == other.weights_sha256 and one.tokenizer_sha256 == other.tokenizer_sha256


def test_shards_are_all_hashed(folder: Path) -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    make_index(folder, shards)
    shutil.copy(folder / shards[0], folder / shards[1])
    before = resolve_checkpoint(str(folder)).weights_sha256
    save_file({"other": next(iter(load_file(folder / shards[0]).values()))}, folder / shards[1])
    assert resolve_checkpoint(str(folder)).weights_sha256 != before


def test_weights_are_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: (read.append(file.name), plain(file, kind))[1])
    resolve_checkpoint(str(folder))
    resolve_checkpoint(str(folder))
    assert read.count(str(folder / "model.safetensors")) == 1


def test_allowed_code_is_part_of_what_the_model_is(folder: Path) -> None:
    set_config(folder, model_type="own", auto_map={"AutoModel": "modeling.Own"})
    (folder / "modeling.py").write_text("x = 1")
    before = resolve_checkpoint(str(folder), trust_remote_code=True)
    (folder / "modeling.py").write_text("x = 2")
    after = resolve_checkpoint(str(folder), trust_remote_code=True)
    assert after.trust_remote_code and before.config_sha256 != after.config_sha256


def test_the_embedded_one() -> None:
    package = Path(resolve_checkpoint.__code__.co_filename).parent.parent
    if not (package / "demo" / "checkpoint" / "model.safetensors").is_file():
        pytest.skip("the embedded checkpoint is not in this checkout")
    assert resolve_checkpoint(EMBEDDED).id == EMBEDDED


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """As much of the Hub as a download needs, serving one repository, `org/tiny`, from a folder."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.fetched: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        files = {p.relative_to(self.server.folder).as_posix(): p for p in self.server.folder.rglob("*") if p.is_file()}
        if path[:4] == ["api", "models", "org", "tiny"] and path[4:] in ([], ["revision", "main"], ["revision", "v1"]):
            self.reply({"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        elif path[:6] == ["api", "models", "org", "tiny", "tree", COMMIT]:
            self.reply(
                [{"type": "file", "path": n, "size": p.stat().st_size, "oid": self.tag(p)} for n, p in files.items()]
            )
        elif path[:4] == ["org", "tiny", "resolve", COMMIT] and (name := "/".join(path[4:])) in files:
            if body:
                self.server.fetched.append(name)
            content = files[name].read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{self.tag(files[name])}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)
        else:
            missing = "RevisionNotFound" if path[:4] == ["api", "models", "org", "tiny"] else "RepoNotFound"
            gated = path[:4] == ["api", "models", "org", "gated"]
            self.send_response(403 if gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if gated else missing)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def reply(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @staticmethod
    def tag(path: Path) -> str:
        return hashlib.sha1(path.read_bytes()).hexdigest()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


RESOLVE = """
import json, sys
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import resolve_checkpoint

for arguments in json.loads(sys.argv[1]):
    try:
        found = resolve_checkpoint(*arguments)
        print(json.dumps([found.id, found.revision, found.weights_sha256, found.tokenizer_sha256]))
    except UserError as error:
        print(json.dumps(str(error)))
"""


def test_from_the_hub(hub: Hub, folder: Path, tmp_path: Path) -> None:
    here: Checkpoint = resolve_checkpoint(str(folder))
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "modeling.py", "onnx/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not needed")
    asked = [
        ("org/tiny", None, True),  # before anything is in the cache
        ("org/tiny", None, False),
        ("org/tiny", None, False),  # again, now from the cache
        ("org/tiny", "v1", False),
        ("org/tiny", COMMIT, True),
        ("org/tiny", None, True),
        ("org/tiny", "v2", False),
        ("org/none", None, False),
        ("org/gated", None, False),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, json.dumps(asked)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    found = ["org/tiny", COMMIT, here.weights_sha256, here.tokenizer_sha256]
    assert answers == [
        "checkpoint org/tiny is not in the local Hub cache; to download it, leave out --offline and unset "
        "HF_HUB_OFFLINE",
        *[found] * 5,
        "checkpoint org/tiny has no revision 'v2' on the Hub; see its page for those it has",
        "checkpoint org/none is neither a folder here nor on the Hub; check its name, or log in to it",
        "checkpoint org/gated is gated: ask for access on its Hub page, then log in with `hf auth login`",
    ]
    assert sorted(hub.fetched) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]

"""Exported models. Truth: stored weights and predictions, plain transformers, and the files' documented meaning."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

import xrealign_bench as xb
from tests.data.web_server import ToServer
from tests.export_world import (
    SEED,
    WINDOW,
    export,
    largest_difference,
    mean_vectors,
    sentence_difference,
    write_data,
    write_family,
    write_specs,
)
from tests.small import Ran, command, write_recipe, write_yaml
from tests.test_docs import DOCS, fences
from tests.test_evaluate_questions import rows as questions
from tests.test_evaluate_texts import TASK as PAIRS
from xrealign_bench.data import DataLocation
from xrealign_bench.pipeline.stages import Realign
from xrealign_bench.tasks.question_answering.metric import hashed_tokens
from xrealign_bench.tasks.registry import TASK_TYPES

EXACT = 1e-5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with specs, data and a BERT, with the suite `linear` evaluated for the recipe `mine`."""
    folder = tmp_path_factory.mktemp("export")
    write_specs(folder)
    write_data(folder / "data")
    write_family(folder / "bert", "bert")
    for suite, tasks in (("linear", "phrases,asked"), ("whole", "pairs-nli")):
        places = ["--store", folder / "store", "--data-root", folder / "data", "--output", folder / suite]
        words = ["--suite", folder / f"{suite}.yaml", "--checkpoint", folder / "bert", "--recipe", folder / "mine.yaml"]
        ran = command("evaluate", *words, *places, "--task", tasks, "--device", "cpu")
        assert ran.status == 0, ran.err
    return folder


@pytest.fixture(scope="module")
def llama(world: Path) -> Path:
    return write_family(world / "llama", "llama")


def exported(
    world: Path, name: str, *more: object, suite: str = "linear", recipe: str = "mine", base: str = "bert"
) -> Path:
    """Export once a test module."""
    output = world / "exports" / name
    if not output.exists():
        ran = export(world, world / base, suite, str(world / f"{recipe}.yaml"), *more, output=output)
        assert ran.status == 0, ran.err
        assert not [path for path in output.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    return output


def predictions(world: Path, suite: str, task: str, language: str) -> list[dict[str, Any]]:
    (file,) = (world / suite / "results").glob(f"*/*/mine*/predictions-{task}.parquet")
    return [row for row in pq.read_table(file).to_pylist() if (row["language"], row["seed"]) == (language, SEED)]


def test_the_encoder_has_the_stored_weights(world: Path) -> None:
    folder = exported(world, "encoder")
    about = json.loads((folder / "realignment.json").read_text())
    (stage,) = (stage for stage in about["stages"] if stage["stage_type"] == "realign")
    (stored,) = (world / "store" / "realign").rglob(f"{stage['key']}/encoder.safetensors")
    state = AutoModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
    weights = load_file(stored)
    assert weights.keys() <= state.keys()
    assert all(torch.equal(state[name], weight) for name, weight in weights.items())
    assert largest_difference(folder) == 0
    modes = {path.stat().st_mode for path in (stored, folder / "model.safetensors", folder / "realignment.json")}
    assert len(modes) == 1  # whoever may read one may read all
    assert "add_pooling_layer=False" in (folder / "README.md").read_text()


def test_provenance_is_complete(world: Path) -> None:
    folder = exported(world, "encoder")
    about = json.loads((folder / "realignment.json").read_text())
    assert {stage["stage_type"] for stage in about["stages"]} == {"align", "encode", "realign"}
    assert about["recipe"]["name"] == "mine" and about["suite"]["name"] == "linear" and about["seed"] == SEED
    assert [corpus["licence"] for corpus in about["corpora"]] == ["Unicode-3.0"]
    assert about["realignment"]["steps"] == 3 and about["realignment"]["frozen_blocks"] == [0, 1]
    files = {path.name for path in folder.iterdir()} - {"README.md", "realignment.json"}
    assert files == about["files"].keys()
    for name, digest in about["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert str(world) not in (folder / "realignment.json").read_text() + (folder / "README.md").read_text()


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_pipeline_tags_words_as_stored(world: Path, language: str) -> None:
    folder = exported(world, "tagger", "--task", "phrases")
    tagger = pipeline("token-classification", model=str(folder), ignore_labels=[])
    task = xb.load_task(world / "phrases.yaml")
    data = TASK_TYPES["token_classification"].load(task, language, "test", DataLocation(None, True), None)
    rows = predictions(world, "linear", "phrases", language)
    assert len(data.words) == len(rows) > 5
    tag = run_example("def tag(")["tag"]
    for words, row in zip(data.words, rows, strict=True):
        first: dict[int, str] = {}
        for token in tagger(words, is_split_into_words=True)[0]:
            first.setdefault(" ".join(words)[: token["start"]].count(" "), token["entity"])
        expected = [task.labels[number] for number in row["predicted"]]
        assert [first[number] for number in range(len(words))] == expected
    assert tag(folder, words) == expected  # loads the model: once is enough


def run_example(name: str) -> dict[str, Any]:
    """Run the example of the page that contains a text, and return what it defines."""
    (code,) = (text for text in fences(DOCS / "how-to" / "export.md", "python") if name in text)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    defined: dict[str, Any] = {}
    exec(code, defined)
    return defined


def test_the_pages_script_answers_questions_as_stored(world: Path) -> None:
    folder = exported(world, "finder", "--task", "asked")
    answer = run_example("def answer(")["answer"]
    stored = predictions(world, "linear", "asked", "de")
    tokenizer, compared = AutoTokenizer.from_pretrained(folder), 0
    for row, example in zip(stored, questions("de"), strict=True):
        question, context = example["question"], example["context"]
        if len(tokenizer(question, context).input_ids) <= WINDOW:  # trained tokenizers differ a little from run to run
            assert hashed_tokens(answer(folder, question, context), "squad", "de") == row["predicted"]
            compared += 1
    assert compared > 5


def test_a_pipeline_classifies_pairs_as_stored(world: Path) -> None:
    folder = exported(world, "classifier", "--task", "pairs-nli", suite="whole")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert [model.config.id2label[number] for number in range(3)] == PAIRS["labels"]
    classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    (file,) = (world / "data/org/more/deu").glob("*.parquet")
    data = pq.read_table(file).to_pylist()
    for row in predictions(world, "whole", "pairs-nli", "de"):
        pair = data[row["example"]]
        if len(pair["premise"].split()) < 10:  # the model reads it whole
            (found,) = [classify({"text": pair["premise"], "text_pair": pair["hypothesis"]})]
            assert found["label"] == PAIRS["labels"][row["predicted"]]  # type: ignore[index]


def test_a_decoder_keeps_its_output_layer(world: Path, llama: Path) -> None:
    folder = exported(world, "decoder", base="llama")
    whole, before = (AutoModelForCausalLM.from_pretrained(each) for each in (folder, llama))
    assert torch.equal(whole.lm_head.weight, before.lm_head.weight)
    name = "model.layers.2.mlp.up_proj.weight"
    assert not torch.equal(whole.get_parameter(name), before.get_parameter(name))
    assert torch.equal(AutoModel.from_pretrained(folder).get_parameter(name[6:]), whole.get_parameter(name))


def test_an_adapter_gives_what_the_merged_model_gives(world: Path, llama: Path) -> None:
    alone, merged = (
        exported(world, "adapter", recipe="lora", base="llama"),
        exported(world, "merged", "--merge", recipe="lora", base="llama"),
    )
    assert (alone / "adapter_model.safetensors").is_file() and not (alone / "model.safetensors").exists()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        one, other, base = (
            AutoModel.from_pretrained(each).eval()(ids).last_hidden_state for each in (alone, merged, llama)
        )
    assert torch.allclose(one, other, atol=EXACT)
    assert not torch.allclose(one, base, atol=1e-3)


def test_bidirectional_attention_is_in_the_configuration(world: Path, llama: Path) -> None:
    write_recipe(world, name="both-ways", attention="bidirectional", schedule={"batch_size": 4})
    folder = exported(world, "both-ways", recipe="both-ways", base="llama")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        one, other = (model(torch.tensor([ids])).last_hidden_state[0, 0] for ids in ([5, 6, 7], [5, 6, 9]))
    assert not torch.allclose(one, other, atol=1e-4)
    assert largest_difference(folder) < EXACT


@pytest.mark.parametrize("layer", ["last", "penultimate"])
def test_sentence_vectors_are_those_of_the_retrieval_task(world: Path, layer: str) -> None:
    task = yaml.safe_load((world / "found.yaml").read_text())
    write_yaml(world / "found.yaml", task | {"layer": layer})
    folder = exported(world, f"sentences-{layer}", "--sentence-transformers")
    write_yaml(world / "found.yaml", task)
    modules = json.loads((folder / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == ["Transformer", "WordWeights", "Pooling"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    weights = load_file(folder / "1_WordWeights" / "model.safetensors")["emb_layer.weight"][:, 0]
    ids = tokenizer("On Monday").input_ids
    assert weights[ids].tolist() == [0.0, *[1.0] * (len(ids) - 2), 0.0]
    names = json.loads((folder / "1_WordWeights" / "config.json").read_text())
    assert names["vocab"][ids[1]] == tokenizer.convert_ids_to_tokens(ids[1]) and len(names["word_weights"]) == 2
    # Against the encoder that is exported whole: the output of its block.
    whole = AutoModel.from_pretrained(exported(world, "encoder"), add_pooling_layer=False).eval()
    with torch.no_grad():
        states = whole(**tokenizer("März", return_tensors="pt"), output_hidden_states=True).hidden_states
    expected = states[-1 if layer == "last" else -2][0, 1:-1].mean(0)
    assert torch.allclose(mean_vectors(folder)[2], expected, atol=EXACT)
    if (difference := sentence_difference(folder)) is not None:
        assert difference < EXACT


def test_another_dtype_is_stored(world: Path) -> None:
    folder = exported(world, "half", "--dtype", "bfloat16")
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert 0 < largest_difference(folder) < 0.1
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_card_quotes_the_result(world: Path) -> None:
    folder = exported(world, "quoting", "--task", "phrases", "--results", world / "linear" / "results")
    card = (folder / "README.md").read_text()
    fields = yaml.safe_load(card.split("---")[1])
    assert fields["pipeline_tag"] == "token-classification" and "base_model" not in fields
    (path,) = (world / "linear" / "results").glob("*/*/mine*/result.json")
    scores = json.loads(path.read_text())["scores"]
    (score,) = (s["metrics"]["accuracy"] for s in scores if (s["task"], s["language"]) == ("phrases", "de"))
    assert re.search(rf"\| high \| 1 \| {100 * score:.1f} \| [+-]?\d", card)
    assert "Licence: Unicode-3.0" in card and "AutoModelForTokenClassification" in card
    assert (
        "No result of this recipe was at hand"
        in (exported(world, "tagger", "--task", "phrases") / "README.md").read_text()
    )


def test_the_api_writes_the_same_files(world: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"store": world / "store", "data_root": world / "data", "device": "cpu", "offline": True}
    folder = xb.export(
        tmp_path / "tagger", world / "bert", world / "mine.yaml", str(world / "linear.yaml"), task="phrases",
        no_compute=True, progress="none", **given,
    )  # fmt: skip
    other = exported(world, "tagger", "--task", "phrases")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
    with pytest.raises(TypeError, match=r"export\(\) has no argument 'marge'; did you mean merge"):
        xb.export(tmp_path / "x", marge=True)  # type: ignore[call-arg]


REFUSALS: dict[str, tuple[str, str, list[str], str]] = {
    "linear text classifier": (
        "linear", "mine", ["--task", "pairs-nli"],
        "--task pairs-nli: its head, dropout and one linear layer, can't be expressed in transformers, because the "
        "head of a BertForSequenceClassification is bert.pooler.dense, classifier; use a suite with 'head: "
        "transformers', or leave --task out for the realigned model",
    ),
    "not fine-tuned": ("linear", "mine", ["--task", "found"], "--task found: is not fine-tuned; leave --task out"),
    "unknown task": ("linear", "mine", ["--task", "phrasess"], "unknown task in this suite: 'phrasess'; did you mean"),
    "baseline": ("linear", "finetune-only", [], "recipe 'finetune-only': realigns nothing before"),
    "nothing to merge": ("linear", "mine", ["--merge"], "--merge: recipe 'mine' trains no adapter; leave --merge out"),
    "no retrieval": (
        "linear", "mine", ["--sentence-transformers", "--task", "phrases"],
        "--sentence-transformers: needs one retrieval task, and there are 0 among phrases; name one with --task",
    ),
    "adapter of sentences": (
        "linear", "lora", ["--sentence-transformers"],
        "recipe 'lora': its adapter can't be exported alone, because sentence-transformers needs the whole model; add",
    ),
    "never computed": (
        "linear", "mine", ["--no-compute", "--seed", "99"],
        "--no-compute: 'realign with mine, seed 99' is not in the store",
    ),
    "offline push": (
        "linear", "mine", ["--push-to-hub", "me/mine"], "--push-to-hub me/mine: needs the Hub; leave --offline out",
    ),
    "no repository": ("linear", "mine", ["--push-to-hub", "a/b/c"], "--push-to-hub: 'a/b/c' is not a Hub id; write"),
}  # fmt: skip


@pytest.mark.parametrize(("suite", "recipe", "more", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_can_not_be_exported_is_told(
    world: Path, suite: str, recipe: str, more: list[str], message: str, tmp_path: Path
) -> None:
    name = recipe if recipe == "finetune-only" else str(world / f"{recipe}.yaml")
    ran = export(world, world / "bert", suite, name, *more, output=tmp_path / "out")
    assert ran.status == 2
    assert f"error: {message}" in ran.err and "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_empty_stays_as_it_is(world: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    ran = export(world, world / "bert", "linear", str(world / "mine.yaml"), output=tmp_path / "out")
    assert (ran.status, ran.err.strip()) == (
        2, f"error: {tmp_path / 'out'}: is not an empty folder; name another with --output"
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_encoder_without_the_right_numbers_is_not_exported(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of transformers that computes something else is found by its outputs."""
    from xrealign_bench.model_export import models

    load = models._load_saved

    def load_changed(*arguments: Any) -> Any:
        model = load(*arguments)
        with torch.no_grad():
            model.embeddings.LayerNorm.bias += 1
        return model

    monkeypatch.setattr(models, "_load_saved", load_changed)
    ran = export(world, world / "bert", "linear", str(world / "mine.yaml"), output=tmp_path / "out")
    assert ran.status == 2 and "the exported encoder gives other outputs (difference" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_failed_training_is_told(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise xb.TrainingError("the loss is nan; try a smaller learning rate")

    monkeypatch.setattr(Realign, "run", run)
    ran = export(world, world / "bert", "linear", str(world / "mine.yaml"), "--seed", "5", output=tmp_path / "out")
    assert ran.status == 1, ran.err
    assert ran.err.splitlines()[-1] == (
        "error: realign with mine, seed 5: the loss is nan; try a smaller learning rate. Finished stages are stored"
    )
    assert not list(tmp_path.iterdir())


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does to a commit of small files."""

    server: Any

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b"".join(self._chunks())
        self.server.asked.append((self.path, body))
        self.server.tokens.add(self.headers["Authorization"])
        if self.path == "/api/repos/create":
            return self._send({"url": "https://huggingface.co/me/mine"})
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            return self._send({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        if self.server.status != 200:
            return self._send({"error": "no"}, self.server.status)
        return self._send({"commitUrl": "https://huggingface.co/me/mine/commit/1", "commitOid": "1", "success": True})

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.tokens, server.status = [], set(), 200
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    set_client_factory(lambda: httpx2.Client(transport=ToServer(server.server_port)))
    yield server
    set_client_factory(default_client_factory)
    server.shutdown()
    thread.join()
    server.server_close()


def push(world: Path, output: Path) -> Ran:
    pushed = ["--task", "phrases", "--push-to-hub", "me/mine"]
    return export(world, world / "bert", "linear", str(world / "mine.yaml"), *pushed, output=output, online=True)


def test_the_folder_is_pushed_in_one_commit(world: Path, tmp_path: Path, hub: Any) -> None:
    folder = tmp_path / "tagger"
    ran = push(world, folder)
    assert (ran.status, ran.out) == (0, "https://huggingface.co/me/mine/commit/1\n"), ran.err
    assert 'from_pretrained("me/mine")' in (folder / "README.md").read_text().replace("'", '"')
    assert json.loads(hub.asked[0][1])["name"] == "mine" and hub.tokens == {"Bearer hf_test"}
    (commit,) = (body for path, body in hub.asked if path.startswith("/api/models/me/mine/commit/main"))
    sent = [json.loads(line)["value"] for line in commit.splitlines()][1:]
    assert {file["path"] for file in sent} == {path.name for path in folder.iterdir()}
    for file in sent:
        assert b64decode(file["content"]) == (folder / file["path"]).read_bytes()


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (401, "the Hub does not accept the token (401)", "log in with `hf auth login`, then run"),
        (403, "the token may not write there (403)", "log in with `hf auth login` and a token that may, then run"),
        (500, "the files can't be uploaded (Server error '500 Internal Server Error' for url", "run"),
    ],
)
def test_an_upload_that_the_hub_refuses_is_one_sentence(
    world: Path, tmp_path: Path, hub: Any, status: int, reason: str, remedy: str
) -> None:
    hub.status = status
    ran = push(world, tmp_path / "out")
    assert (ran.status, ran.out) == (2, "")
    (told,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert told.startswith(f"error: --push-to-hub me/mine: {reason}") and "Traceback" not in ran.err
    assert told.endswith(f". The export is in {tmp_path}/out; {remedy} `hf upload me/mine {tmp_path}/out`")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_nothing_is_computed_for_an_upload_without_a_token(
    world: Path, tmp_path: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    ran = push(world, tmp_path / "out")
    assert ran.err.splitlines() == [
        "error: --push-to-hub me/mine: needs a token of the Hub; log in with `hf auth login`, or set HF_TOKEN"
    ]
    assert hub.asked == [] and not list(tmp_path.iterdir())


def test_an_adapter_of_a_local_model_is_not_pushed(world: Path, llama: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"store": world / "store", "data_root": world / "data", "device": "cpu"}
    with pytest.raises(xb.UserError, match="because nobody else has its base model, a local folder; add --merge"):
        xb.export(
            tmp_path / "x", llama, world / "lora.yaml", str(world / "linear.yaml"), push_to_hub="me/mine", **given
        )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xlm-roberta", "distilbert", "mt5", "llama", "gemma"])
def test_families_are_exported_with_equal_numbers(world: Path, family: str) -> None:
    base = write_family(world / f"of-{family}", family).name
    for name, more in (("encoder", []), ("tokens", ["--task", "phrases"]), ("sentences", ["--sentence-transformers"])):
        assert largest_difference(exported(world, f"{family}-{name}", *more, base=base)) < EXACT
    assert AutoModelForTokenClassification.from_pretrained(world / "exports" / f"{family}-tokens").config.id2label[0]


def test_an_adapter_that_was_fine_tuned_is_merged(world: Path) -> None:
    suite = yaml.safe_load((world / "linear.yaml").read_text())
    finetuning = suite["finetuning"] | {"adapter": {"r": 2}}
    write_yaml(world / "lora-tuned.yaml", suite | {"name": "lora-tuned", "finetuning": finetuning})
    folder = exported(world, "tuned-by-adapter", "--task", "phrases", suite="lora-tuned")
    assert largest_difference(folder) < EXACT
    assert "a LoRA adapter, merged into the weights" in (folder / "README.md").read_text()
    assert (folder / "model.safetensors").is_file() and not (folder / "adapter_config.json").exists()

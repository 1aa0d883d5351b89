"""The checkpoint that ships with the package, and the script that makes it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xrealign_bench.demo.phrases import LANGUAGES, pretraining_lines, task_rows

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "xrealign_bench" / "demo" / "checkpoint"


def test_ships_with_its_licence_and_card() -> None:
    assert "UNICODE LICENSE V3" in (CHECKPOINT / "LICENSE-UNICODE.txt").read_text(encoding="utf-8")
    card = (CHECKPOINT / "README.md").read_text(encoding="utf-8")
    assert "license: unicode-3.0" in card and "scripts/pretrain_demo_checkpoint.py" in card
    assert sum(file.stat().st_size for file in CHECKPOINT.iterdir()) < 6_000_000


def test_config_is_the_small_bert() -> None:
    config = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("bert", 4, 128)
    assert config["hidden_dropout_prob"] == 0.1


def test_loads_as_any_checkpoint_does() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    model = transformers.AutoModel.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    words = [row.words for row in task_rows("am", "test", 8)]
    batch = tokenizer(words, is_split_into_words=True, padding=True, return_tensors="pt")
    for at, row in enumerate(words):
        assert {word for word in batch.word_ids(at) if word is not None} == set(range(len(row)))
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    assert hidden.shape == (*batch["input_ids"].shape, 128) and torch.isfinite(hidden).all()


@pytest.mark.parametrize("languages", [LANGUAGES[::10], pytest.param(LANGUAGES, marks=pytest.mark.slow)])
def test_every_language_is_in_the_vocabulary(languages: tuple[str, ...]) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    for language in languages:
        ids = [token for line in pretraining_lines(language, 40, 77) for token in tokenizer(line)["input_ids"]]
        assert ids.count(tokenizer.unk_token_id) <= 0.005 * len(ids), language


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location(
        "pretrain_demo_checkpoint", ROOT / "scripts/pretrain_demo_checkpoint.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def settings(script: ModuleType, **changes: object) -> object:
    made = script.Settings(
        seed=0, vocabulary=12_000, tokenizer_lines=1, lines_per_language=1, batch_lines=4, learning_rate=1e-3,
        weight_decay=0.0, warmup=0.1, masked=0.3, dropout=0.0,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def test_learning_rate_ends_at_zero(script: ModuleType) -> None:
    made = settings(script)
    assert script.rate(0.0, made) == 0.0
    assert script.rate(0.1, made) == pytest.approx(1e-3)
    assert script.rate(0.55, made) == pytest.approx(0.5e-3)  # half-way down the cosine
    assert script.rate(1.0, made) == pytest.approx(0.0)


def test_whole_words_are_masked(script: ModuleType) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    lines = script.tokenise(tokenizer, pretraining_lines("fi", 64))
    rows = np.arange(len(lines))
    ids, attention, positions, targets = script.masked_batch(
        lines, rows, settings(script), 12_000, np.random.default_rng(0)
    )
    original = [tokenizer.encode(line) for line in pretraining_lines("fi", 64)]
    width = ids.shape[1]
    chosen = np.zeros(ids.shape, dtype=bool)
    chosen.reshape(-1)[positions.numpy()] = True
    assert attention.sum(1).tolist() == [len(line.ids) for line in original]
    for at, line in enumerate(original):
        words = np.array([-1 if word is None else word for word in line.word_ids] + [-1] * (width - len(line.ids)))
        assert chosen[at].any() and not chosen[at][words == -1].any()
        for word in range(words.max() + 1):
            assert len(set(chosen[at][words == word])) == 1
    flat = np.concatenate([np.array(line.ids) for line in original])
    assert targets.tolist() == flat[chosen[attention.numpy() == 1]].tolist()
    kept = attention.numpy().astype(bool) & ~chosen
    assert ids.numpy()[kept].tolist() == flat[kept[attention.numpy() == 1]].tolist()


def test_an_interrupted_run_goes_on(script: ModuleType, tmp_path: Path) -> None:
    import torch

    model = script.new_model(settings(script), 200)
    optimizer = torch.optim.AdamW(script.parameter_groups(model, settings(script)), lr=1e-3)
    batch = torch.randint(5, 200, (2, 6)), torch.ones(2, 6), torch.tensor([1, 7]), torch.tensor([9, 10])
    script.masked_loss(model, batch).backward()
    optimizer.step()
    script.save_snapshot(tmp_path, model, optimizer, script.PretrainingState(steps=7, round=2, batch=3))
    again = script.new_model(settings(script, seed=1), 200)
    state = script.load_snapshot(tmp_path, again, torch.optim.AdamW(script.parameter_groups(again, settings(script))))
    assert state == script.PretrainingState(steps=7, round=2, batch=3)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name

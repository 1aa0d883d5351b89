"""The word classifier. Truth: the encoder's own hidden states, and invariance to padding and company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.models.conftest import new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.windows import collate
from xrealign_bench.tasks.token_classification.model import TokenClassifier

SENTENCES = [["Montag", "17.", "März"], ["zwölf", "Euro", "und", "fünfzig", "Cent", "2003年"], ["понедельник"]]


def logits_of(model: TokenClassifier, windows: list, pad: int) -> list[torch.Tensor]:  # type: ignore[type-arg]
    batch = collate(windows, pad)
    with torch.no_grad():
        logits = model(batch.input_ids, batch.attention_mask, batch.starts)
    return [row[: len(w.starts)] for row, w in zip(logits, windows, strict=True)]


@pytest.mark.few_families
def test_logits_do_not_depend_on_padding(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    model = TokenClassifier(new_encoder(checkpoint), 4).eval()
    windows = encode_words(tokenizer, SENTENCES, 64)
    pad = tokenizer.pad_token_id
    together = logits_of(model, windows, pad)
    for window, logits in zip(windows, together, strict=True):
        [alone] = logits_of(model, [window], pad)
        assert torch.allclose(alone, logits, atol=1e-5)
        assert alone.shape == (len(window.starts), 4)


@pytest.mark.few_families
def test_logits_are_linear_in_the_first_sub_word(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    encoder = new_encoder(checkpoint)
    model = TokenClassifier(encoder, 4).eval()
    window = encode_words(tokenizer, SENTENCES, 64)[1]
    ids = torch.tensor([window.input_ids])
    with torch.no_grad():
        hidden = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        expected = hidden[window.starts] @ model.classifier.weight.T + model.classifier.bias
    assert torch.allclose(logits_of(model, [window], 0)[0], expected, atol=1e-6)


@pytest.mark.few_families
def test_encoder_and_head_get_gradients(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    model = TokenClassifier(new_encoder(checkpoint), 4).train()
    batch = collate(encode_words(tokenizer, SENTENCES, 64), tokenizer.pad_token_id)
    labels = torch.where(batch.starts >= 0, batch.starts % 4, -100)
    logits = model(batch.input_ids, batch.attention_mask, batch.starts)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_initial_weights_depend_on_the_seed(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = new_encoder(checkpoints["bert"])
    encoder.config.initializer_range = 0.5
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(TokenClassifier(encoder, 500).classifier.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("bert", {"classifier_dropout": 0.3, "hidden_dropout_prob": 0.2}, 0.3),
        ("bert", {"hidden_dropout_prob": 0.2}, 0.2),
        ("distilbert", {"dropout": 0.25}, 0.25),
        ("deberta-v2", {"cls_dropout": 0.15}, 0.15),
        ("modernbert", {"classifier_dropout": 0.0}, 0.0),
    ],
)
def test_dropout_comes_from_the_configuration(
    make_checkpoint: Callable[..., Path], name: str, settings: dict[str, float], expected: float
) -> None:
    encoder = load_encoder(resolve_checkpoint(str(make_checkpoint(name, **settings))), seed=0)
    assert TokenClassifier(encoder, 2).dropout.p == expected
    assert TokenClassifier(encoder, 2, dropout=0.5).dropout.p == 0.5


def test_too_long_an_input_is_refused(checkpoints: dict[str, Checkpoint]) -> None:
    model = TokenClassifier(new_encoder(checkpoints["bert"]), 2)
    ids = torch.full((1, 73), 11)
    with pytest.raises(UserError, match="73 sub-words, but the model has 72 positions"):
        model(ids, torch.ones_like(ids), torch.tensor([[1]]))

"""The classifier of starts and ends. Truth: the encoder's own hidden states, and invariance to padding and company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.models.conftest import new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.tasks.question_answering.encoding import SpanWindow, collate_spans, encode_questions, tokenise
from xrealign_bench.tasks.question_answering.model import SpanClassifier

CONTEXTS = ["Montag 17. März zwölf Euro", "понедельник"]
READ_TYPES = {"bert", "electra", "rembert", "roberta", "xlm-roberta", "xmod"}
"""Of the tiny checkpoints, those that know two types of tokens."""


def windows_of(checkpoint: Checkpoint) -> tuple[list[SpanWindow], int]:
    tokenizer = load_tokenizer(checkpoint)
    contexts = tokenise(tokenizer, CONTEXTS)
    asked = ["Wann?", "Euro und Cent"]
    windows, _ = encode_questions(tokenizer, asked, contexts, [(0, 6), (0, 4)], max_length=64, doc_stride=8)
    return windows, tokenizer.pad_token_id


def logits_of(model: SpanClassifier, windows: list[SpanWindow], pad: int) -> list[torch.Tensor]:
    batch = collate_spans(windows, pad)
    with torch.no_grad():
        logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    return [row[: len(w.input_ids)] for row, w in zip(logits, windows, strict=True)]


@pytest.mark.few_families
def test_logits_do_not_depend_on_padding(checkpoint: Checkpoint) -> None:
    model = SpanClassifier(new_encoder(checkpoint)).eval()
    windows, pad = windows_of(checkpoint)
    for window, together in zip(windows, logits_of(model, windows, pad), strict=True):
        [alone] = logits_of(model, [window], pad)
        assert torch.allclose(alone, together, atol=1e-5)
        assert alone.shape == (len(window.input_ids), 2)


@pytest.mark.few_families
def test_logits_are_linear_in_each_sub_word(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    model = SpanClassifier(encoder).eval()
    windows, pad = windows_of(checkpoint)
    ids = torch.tensor([windows[0].input_ids])
    with torch.no_grad():
        hidden = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        expected = hidden @ model.classifier.weight.T + model.classifier.bias
    # The tiny tokenizers give every token type 0, which is what encoders take where they are told nothing.
    assert torch.allclose(logits_of(model, windows[:1], pad)[0], expected, atol=1e-6)


def test_types_are_read_by_encoders_that_know_them(checkpoints: dict[str, Checkpoint]) -> None:
    changed = set()
    for name, checkpoint in checkpoints.items():
        model = SpanClassifier(new_encoder(checkpoint)).eval()
        ids = torch.full((1, 6), 9)
        with torch.no_grad():
            none, some = (model(ids, torch.ones_like(ids), types) for types in (ids * 0, (ids > 0).long()))
        if not torch.equal(none, some):
            changed.add(name)
    assert changed == READ_TYPES


def test_an_encoder_with_one_type_is_told_none(make_checkpoint: Callable[..., Path]) -> None:
    """XLM-R has a table of types with one row."""
    checkpoint = resolve_checkpoint(str(make_checkpoint("xlm-roberta", type_vocab_size=1)))
    model = SpanClassifier(new_encoder(checkpoint)).eval()
    ids = torch.full((1, 6), 9)
    assert model(ids, torch.ones_like(ids), torch.ones_like(ids)).shape == (1, 6, 2)


@pytest.mark.few_families
def test_encoder_and_head_get_gradients(checkpoint: Checkpoint) -> None:
    model = SpanClassifier(new_encoder(checkpoint)).train()
    batch = collate_spans(*windows_of(checkpoint))
    logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    torch.nn.functional.cross_entropy(logits, torch.zeros(2, 2, dtype=torch.long)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_initial_weights_depend_on_the_seed(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = new_encoder(checkpoints["bert"])
    encoder.config.initializer_range = 0.5
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(SpanClassifier(encoder).classifier.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx(0.5, rel=0.4)
    assert SpanClassifier(encoder).dropout.p == 0.1 and SpanClassifier(encoder, dropout=0.5).dropout.p == 0.5


def test_too_long_an_input_is_refused(checkpoints: dict[str, Checkpoint]) -> None:
    model = SpanClassifier(new_encoder(checkpoints["bert"]))
    ids = torch.full((1, 73), 11)
    with pytest.raises(UserError, match="73 sub-words, but the model has 72 positions"):
        model(ids, torch.ones_like(ids), torch.zeros_like(ids))

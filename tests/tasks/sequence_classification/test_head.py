"""The classifier of texts. Truth: the encoder's own hidden states, and invariance to padding and company."""

from __future__ import annotations

import pytest
import torch

from tests.models.conftest import new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.windows import collate_tokens
from xrealign_bench.tasks.heads import token_types
from xrealign_bench.tasks.sequence_classification.encoding import encode_texts
from xrealign_bench.tasks.sequence_classification.model import SequenceClassifier

TEXTS = ["Montag 17. März", "zwölf Euro und fünfzig Cent 2003年", "понедельник"]
PAIRS = ["On Monday", "twelve euros", "17 марта 2003 года"]
TYPED = {"bert", "xlm-roberta", "roberta", "electra", "rembert", "xmod"}
"""Architectures whose tiny configurations here know two types of tokens."""


@pytest.mark.few_families
def test_logits_do_not_depend_on_padding(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    model = SequenceClassifier(new_encoder(checkpoint), 3).eval()
    ids = encode_texts(tokenizer, TEXTS, PAIRS, 64).input_ids
    types = [[int(place > row.index(row[-1])) for place in range(len(row))] for row in ids]
    batch = collate_tokens(ids, tokenizer.pad_token_id, types)
    with torch.no_grad():
        together = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        alone = [
            model(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long), torch.tensor([own]))[0]
            for row, own in zip(ids, types, strict=True)
        ]
    assert together.shape == (3, 3)
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)


def text_vector(hidden: torch.Tensor, model_type: str) -> torch.Tensor:
    """Of one text (1, tokens, dim), by the names of architectures, which the package does not know."""
    if model_type in ("mt5", "umt5", "m2m_100"):
        return hidden.mean(1)
    causal = ("bloom", "xglm", "llama", "mistral", "qwen", "gemma", "opt", "gpt2", "apertus")
    return hidden[:, -1] if model_type.startswith(causal) else hidden[:, 0]


@pytest.mark.few_families
def test_logits_are_linear_in_the_vector_of_a_text(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    encoder = new_encoder(checkpoint)
    model = SequenceClassifier(encoder, 3).eval()
    ids = torch.tensor(encode_texts(tokenizer, TEXTS[:1], None, 64).input_ids)
    if model.pooling == "first_token":
        assert ids[0, 0] == tokenizer.cls_token_id
    mask = torch.ones_like(ids)
    with torch.no_grad():
        hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        vector = text_vector(hidden, checkpoint.model_type)
        expected = vector @ model.classifier.weight.T + model.classifier.bias
        assert torch.allclose(model(ids, mask, None), expected, atol=1e-6)


@pytest.mark.few_families
def test_encoder_and_head_get_gradients(checkpoint: Checkpoint) -> None:
    tokenizer = load_tokenizer(checkpoint)
    model = SequenceClassifier(new_encoder(checkpoint), 3).train()
    batch = collate_tokens(encode_texts(tokenizer, TEXTS, PAIRS, 64).input_ids, tokenizer.pad_token_id)
    logits = model(batch.input_ids, batch.attention_mask, None)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_token_types_reach_the_encoders_that_tell_them_apart(checkpoints: dict[str, Checkpoint]) -> None:
    for name, checkpoint in checkpoints.items():
        encoder = new_encoder(checkpoint)
        model = SequenceClassifier(encoder, 3).eval()
        ids = torch.tensor([[2, 7, 9, 3, 8, 3]])
        mask, types = torch.ones_like(ids), torch.tensor([[0, 0, 0, 0, 1, 1]])
        with torch.no_grad():
            told, untold = model(ids, mask, types), model(ids, mask, None)
        assert (not torch.equal(told, untold)) == (name in TYPED), name
        if name in TYPED:
            hidden = encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
            expected = hidden[:, 0] @ model.classifier.weight.T + model.classifier.bias
            assert torch.allclose(told, expected, atol=1e-6)


def test_a_single_type_is_none(checkpoints: dict[str, Checkpoint], make_checkpoint) -> None:  # type: ignore[no-untyped-def]
    """XLM-R's own configuration: one type, whatever the tokenizer says."""
    encoder = load_encoder(resolve_checkpoint(str(make_checkpoint("xlm-roberta", type_vocab_size=1))), seed=0)
    assert token_types(encoder) == 1
    assert token_types(new_encoder(checkpoints["distilbert"])) == 0
    model = SequenceClassifier(encoder, 2).eval()
    ids = torch.tensor([[2, 7, 3, 8, 3]])
    with torch.no_grad():
        told = model(ids, torch.ones_like(ids), torch.tensor([[0, 0, 0, 1, 1]]))
        assert torch.equal(told, model(ids, torch.ones_like(ids), None))


def test_inputs_beyond_the_models_positions_or_token_types_are_refused(checkpoints: dict[str, Checkpoint]) -> None:
    model = SequenceClassifier(new_encoder(checkpoints["bert"]), 2)
    ids = torch.full((1, 73), 11)
    with pytest.raises(UserError, match="73 sub-words, but the model has 72 positions"):
        model(ids, torch.ones_like(ids), None)
    ids = ids[:, :4]
    with pytest.raises(UserError, match="numbers token types up to 2, but the model has only 2"):
        model(ids, torch.ones_like(ids), torch.tensor([[0, 0, 1, 2]]))


def test_initial_weights_depend_on_the_seed_and_dropout_on_the_configuration(
    checkpoints: dict[str, Checkpoint],
) -> None:
    encoder = new_encoder(checkpoints["bert"])
    encoder.config.initializer_range = 0.5
    encoder.config.classifier_dropout = 0.3
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(SequenceClassifier(encoder, 500))
    first, second, other = (model.classifier.weight for model in models)
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert first.std().item() == pytest.approx(0.5, rel=0.05)
    assert not models[0].classifier.bias.any()
    assert models[0].dropout.p == 0.3

"""Mixed precision and gradient checkpointing, for every architecture. Truth: float32, and torch's own rounding."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import new_encoder
from tests.models.test_families import copied, pairs, quiet
from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.precision import enable_gradient_checkpointing, loss_scaler, set_precision
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.losses import RealignmentLog
from xrealign_bench.realignment.pairs import PairCorpus
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Freeze, Objective, Schedule

CPU = torch.device("cpu")
IDS = torch.arange(8, 20).unsqueeze(0)


def hidden_states(encoder: nn.Module) -> list[Tensor]:
    with torch.no_grad():
        return [block_output(encoder, layer, IDS, torch.ones_like(IDS)) for layer in ("penultimate", "last")]


def realigned(checkpoint: Checkpoint, encoder: nn.Module) -> RealignmentLog:
    tokenizer = load_tokenizer(checkpoint)
    corpus = PairCorpus({"de": pairs(tokenizer)}, tokenizer.pad_token_id)
    schedule = Schedule(steps=2, learning_rate=1e-3, batch_size=3)
    settings = Realignment("word_contrastive", Objective(projection=8), Freeze(blocks=[0]), schedule)
    return realign(encoder, corpus, settings, seed=3, device=CPU, progress=quiet)


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.few_families)])
@pytest.mark.distinct_families
def test_an_encoder_computes_in_less_and_gives_and_keeps_float32(checkpoint: Checkpoint, precision: Any) -> None:
    plain, lower = (new_encoder(checkpoint) for _ in range(2))
    if checkpoint.model_type == "xmod":  # transformers' code for it
        with pytest.raises(UserError, match=f"a XmodModel can't be computed in {precision} .*; use --precision fp32"):
            set_precision(lower, precision, CPU)
        return
    set_precision(lower, precision, CPU)
    inside: set[torch.dtype] = set()
    for module in lower.modules():
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
            module.register_forward_hook(lambda _module, _given, out: inside.add(out.dtype))
    for rough, exact in zip(hidden_states(lower), hidden_states(plain), strict=True):
        assert rough.dtype == torch.float32
        assert not torch.equal(rough, exact)
        assert torch.allclose(rough, exact, atol=0.08 if precision == "bfloat16" else 0.02)
    assert inside == {getattr(torch, precision)}
    assert {parameter.dtype for parameter in lower.parameters()} == {torch.float32}


@pytest.mark.few_families
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_is_realigned_nearly_as_in_float32(checkpoint: Checkpoint, precision: Any) -> None:
    if checkpoint.model_type == "xmod":
        pytest.skip("is refused")
    logs, moved = [], []
    for name in ("float32", precision):
        encoder = new_encoder(checkpoint)
        before = copied(encoder)
        set_precision(encoder, name, CPU)
        logs.append(realigned(checkpoint, encoder))
        moved.append({n for n, tensor in encoder.state_dict().items() if not torch.equal(tensor, before[n])})
    assert logs[1].losses == pytest.approx(logs[0].losses, abs=0.15)
    assert logs[1].losses != logs[0].losses
    assert moved[1] and moved[1] <= moved[0]
    assert logs[1].trained == logs[0].trained


@pytest.mark.distinct_families
def test_checkpointed_gradients_are_the_same(checkpoint: Checkpoint) -> None:
    """Dropout is drawn again from the same state."""
    if checkpoint.model_type == "mpnet":
        with pytest.raises(UserError, match="a MPNetModel is not made for gradient checkpointing; leave"):
            enable_gradient_checkpointing(new_encoder(checkpoint))
        return
    outcomes = []
    for checkpointed in (False, True):
        encoder = new_encoder(checkpoint)
        if checkpointed:
            enable_gradient_checkpointing(encoder)
        outcomes.append((realigned(checkpoint, encoder).losses, copied(encoder)))
    assert outcomes[1][0] == outcomes[0][0]
    for name, tensor in outcomes[1][1].items():
        torch.testing.assert_close(tensor, outcomes[0][1][name], atol=1e-5, rtol=0)


def test_a_copy_of_an_encoder_runs_the_copy(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = new_encoder(checkpoints["bert"])
    set_precision(encoder, "bfloat16", CPU)
    other = copy.deepcopy(encoder)
    before = hidden_states(encoder)[1]
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert torch.equal(hidden_states(other)[1], before)


def test_losses_are_scaled_in_float16_alone(checkpoints: dict[str, Checkpoint]) -> None:
    for precision, scaled in (("float32", False), ("bfloat16", False), ("float16", True)):
        encoder = new_encoder(checkpoints["bert"])
        set_precision(encoder, precision, CPU)  # type: ignore[arg-type]
        assert loss_scaler(encoder, CPU).is_enabled() == scaled

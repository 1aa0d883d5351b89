"""Bidirectional decoders. Truth: which tokens' hidden states change when another token changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.models.test_language_model import DECODERS
from xrealign_bench.errors import UserError
from xrealign_bench.models.attention import make_bidirectional
from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.precision import set_precision

REFUSED = ["bloom", "opt"]
IDS = torch.arange(8, 20).unsqueeze(0)


def states(encoder: nn.Module, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return block_output(encoder, "last", ids, torch.ones_like(ids) if mask is None else mask)


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in REFUSED])
def test_every_token_sees_every_other_but_padding(checkpoints: dict[str, Checkpoint], name: str) -> None:
    encoder = load_encoder(checkpoints[name], seed=0)
    make_bidirectional(encoder)
    alone = states(encoder, IDS)
    for place in range(IDS.shape[1]):
        changed = IDS.clone()
        changed[0, place] = 30
        assert ((states(encoder, changed) - alone)[0].abs().max(-1).values > 0).all()
    for filler in (0, 7):
        padded = torch.cat([IDS, torch.full((1, 5), filler)], 1)
        mask = (torch.arange(padded.shape[1]) < IDS.shape[1]).long().unsqueeze(0)
        assert torch.allclose(states(encoder, padded, mask)[:, : IDS.shape[1]], alone, atol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_takes_no_such_mask_is_refused(checkpoints: dict[str, Checkpoint], name: str) -> None:
    with pytest.raises(UserError, match="can't attend in both directions; leave attention: bidirectional out"):
        make_bidirectional(load_encoder(checkpoints[name], seed=0))


def test_it_computes_in_a_lower_precision_too(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = load_encoder(checkpoints["llama"], seed=0)
    one_sided = states(encoder, IDS)
    make_bidirectional(encoder)
    exact = states(encoder, IDS)
    set_precision(encoder, "bfloat16", torch.device("cpu"))
    rough = states(encoder, IDS)
    assert not torch.equal(rough, exact) and torch.allclose(rough, exact, atol=0.05)
    assert not torch.allclose(one_sided, exact, atol=0.05)

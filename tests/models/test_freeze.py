"""Blocks are found, frozen and run alike in every architecture. Truth: the full model's own hidden states, and weights
compared bit by bit before and after training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModel

from tests.models.conftest import new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.blocks import (
    all_block_outputs,
    block_output,
    find_blocks,
    find_parts,
    position_limit,
    resolve_layer,
)
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.freeze import freeze, select_blocks
from xrealign_bench.specs import Freeze

LAYERS = 5
FINAL = (
    "final_norm",
    "norm.",
    "ln_f",
    "final_layer_norm",
    "layer_norm.",
    "decoder.final_layer_norm",
    "decoder.project_out",
)
"""What comes after the last block, by the names that architectures give it."""
WITHOUT_BIASES = {
    "llama", "mistral", "qwen3", "gemma", "gemma2", "gemma3_text", "apertus", "mt5", "umt5", "modernbert", "eurobert",
}  # fmt: skip
IDS = torch.tensor([[2, 11, 12, 13, 14, 3], [2, 15, 16, 3, 0, 0]])
MASK = (IDS != 0).long()

CHOICES = [
    # what the recipe says, and which blocks that means of five
    (Freeze(), []),
    (Freeze(blocks="lower_half"), [0, 1]),
    (Freeze(blocks="upper_half"), [2, 3, 4]),
    (Freeze(blocks="lower_half", embeddings=True), [0, 1]),
    (Freeze(embeddings=True), []),
    (Freeze(blocks=[4, 1]), [1, 4]),
    (Freeze(blocks="::2"), [0, 2, 4]),
    (Freeze(blocks="-2:"), [3, 4]),
    (Freeze(blocks=":"), [0, 1, 2, 3, 4]),
    (Freeze(blocks="lower_third"), [0]),
    (Freeze(blocks="middle_third"), [1, 2]),
    (Freeze(blocks="upper_third"), [3, 4]),
]


def block_of(name: str) -> int | None:
    """The block that a parameter lies in, read off its name (the names here are the test's own truth)."""
    for part, after in zip(name.split("."), name.split(".")[1:], strict=False):
        if part in ("layer", "layers", "h", "block"):
            return int(after)
    return 0 if "encoder.conv" in name else None


def is_embedding(name: str, model_type: str) -> bool:
    # In DeBERTa a norm of this name is that of the relative positions.
    final = (*FINAL, "encoder.LayerNorm") if model_type == "xlm-roberta-xl" else FINAL
    return block_of(name) is None and not name.startswith(final) and "pooler" not in name


def test_blocks_are_the_layers_in_order(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    names = {id(module): name for name, module in encoder.named_modules()}
    found = [names[id(block)] for block in find_blocks(encoder)]
    stem = found[0].rpartition(".")[0]
    assert found == [f"{stem}.{n}" for n in range(LAYERS)]
    assert stem.endswith(("layer", "layers", "h", "block"))


def test_embeddings_are_what_stands_in_front(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    found = {id(p) for module in find_parts(encoder).embeddings for p in module.parameters()}
    assert {name for name, p in encoder.named_parameters() if id(p) in found} == {
        name for name, _ in encoder.named_parameters() if is_embedding(name, checkpoint.model_type)
    }


@pytest.mark.few_families
@pytest.mark.parametrize(("spec", "blocks"), CHOICES, ids=str)
def test_exactly_the_frozen_parameters_stay(checkpoint: Checkpoint, spec: Freeze, blocks: list[int]) -> None:
    encoder = new_encoder(checkpoint)
    report = freeze(encoder, spec)
    assert report.blocks == blocks
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    optimiser = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=1e-2)
    encoder.train()
    for step in range(2):
        torch.manual_seed(step)
        optimiser.zero_grad()
        hidden = block_output(encoder, "last", IDS, MASK)
        (hidden * torch.randn(hidden.shape[-1])).square().sum().backward()
        optimiser.step()
    frozen = {
        n for n in before if block_of(n) in blocks or (spec.embeddings and is_embedding(n, checkpoint.model_type))
    }
    for name, parameter in encoder.named_parameters():
        same = torch.equal(parameter, before[name])
        if name in frozen:
            assert same and parameter.grad is None, name
        elif parameter.grad is not None and parameter.grad.any():
            assert not same, name
    moved = {n for n, p in encoder.named_parameters() if not torch.equal(p, before[n])}
    idle = {n for n in set(before) - frozen - moved if "adapter_modules.de_DE" not in n}  # XMOD's other language
    assert not idle, idle
    sizes = {name: p.numel() for name, p in before.items()}
    assert report.frozen == sum(sizes[n] for n in frozen)
    assert report.trained == sum(sizes.values()) - report.frozen


@pytest.mark.distinct_families
def test_no_graph_below_a_frozen_front(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint).train()
    freeze(encoder, Freeze(blocks="lower_half", embeddings=True))
    inputs: list[torch.Tensor] = []
    find_blocks(encoder)[2].register_forward_pre_hook(
        lambda _, args, kwargs: inputs.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    hidden = block_output(encoder, "last", IDS, MASK)
    assert inputs[0].grad_fn is None and not inputs[0].requires_grad
    assert hidden.requires_grad


@pytest.mark.parametrize("blocks", ["none", pytest.param("upper_third", marks=pytest.mark.few_families)])
@pytest.mark.distinct_families
def test_only_norms_are_trained(checkpoint: Checkpoint, blocks: str) -> None:
    encoder = new_encoder(checkpoint)
    freeze(encoder, Freeze(blocks=blocks, train_only="layer_norms"))
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    frozen = [3, 4] if blocks == "upper_third" else []
    by_name = {n for n, p in encoder.named_parameters() if re.search("norm|ln_", n.lower()) and p.dim() == 1}
    assert trained == {name for name in by_name if block_of(name) not in frozen} != set()


@pytest.mark.distinct_families
def test_only_biases_are_trained(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    biases = {name for name, _ in encoder.named_parameters() if name.endswith(".bias")}
    spec = Freeze(train_only="biases")
    if not biases:
        assert checkpoint.model_type in WITHOUT_BIASES
        with pytest.raises(UserError, match=r"train_only: this \w+ has no biases to train"):
            freeze(encoder, spec)
        return
    report = freeze(encoder, spec)
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == biases
    assert report.trained == sum(p.numel() for name, p in encoder.named_parameters() if name in biases)


def test_freezing_again_starts_from_nothing(checkpoints: dict[str, Checkpoint]) -> None:
    encoder = new_encoder(checkpoints["bert"])
    freeze(encoder, Freeze(blocks="upper_half"))
    assert freeze(encoder, Freeze()).frozen == 0


@pytest.mark.distinct_families
def test_block_output_is_the_hidden_state(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    with torch.no_grad():
        full = encoder(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
        for number in range(LAYERS):
            assert torch.equal(block_output(encoder, number, IDS, MASK), full.hidden_states[number + 1])
        assert torch.equal(block_output(encoder, "penultimate", IDS, MASK), full.hidden_states[LAYERS - 1])
        assert torch.equal(block_output(encoder, "last", IDS, MASK), full.last_hidden_state)


@pytest.mark.distinct_families
def test_all_block_outputs_are_the_hidden_states(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    with torch.no_grad():
        full = encoder(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
        outputs = all_block_outputs(encoder, IDS, MASK)
    assert len(outputs) == LAYERS + 1
    for output, hidden in zip(outputs, [*full.hidden_states[:LAYERS], full.last_hidden_state], strict=True):
        assert torch.equal(output, hidden)


@pytest.mark.few_families
def test_blocks_above_are_not_run(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    run: list[int] = []
    for number, block in enumerate(find_blocks(encoder)):
        block.register_forward_hook(lambda *_, number=number: run.append(number))
    block_output(encoder, 1, IDS, MASK)
    assert run == [0, 1]
    block_output(encoder, "last", IDS, MASK)
    assert run == [0, 1, *range(LAYERS)]


@pytest.mark.few_families
def test_looking_draws_no_random_numbers_and_keeps_the_mode(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint).train()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    freeze(encoder, Freeze(blocks="lower_half"))
    assert torch.equal(torch.rand(3), expected)
    assert all(module.training for module in encoder.modules())


def test_halves_of_an_even_number() -> None:
    assert select_blocks("lower_half", 12) == list(range(6))
    assert select_blocks("upper_half", 12) == list(range(6, 12))


@pytest.mark.parametrize(
    ("selection", "n_blocks", "message"),
    [
        ([0, 7, 9], 5, r"names block 7, 9, but the model has 5: 0 to 4"),
        ("9:", 5, r"'9:' selects none of the model's 5 blocks; write 'none'"),
        ([], 5, r"selects none"),
        ("lower_half", 1, r"selects none of the model's 1 blocks"),
    ],
)
def test_selections_that_do_not_fit(selection: str | list[int], n_blocks: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        select_blocks(selection, n_blocks)


@pytest.mark.few_families
def test_embeddings_alone_are_trained_through_frozen_blocks(checkpoint: Checkpoint) -> None:
    """With all blocks frozen, the loss on the penultimate block reaches the embeddings and nothing else."""
    encoder = new_encoder(checkpoint)
    report = freeze(encoder, Freeze(blocks=":"))
    assert report.blocks == list(range(LAYERS)) and not report.embeddings
    hidden = block_output(encoder, "penultimate", IDS, MASK)
    (hidden * torch.randn(hidden.shape[-1])).square().sum().backward()
    reached = {name for name, p in encoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached and all(is_embedding(name, checkpoint.model_type) for name in reached)


def test_freezing_everything_is_refused(checkpoints: dict[str, Checkpoint]) -> None:
    with pytest.raises(UserError, match="nothing is left to realign"):
        freeze(new_encoder(checkpoints["bert"]), Freeze(blocks=":", embeddings=True))


@pytest.mark.parametrize(("layer", "n_blocks"), [(5, 5), ("penultimate", 1)])
def test_layers_that_are_not_there(layer: int | str, n_blocks: int) -> None:
    with pytest.raises(UserError, match=rf"layer {layer!r}: the model has no such block; it has {n_blocks}"):
        resolve_layer(layer, n_blocks)  # type: ignore[arg-type]


def test_shared_blocks_are_refused(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("albert", embedding_size=8)
    with pytest.raises(
        UserError, match=r"5 hidden layers.*albert_layer_groups' of 1; models that run one block several"
    ):
        load_encoder(resolve_checkpoint(str(folder)), seed=0)


def test_an_albert_with_as_many_groups_as_layers_is_like_any_other(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("albert", embedding_size=8, num_hidden_groups=LAYERS)
    encoder = load_encoder(resolve_checkpoint(str(folder)), seed=0)
    assert len(find_blocks(encoder)) == LAYERS
    frozen = {id(p) for module in find_parts(encoder).embeddings for p in module.parameters()}
    names = {name for name, p in encoder.named_parameters() if id(p) in frozen}
    assert "encoder.embedding_hidden_mapping_in.weight" in names


class Toy(nn.Module):
    """A model whose lists are set by the test."""

    def __init__(self, layers: int | None, **lists: nn.ModuleList) -> None:
        super().__init__()
        self.config = type("Config", (), {"num_hidden_layers": layers})()
        self.embeddings = nn.Embedding(20, 4)
        for name, modules in lists.items():
            self.add_module(name, modules)
        self.order = list(lists)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.embeddings(input_ids)
        for block in reversed(getattr(self, self.order[0])):
            hidden = block(hidden)
        return hidden


def linears(count: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Linear(4, 4) for _ in range(count)])


def test_blocks_that_cannot_be_told() -> None:
    with pytest.raises(UserError, match="can't be found: it has 3 hidden layers, and its lists of modules are none"):
        find_blocks(Toy(3))
    with pytest.raises(UserError, match="'a' of 3, 'b' of 3; use a checkpoint whose blocks are one list"):
        find_blocks(Toy(3, a=linears(3), b=linears(3)))
    shared = nn.Linear(4, 4)
    with pytest.raises(UserError, match="share parameters"):
        find_blocks(Toy(2, a=nn.ModuleList([shared, shared])))
    assert len(find_blocks(Toy(3, a=linears(3), b=linears(2)))) == 3
    with pytest.raises(UserError, match="don't run once each from the bottom up"):
        freeze(Toy(3, a=linears(3)), Freeze(blocks="lower_half"))


def test_xlm_keeps_its_blocks_in_several_lists(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("xlm", emb_dim=16, n_layers=LAYERS, n_heads=2)
    with pytest.raises(
        UserError, match=r"'attentions' of 5, .*'ffns' of 5.*; use a checkpoint whose blocks are one list"
    ):
        load_encoder(resolve_checkpoint(str(folder)), seed=0)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("bert", 72),
        ("xlm-roberta", 71),
        ("distilbert", 72),
        ("modernbert", None),
        ("deberta-v2", None),
        ("gpt2", 72),
        ("opt", 72),
        ("xglm", None),
        ("llama", None),
        ("mt5", None),
        ("m2m-100", None),
    ],
)
def test_position_limit(checkpoints: dict[str, Checkpoint], name: str, limit: int | None) -> None:
    encoder = new_encoder(checkpoints[name])
    assert position_limit(encoder) == limit
    longest = torch.full((1, limit or 100), 11)
    block_output(encoder, "last", longest, torch.ones_like(longest))
    if limit is not None:
        longer = torch.full((1, limit + 1), 11)
        with pytest.raises(UserError, match=f"{limit + 1} sub-words, but the model has {limit} positions"):
            block_output(encoder, 0, longer, torch.ones_like(longer))
        with pytest.raises((IndexError, RuntimeError)):  # what it would have been
            encoder(input_ids=longer, attention_mask=torch.ones_like(longer))


def test_the_loaded_encoder_is_the_checkpoint(checkpoint: Checkpoint) -> None:
    encoder, plain = load_encoder(checkpoint, seed=0), AutoModel.from_pretrained(checkpoint.folder).eval()
    plain = plain.get_encoder() if plain.config.is_encoder_decoder else plain
    with torch.no_grad():
        expected = plain(input_ids=IDS, attention_mask=MASK).last_hidden_state
        assert torch.equal(encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state, expected)

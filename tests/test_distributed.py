"""Training on several ranks. Truth: a single process with the same batches and without dropout, so that only the order
of sums differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from tests.models.test_families import DATA, TASKS
from tests.realignment.test_before import pairs, run
from tests.realignment.test_joint import finetune, joint_with
from tests.realignment.test_parts import PULLED, with_little_memory
from tests.realignment.toy import PAD, tiny_bert
from tests.several import start
from xrealign_bench import distributed
from xrealign_bench.errors import TrainingError, UserError
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.compute_settings import ComputeSettings, compute_settings
from xrealign_bench.models.device import pick_device, seed_everything
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.training import optimise
from xrealign_bench.realignment.batch_loss import BatchLoss
from xrealign_bench.realignment.contrastive import projection_head
from xrealign_bench.realignment.mixing import draw_batches
from xrealign_bench.realignment.pairs import EncodedPair, batch_pairs
from xrealign_bench.specs import Finetuning, Objective
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.registry import TASK_TYPES

CPU = torch.device("cpu")


class Trained(NamedTuple):
    losses: list[float]
    weights: dict[str, Tensor]
    parts: int
    other: Any = None
    """What else must be equal."""


def realigned(encoder: nn.Module | None = None, **settings: Any) -> Trained:
    encoder = encoder or tiny_bert(dropout=0.0)
    log = run(encoder, **settings)
    return Trained(log.losses, encoder.state_dict(), log.batch_parts, (log.tokens, log.pairs_seen, log.trained))


def words() -> Trained:
    return realigned()


def sentences() -> Trained:
    return realigned(method="sentence_contrastive")


def pulled() -> Trained:
    """Only source texts, which rank 0 reads, have a drift penalty."""
    return realigned(objective=PULLED)


def joint() -> Trained:
    encoder = tiny_bert(dropout=0.0)
    beside = joint_with(encoder)
    model, losses = finetune(encoder, beside)
    return Trained(losses + beside.loss.history, model.state_dict(), 0, beside.log(1).trained)


def little_memory_in_one() -> Trained:
    """Rank 1, or the only rank, has memory for five of sixteen texts at once."""
    encoder = tiny_bert(dropout=0.0)
    alone = distributed.world_size() == 1
    return realigned(with_little_memory(encoder, texts=5) if alone or not distributed.is_main_process() else encoder)


def small_batches() -> Trained:
    """With three examples in batches of two, every other batch has one example: rank 1 gets no part of it."""
    checkpoint = resolve_checkpoint(EMBEDDED)
    tokenizer, implementation, task = (
        load_tokenizer(checkpoint),
        TASK_TYPES["token_classification"],
        TASKS["token_classification"],
    )
    tables, _ = implementation.encode(task, DATA["token_classification"], tokenizer, 40)
    torch.manual_seed(0)
    model = implementation.new_model(load_encoder(checkpoint, seed=0), task)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    assert implementation.train is not None
    finetuning = Finetuning(steps=4, batch_size=2, max_length=40, learning_rate={"default": 1e-3})
    run = FinetuningRun(finetuning, 1, CPU, lambda done, total, note: None)
    log = implementation.train(model, tokenizer.pad_token_id, tables, run)
    return Trained(log.losses, model.state_dict(), log.batch_parts, log.tokens)


def overflowing() -> Trained:
    """At the first scale, the gradient of the second part overflows float32, and so does the sum."""
    weight = nn.Parameter(torch.tensor(1.0))
    factors = [1.0, 8.0]

    def parts(parts: int) -> Iterator[Tensor]:
        yield from (weight * factor for factor in (distributed.shard(factors)))

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    given: dict[str, Any] = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0}
    log = optimise(
        [weight], [parts], steps=1, batch_size=2, scaler=scaler, progress=lambda done, total, note: None, **given
    )
    return Trained(log.losses, {"weight": weight.detach()}, log.batch_parts, scaler.get_scale())


CASES: list[Callable[[], Trained]] = [
    words, sentences, pulled, joint, little_memory_in_one, small_batches, overflowing,
]  # fmt: skip


def broken() -> str:
    """Give a NaN loss on rank 1."""
    weight = nn.Parameter(torch.tensor(0.25))

    def parts(parts: int) -> Iterator[Tensor]:
        yield weight * (1 if distributed.is_main_process() else torch.nan)

    with pytest.raises(TrainingError) as caught:
        given: dict[str, Any] = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0}
        optimise([weight], [parts], steps=1, batch_size=2, progress=lambda done, total, note: None, **given)
    return str(caught.value)


def refused() -> tuple[str, list[int]]:
    """Raise a UserError on rank 1 while rank 0 goes on to the next all-gather; then both go on."""
    with pytest.raises(UserError) as caught, distributed.raise_on_every_rank():
        if not distributed.is_main_process():
            raise UserError("bad")
        distributed.all_gather(1)
        distributed.all_gather(2)
    return str(caught.value), distributed.all_gather(3)


def drawn() -> list[float]:
    torch.manual_seed(5)
    distributed.seed_per_rank()
    return distributed.all_gather(torch.rand(()).item())


OTHERS: list[Callable[[], Any]] = [broken, refused, drawn]


def work(folder: Path) -> None:
    distributed.init(CPU)
    done = {case.__name__: case() for case in [*CASES, *OTHERS]}
    done["compute_settings"] = compute_settings("cpu")
    torch.save(done, folder / f"{'first' if distributed.is_main_process() else 'second'}.pt")
    distributed.shutdown()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run every case on two ranks, and return the results of each."""
    folder = tmp_path_factory.mktemp("processes")
    ran = start(work, folder, folder)
    assert [one.status for one in ran] == [0, 0], ran
    return [torch.load(folder / f"{name}.pt", weights_only=False) for name in ("first", "second")]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_two_train_as_one(together: list[dict[str, Any]], case: Callable[[], Trained]) -> None:
    alone = case()
    for both in together:
        found: Trained = both[case.__name__]
        assert found.losses == pytest.approx(alone.losses, abs=1e-5)
        assert found.other == alone.other
        assert found.weights.keys() == alone.weights.keys()
        for name, weights in found.weights.items():
            if not name.endswith("key.bias"):  # has no gradient but rounding, of which Adam makes whole steps
                torch.testing.assert_close(weights, alone.weights[name], atol=2e-4, rtol=0)
    first, second = (both[case.__name__].weights for both in together)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_the_negatives_are_those_of_all_processes(together: list[dict[str, Any]]) -> None:
    """The negatives are not only those of each rank's half of the batch."""
    chosen = next(draw_batches("round_robin", dict.fromkeys(pairs(), 40), 8, 1, 3))
    batch = [pairs()[language].pairs[number] for language, number in chosen]
    encoder = tiny_bert(dropout=0.0)
    seed_everything(3)
    head = projection_head(32, 128)

    def loss_of(some: list[EncodedPair]) -> float:
        return BatchLoss(encoder, head, "word_contrastive", Objective()).whole(batch_pairs(some, PAD)).item()

    found = together[0]["words"].losses[0]
    assert found == pytest.approx(loss_of(batch), abs=1e-5)
    assert all(found > loss_of(half) + 0.3 for half in (batch[:4], batch[4:]))


@pytest.mark.slow
def test_all_agree_on_the_parts_where_one_is_short_of_memory(together: list[dict[str, Any]]) -> None:
    assert [both["little_memory_in_one"].parts for both in together] == [4, 4]
    assert [both["words"].parts for both in together] == [2, 2]


@pytest.mark.slow
def test_a_failure_in_one_is_raised_in_all_and_they_stay_in_step(together: list[dict[str, Any]]) -> None:
    for both in together:
        assert both["broken"].startswith("the loss of step 1 of 1 is nan, before anything was learnt; try ")
        assert both["refused"] == ("bad", [3, 3])


@pytest.mark.slow
def test_dropout_differs_between_processes_and_follows_from_the_seed(together: list[dict[str, Any]]) -> None:
    first, second = together[0]["drawn"]
    torch.manual_seed(5)
    assert first == torch.rand(()).item() != second
    assert together[1]["drawn"] == [first, second]


@pytest.mark.slow
def test_how_many_there_are_is_a_numeric_setting_where_it_is_not_one(together: list[dict[str, Any]]) -> None:
    alone = compute_settings("cpu")
    assert "processes" not in alone.key_content()
    found: ComputeSettings = together[0]["compute_settings"]
    assert found == alone.model_copy(update={"processes": 2, "threads": 1})
    assert found.key_content()["processes"] == 2


@pytest.mark.parametrize(
    ("name", "gpus", "message"),
    [
        ("cuda:1", 2, "'cuda:1': several processes take a GPU each or the CPU; write --device cuda or cpu"),
        ("cuda", 1, r"more processes were started here \(2\) than there are GPUs \(1\); start one for each"),
    ],
)
def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for variable in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(variable, "2")
    monkeypatch.setattr("xrealign_bench.models.device._enable_determinism", lambda: None)
    with pytest.raises(UserError, match=message):
        pick_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick_device("cuda"), pick_device("cpu")] == [torch.device("cuda"), CPU]

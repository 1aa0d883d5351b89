"""Fine-tuning and prediction. Truth: a task with an obvious answer, and runs that must not differ."""

from __future__ import annotations

import random
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from tests.models.conftest import train_tokenizer
from tests.realignment.toy import CLS, FIRST, PAD, SEP, WORDS, copy_of, tiny_bert
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import TrainingError
from xrealign_bench.models.training import FinetuningLog
from xrealign_bench.specs import Finetuning, Task
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.sequence_classification import model as sequence_classification
from xrealign_bench.tasks.sequence_classification.encoding import encode
from xrealign_bench.tasks.sequence_classification.model import SequenceClassifier, new_model, predict, train

CPU = torch.device("cpu")
TASK = Task.model_validate(
    {
        "name": "t",
        "title": "T",
        "licence": "none",
        "task_type": "sequence_classification",
        "source": {"kind": "hub", "dataset": "o/t"},
        "configs": {"en": "en"},
        "columns": {"text": "text", "text_pair": "pair", "label": "label"},
        "labels": ["a", "b", "c"],
    }
)
LABELS = 3
Tables = dict[str, pa.Table]


def data(count: int, seed: int, typed: bool = False) -> Tables:
    """Texts with one of the first three words somewhere, which is the label; the other words say nothing."""
    generator = random.Random(seed)
    rows, types, labels = [], [], []
    for _ in range(count):
        label = generator.randrange(LABELS)
        words = [generator.randrange(LABELS, WORDS) for _ in range(generator.randint(0, 8))]
        words.insert(generator.randint(0, len(words)), label)
        rows.append([CLS, *(FIRST + word for word in words), SEP])
        types.append([int(typed and 2 * place > len(rows[-1])) for place in range(len(rows[-1]))])
        labels.append(label)
    columns = {"input_ids": rows, "token_type_ids": types if typed else [None] * count, "label": labels}
    return {"examples": pa.table({"example": list(range(count)), **columns})}


def classifier(dropout: float = 0.1) -> SequenceClassifier:
    encoder = tiny_bert(dropout=dropout, layers=2)
    torch.manual_seed(1)
    return new_model(encoder, TASK)


def fit(model: SequenceClassifier, tables: Tables, steps: int = 5, rate: float = 3e-3, **given: Any) -> FinetuningLog:
    finetuning = Finetuning(steps=steps, batch_size=given.pop("batch_size", 16), learning_rate={"default": rate})
    given = {"seed": 1, "progress": lambda done, total, note: None, **given}
    return train(model, PAD, tables, FinetuningRun(finetuning, device=CPU, **given))


def predicted(model: SequenceClassifier, tables: Tables, **given: Any) -> list[int]:
    found: list[int] = predict(model, PAD, tables, TASK, device=CPU, **given)["predicted"].to_pylist()
    return found


def test_a_task_that_a_word_gives_away_is_learnt() -> None:
    model = classifier()
    log = fit(model, data(96, seed=0), steps=120)
    test = data(60, seed=1)
    table = predict(model, PAD, test, TASK, device=CPU)
    assert table.column_names == ["example", "gold", "predicted"]
    assert [str(column.type) for column in table.columns] == ["int32", "int16", "int16"]
    assert table["example"].to_pylist() == list(range(60))
    assert table["gold"].equals(test["examples"]["label"].cast(pa.int16()))
    right = sum(g == p for g, p in zip(table["gold"].to_pylist(), table["predicted"].to_pylist(), strict=True))
    assert right > 0.95 * 60
    assert len(log.losses) == 120
    assert log.losses[-1] < 0.3 * log.losses[0]


@pytest.mark.parametrize("typed", [False, True])
def test_the_same_seed_gives_the_same_bits(typed: bool) -> None:
    models = [classifier() for _ in range(3)]
    tables = data(20, seed=0, typed=typed)
    logs = [fit(model, tables, seed=seed) for model, seed in zip(models, (1, 1, 2), strict=True)]
    assert logs[0] == logs[1] != logs[2]
    first, second, other = (copy_of(model) for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_everything_is_trained_also_after_freezing() -> None:
    model = classifier()
    model.encoder.requires_grad_(False)
    before = copy_of(model)
    fit(model, data(20, seed=0))
    # A bias of the keys moves all scores of a query alike: it has no gradient but noise.
    stayed = [name for name, now in model.named_parameters() if torch.equal(now, before[name])]
    assert [name for name in stayed if not name.endswith("key.bias")] == []
    assert not model.training


def test_dropout_is_on() -> None:
    losses = [fit(classifier(dropout=share).eval(), data(20, seed=0), steps=1).losses for share in (0.0, 0.3)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("typed", [False, True])
def test_the_loss_is_the_mean_over_examples(typed: bool) -> None:
    model = classifier(dropout=0.0)
    tables = data(6, seed=3, typed=typed)
    losses = []
    for _, ids, types, label in zip(
        *tables["examples"].to_pydict().values(), strict=True
    ):  # each by itself, without any padding
        own = torch.tensor([types]) if typed else None
        with torch.no_grad():
            logits = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long), own)
        losses.append(functional.cross_entropy(logits, torch.tensor([label])))
    log = fit(model, tables, steps=1, batch_size=6)
    assert log.losses[0] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)
    assert log.tokens == sum(len(ids) for ids in tables["examples"]["input_ids"].to_pylist())


def test_every_epoch_reads_every_example_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = data(10, seed=0)
    rows = tables["examples"]["input_ids"].to_pylist()
    read: list[list[int]] = []
    collate = sequence_classification.collate_tokens

    def noting(ids: list[list[int]], pad_id: int, types: None) -> Any:
        read.append([rows.index(own) for own in ids])
        return collate(ids, pad_id, types)

    monkeypatch.setattr(sequence_classification, "collate_tokens", noting)
    fit(classifier(), tables, steps=7, batch_size=4)
    assert [len(batch) for batch in read] == [4, 4, 2, 4, 4, 2, 4]
    epochs = [list(chain(*read[:3])), list(chain(*read[3:6]))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("tokens_per_batch", [1, 30, 10_000])
def test_predictions_do_not_depend_on_batches_or_order(tokens_per_batch: int) -> None:
    model = classifier()
    fit(model, data(64, seed=0), steps=60)
    tables = data(40, seed=2)
    expected = predicted(model, tables)
    order = random.Random(0).sample(range(40), 40)
    shuffled = {"examples": tables["examples"].take(order)}
    assert predicted(model, shuffled, tokens_per_batch=tokens_per_batch) == [expected[n] for n in order]
    assert len(set(expected)) > 1


def test_a_loss_that_is_not_a_number_stops_the_training() -> None:
    model = classifier()
    model.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 1 of 5 is nan"):
        fit(model, data(8, seed=0))


def test_stored_tables_hold_the_tokenizers_output(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("wordpiece")
    located = LocatedSplit("here", "en", "test", None, "0" * 64, ())
    given = TextData("en", [3, 7], ["Montag 17. März", "zwölf Euro"], ["fifty cents", "euros"], [2, 0], {}, located)
    tables, altered = encode(TASK, given, tokenizer, 64)
    assert list(tables) == ["examples"] and altered == {}
    assert tables["examples"].to_pydict() == {
        "example": [3, 7],
        "input_ids": [
            tokenizer("Montag 17. März", "fifty cents")["input_ids"],
            tokenizer("zwölf Euro", "euros")["input_ids"],
        ],
        "token_type_ids": [None, None],
        "label": [2, 0],
    }
    tables, altered = encode(TASK, given, tokenizer, 8)
    assert altered == {"truncated": 2}
    assert [len(ids) for ids in tables["examples"]["input_ids"].to_pylist()] == [8, 8]
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    types = encode(TASK, given, tokenizer, 64)[0]["examples"]["token_type_ids"].to_pylist()
    assert types == [tokenizer(*pair)["token_type_ids"] for pair in zip(given.text, given.text_pair or [], strict=True)]

"""Fine-tuning and prediction. Truth: a task with an obvious answer, and runs that must not differ."""

from __future__ import annotations

import math
import random
from itertools import chain
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tests.data.hub_folder import make_task
from tests.realignment.toy import FIRST, PAD, WORDS, copy_of, sentence_window, tiny_bert
from xrealign_bench.data.located import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.models.training import FinetuningLog, TrainingError
from xrealign_bench.models.windows import Window, windows_table
from xrealign_bench.specs import Finetuning
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.token_classification import model as token_classification
from xrealign_bench.tasks.token_classification.data import WordData
from xrealign_bench.tasks.token_classification.encoding import encode
from xrealign_bench.tasks.token_classification.metric import METRIC
from xrealign_bench.tasks.token_classification.model import TokenClassifier, tag, train

CPU = torch.device("cpu")
LABELS = 3


def data(count: int, seed: int) -> tuple[list[Window], list[list[int]]]:
    """Words whose label is their number modulo LABELS."""
    generator = random.Random(seed)
    sentences = [[generator.randrange(WORDS) for _ in range(generator.randint(1, 9))] for _ in range(count)]
    windows = [sentence_window(n, [FIRST + word for word in words]) for n, words in enumerate(sentences)]
    return windows, [[word % LABELS for word in words] for words in sentences]


def classifier(dropout: float = 0.1) -> TokenClassifier:
    encoder = tiny_bert(dropout=dropout, layers=2)
    torch.manual_seed(1)
    return TokenClassifier(encoder, LABELS)


def fit(
    model: TokenClassifier,
    windows: list[Window],
    labels: list[list[int]],
    steps: int = 5,
    rate: float = 3e-3,
    **given: Any,
) -> FinetuningLog:
    finetuning = Finetuning(steps=steps, batch_size=given.pop("batch_size", 16), learning_rate={"default": rate})
    given = {"seed": 1, "progress": lambda done, total, note: None, **given}
    tables = {"windows": windows_table(windows), "sentences": pa.table({"labels": labels})}
    return train(model, PAD, tables, FinetuningRun(finetuning, device=CPU, **given))


def word_counts(labels: list[list[int]]) -> list[int]:
    return [len(row) for row in labels]


def test_labels_that_follow_from_the_words_are_learnt() -> None:
    model = classifier()
    log = fit(model, *data(64, seed=0), steps=60)
    windows, gold = data(50, seed=1)
    predicted = tag(model, PAD, windows, word_counts(gold), device=CPU)
    pairs = [(g, p) for row, found in zip(gold, predicted, strict=True) for g, p in zip(row, found, strict=True)]
    assert sum(g == p for g, p in pairs) > 0.95 * len(pairs)
    assert len(log.losses) == 60
    assert log.losses[-1] < 0.3 * log.losses[0]


def test_the_same_seed_gives_the_same_bits() -> None:
    models = [classifier() for _ in range(3)]
    logs = [fit(model, *data(20, seed=0), seed=seed) for model, seed in zip(models, (1, 1, 2), strict=True)]
    assert logs[0] == logs[1] != logs[2]
    first, second, other = (copy_of(model) for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_everything_is_trained_also_after_freezing() -> None:
    model = classifier()
    model.encoder.requires_grad_(False)
    before = copy_of(model)
    fit(model, *data(20, seed=0))
    # A bias of the keys moves all scores of a query alike: it has no gradient but noise.
    stayed = [name for name, now in model.named_parameters() if torch.equal(now, before[name])]
    assert [name for name in stayed if not name.endswith("key.bias")] == []
    assert not model.training


def test_dropout_is_on() -> None:
    losses = [fit(classifier(dropout=share).eval(), *data(20, seed=0), steps=1).losses for share in (0.0, 0.3)]
    assert losses[0] != losses[1]


def test_the_loss_is_the_mean_over_labelled_words() -> None:
    model = classifier(dropout=0.0)
    windows, labels = data(6, seed=3)
    labels[2][0] = -100
    losses: list[Tensor] = []
    for window, row in zip(windows, labels, strict=True):  # each by itself, without any padding
        ids = torch.tensor([window.input_ids])
        with torch.no_grad():
            logits = model(ids, torch.ones_like(ids), torch.tensor([window.starts]))[0]
        losses += [
            functional.cross_entropy(logits[w], torch.tensor(label)) for w, label in enumerate(row) if label != -100
        ]
    log = fit(model, windows, labels, steps=1, batch_size=6)
    assert log.losses[0] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)


def test_every_epoch_reads_every_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, labels = data(10, seed=0)
    read: list[list[int]] = []
    collate = token_classification.collate

    def noting(chosen: list[Window], pad_id: int) -> Any:
        read.append([window.sentence for window in chosen])
        return collate(chosen, pad_id)

    monkeypatch.setattr(token_classification, "collate", noting)
    fit(classifier(), windows, labels, steps=7, batch_size=4)
    assert [len(batch) for batch in read] == [4, 4, 2, 4, 4, 2, 4]
    epochs = [list(chain(*read[:3])), list(chain(*read[3:6]))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("tokens_per_batch", [1, 30, 10_000])
def test_predictions_do_not_depend_on_batches_or_order(tokens_per_batch: int) -> None:
    model = classifier()
    fit(model, *data(20, seed=0), steps=10)
    windows, labels = data(40, seed=2)
    counts = word_counts(labels)
    expected = tag(model, PAD, windows, counts, device=CPU)
    shuffled = random.Random(0).sample(windows, len(windows))
    assert tag(model, PAD, shuffled, counts, device=CPU, tokens_per_batch=tokens_per_batch) == expected
    assert word_counts(expected) == counts
    assert len({label for row in expected for label in row}) > 1


def test_windows_of_a_sentence_come_together_again() -> None:
    model = classifier()
    fit(model, *data(64, seed=0), steps=60)
    words = [4, 2, 9, 7, 5]
    parts = [
        Window(0, first, [1, *(FIRST + w for w in words[first:end]), 2], list(range(1, end - first + 1)), [])
        for first, end in ((3, 5), (0, 3))
    ]
    assert tag(model, PAD, parts, [5], device=CPU) == [[w % LABELS for w in words]]


@pytest.mark.parametrize("kept", [[0], [0, 1, 1], [0, 0]], ids=["missing", "twice", "one for another"])
def test_windows_that_do_not_cover_every_word_once_are_refused(kept: list[int]) -> None:
    windows = [sentence_window(0, [FIRST]), sentence_window(1, [FIRST + 1])]
    with pytest.raises(ValueError, match="cover every word"):
        tag(classifier(), PAD, [windows[i] for i in kept], [1, 1], device=CPU)


def test_a_sentence_without_words_has_no_predictions() -> None:
    assert tag(classifier(), PAD, [sentence_window(1, [FIRST])], [0, 1], device=CPU)[0] == []


def test_training_data_without_labels_are_refused() -> None:
    windows, labels = data(3, seed=0)
    with pytest.raises(UserError, match="no word with a label"):
        fit(classifier(), windows, [[-100] * len(row) for row in labels])


def test_windows_without_labels_are_not_read() -> None:
    windows, labels = data(8, seed=0)
    labels[5] = [-100] * len(labels[5])
    kept = [window for window in windows if window.sentence != 5]
    with_it, without = classifier(), classifier()
    assert fit(with_it, windows, labels) == fit(without, kept, labels)


def test_a_loss_that_is_not_a_number_stops_the_training() -> None:
    model = classifier()
    model.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 1 of 5 is nan"):
        fit(model, *data(8, seed=0))


def test_words_past_a_truncated_sentence_are_neither_trained_on_nor_scored(
    tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    """Every word is one sub-word, so a window of 5 holds three words."""
    task = make_task(labels=["VERB", "NOUN", "X"])
    words, gold = [["a", "b", "c", "d", "e"], ["a", "b"]], [[0, 1, 0, 2, 2], [1, -100]]
    located = LocatedSplit("folder", "en", "test", None, "0" * 64, ())
    read = WordData("en", [0, 1], words, gold, None, {}, located)
    tokenizer = tokenizers["wordpiece"]
    whole, altered = encode(task, read, tokenizer, 5)
    assert (altered, "words_read" in whole["sentences"].column_names) == ({}, False)
    tables, altered = encode(task, read, tokenizer, 5, long_sentences="truncate")
    assert altered == {"beyond_window": 2}
    assert tables["windows"]["sentence"].to_pylist() == [0, 1]
    assert tables["sentences"]["words_read"].to_pylist() == [3, 2]

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    encoder = BertModel(BertConfig(vocab_size=len(tokenizer), **sizes), add_pooling_layer=False)
    model = TokenClassifier(encoder, 3)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))  # always VERB
    predictions = token_classification.predict(model, tokenizer.pad_token_id, tables, task, device=CPU)
    assert predictions["predicted"].to_pylist() == [[0, 0, 0, -100, -100], [0, 0]]
    assert predictions["gold"].to_pylist() == gold
    # Read and labelled: VERB NOUN VERB | NOUN, of which two are right. The two X are not read.
    score = METRIC.score(task, predictions.to_pydict())
    assert (score["metrics"]["accuracy"], score["counted"]) == (0.5, 4)
    earned, possible = METRIC.per_example_counts(task, predictions.slice(0, 1))
    assert (earned.tolist(), possible.tolist()) == ([2.0], [3.0])
    finetuning = Finetuning(steps=1, learning_rate={"default": 1e-3})
    run = FinetuningRun(finetuning, seed=1, device=CPU, progress=lambda done, total, note: None)
    # Cross-entropy: log(e + 2) - 1 for each of two VERBs, log(e + 2) for each of two NOUNs.
    assert train(model, tokenizer.pad_token_id, tables, run).losses == pytest.approx([math.log(math.e + 2) - 0.5])


def test_a_truncated_entity_ends_with_the_window() -> None:
    """B-A I-A I-A, of which two words are read: found whole within the window, it is right."""
    task = make_task(labels=["O", "B-A", "I-A"], metric="entity_f1")
    columns = {
        "gold": [[1, 2, 2]], "predicted": [[1, 2, -100]], "scored": [[True] * 3], "group": [None], "example": [0]
    }  # fmt: skip
    score = METRIC.score(task, columns)
    assert (score["metrics"]["entity_f1"], score["counted"]) == (1.0, 2)
    table = pa.table(columns, schema=METRIC.schema)
    assert [counts.tolist() for counts in METRIC.per_example_counts(task, table)] == [[2.0], [2.0]]

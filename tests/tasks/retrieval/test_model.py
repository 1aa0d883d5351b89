"""Retrieval by the encoder. Truth: vectors by hand, a loop over pairs, hidden states that transformers gives."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers.normalizers import Replace
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from tests.realignment.toy import FIRST, PAD, WORDS, tiny_bert
from xrealign_bench.data import LocatedSplit
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import resolve_checkpoint
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.windows import Window, Windows, windows_table
from xrealign_bench.specs import Task
from xrealign_bench.tasks.evaluate_metrics import PairRetrieval
from xrealign_bench.tasks.retrieval import model as retrieval
from xrealign_bench.tasks.retrieval.encoding import encode, encode_sentences
from xrealign_bench.tasks.retrieval.metric import per_example_counts, score
from xrealign_bench.tasks.retrieval.model import SentenceEncoder, nearest, predict
from xrealign_bench.tasks.sentence_pairs import TranslationData

CPU = torch.device("cpu")
NOWHERE = LocatedSplit("nowhere", "default", "test", None, "0" * 64, ())
TASK = Task.model_validate(
    {
        "name": "pairs",
        "title": "Pairs",
        "licence": "none",
        "task_type": "retrieval",
        "source": {"kind": "hub", "dataset": "org/pairs"},
        "configs": {"de": "de"},
        "columns": {"text": "en", "text_pair": "de"},
        "text_language": "en",
    }
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return load_tokenizer(resolve_checkpoint(EMBEDDED))


# --- nearest ------------------------------------------------------------------------------------------------------


def test_the_nearest_by_hand() -> None:
    """Angles 0, 40 and 90 degrees, of very different lengths; candidates at 10, 60 and 100."""
    queries, candidates = (
        np.array([[size * np.cos(np.radians(angle)), size * np.sin(np.radians(angle))] for size, angle in rows])
        for rows in ([(1, 0), (0.01, 40), (50, 90)], [(9, 10), (0.1, 60), (3, 100)])
    )
    assert nearest(queries, candidates).tolist() == [0, 1, 2]
    assert nearest(candidates, queries).tolist() == [0, 1, 2]
    assert nearest(queries[:2], candidates[1:]).tolist() == [0, 0]
    assert nearest(candidates, -queries).tolist() == [2, 0, 0]


def test_ties_between_nearest_candidates_go_to_the_first() -> None:
    candidates = np.array([[0.0, 1.0], [2.0, 0.0], [4.0, 0.0], [1.0, 0.0]])
    assert nearest(np.array([[1.0, 0.0], [0.0, 0.0]]), candidates).tolist() == [1, 0]


def test_many_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    queries, candidates = generator.normal(size=(23, 5)), generator.normal(size=(17, 5))
    cosines = [[q @ c / np.sqrt(q @ q) / np.sqrt(c @ c) for c in candidates] for q in queries]
    expected = [row.index(max(row)) for row in cosines]
    for rows in (1, 7, 23, 100):
        monkeypatch.setattr(retrieval, "_ROWS", rows)
        assert nearest(queries, candidates).tolist() == expected


# --- vectors and predictions --------------------------------------------------------------------------------------


class Table(nn.Module):
    """Stands for a model: a sentence's vector is the mean of what a table says of its tokens."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        return torch.stack(
            [self.rows[row[a:b]].mean(0) for row, (a,), (b,) in zip(input_ids, starts, ends, strict=True)]
        )


def windows(*sentences: list[int]) -> pa.Table:
    """Return the table of sentences, each between two special tokens."""
    return windows_table([Window(number, 0, [1, *ids, 2], [1], [1 + len(ids)]) for number, ids in enumerate(sentences)])


def paired(sources: pa.Table, targets: pa.Table, first: int = 0) -> dict[str, pa.Table]:
    """The tables of pairs that stand one below the other in the data, from row `first` on."""
    rows = list(range(first, first + len(sources)))
    return {"pairs": pa.table({"example": rows}), "sources": sources, "targets": targets}


def found(table: pa.Table) -> tuple[list[int], list[int]]:
    assert table.column_names == ["example", "forward", "backward"]
    assert table["example"].to_pylist() == list(range(len(table)))
    return table["forward"].to_pylist(), table["backward"].to_pylist()


def test_predictions_of_both_directions_by_hand() -> None:
    """Token 3 lies at 0 degrees, 4 at 90, 5 at 60; [4, 3] at 45."""
    model = Table([[9.0, 9.0]] * 3 + [[1.0, 0.0], [0.0, 1.0], [0.5, np.sqrt(0.75)]])
    tables = paired(windows([3], [4], [4, 3]), windows([3, 3], [5], [5]))
    # Source 1 (90) and 2 (45) find 60 degrees, the first of two; target 1 and 2 (60) find 45 rather than 90.
    assert found(predict(model, PAD, tables, TASK, device=CPU)) == ([0, 1, 1], [0, 2, 2])
    lower = predict(model, PAD, tables | {"pairs": pa.table({"example": [4, 6, 9]})}, TASK, device=CPU)
    assert list(lower.to_pydict().values()) == [[4, 6, 9], [4, 6, 6], [4, 9, 9]]


def batches(seed: int, count: int = 40) -> dict[str, pa.Table]:
    generator = random.Random(seed)
    sides = [
        [[FIRST + generator.randrange(WORDS) for _ in range(generator.randint(1, 9))] for _ in range(count)]
        for _ in range(2)
    ]
    return paired(*(windows(*side) for side in sides))


@pytest.mark.parametrize("tokens_per_batch", [1, 30, 10_000])
def test_predictions_do_not_depend_on_the_batch_size(tokens_per_batch: int) -> None:
    model = SentenceEncoder(tiny_bert(layers=2), "last")
    tables = batches(seed=0)
    expected = found(predict(model, PAD, tables, TASK, device=CPU))
    assert len(set(expected[0])) > 5
    assert found(predict(model, PAD, tables, TASK, device=CPU, tokens_per_batch=tokens_per_batch)) == expected


class Rounding(Table):
    """Each batch moves its vectors a little towards 90 degrees, as rounding may where batches differ."""

    batches = 0

    def forward(self, *batch: Tensor) -> Tensor:
        self.batches += 1
        return super().forward(*batch) + torch.tensor([0.0, 1e-3 * self.batches])


def test_sentences_of_the_same_tokens_are_equally_near_whatever_stands_in_their_batches() -> None:
    model = Rounding([[9.0, 9.0]] * 3 + [[1.0, 0.0], [0.0, 1.0]])
    tables = paired(windows([4], [3], [4]), windows([3], [3], [3]))
    assert found(predict(model, PAD, tables, TASK, device=CPU, tokens_per_batch=1)) == ([0, 0, 0], [1, 1, 1])


@pytest.mark.parametrize(("layer", "number"), [("last", 3), ("penultimate", 2), (0, 1)])
def test_a_vector_is_the_mean_of_a_blocks_output_without_special_tokens(layer: Any, number: int) -> None:
    encoder = tiny_bert(layers=3).eval()
    ids = torch.tensor([[1, FIRST, FIRST + 3, FIRST + 1, 2]])
    hidden = encoder(input_ids=ids, output_hidden_states=True).hidden_states[number]
    padded = torch.cat([ids, torch.full((1, 3), PAD)], dim=1)
    model = SentenceEncoder(encoder, layer).eval()
    vector = model(padded, (torch.arange(8) < 5).long()[None], torch.tensor([[1]]), torch.tensor([[4]]))
    torch.testing.assert_close(vector, hidden[:, 1:4].mean(1))


def test_unequal_sides_are_refused() -> None:
    tables = paired(windows([3], [4]), windows([3]))
    with pytest.raises(ValueError, match="2 sources and 1 targets are no pairs"):
        predict(SentenceEncoder(tiny_bert(layers=1), "last"), PAD, tables, TASK, device=CPU)


# --- text ---------------------------------------------------------------------------------------------------------


def test_text_is_read_as_the_tokenizer_reads_it(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [" ".join(row.source_words) for row in phrases.parallel_rows("de", "en", 20)]
    for max_length in (5, 12, 64):
        encoded = encode_sentences(tokenizer, texts, max_length)
        expected = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
        assert [window.input_ids for window in encoded] == expected
        assert [(w.sentence, w.starts, w.ends) for w in encoded] == [
            (n, [1], [len(ids) - 1]) for n, ids in enumerate(expected)
        ]
        whole = [len(ids) <= max_length for ids in tokenizer(texts)["input_ids"]]
        assert [not window.shortened for window in encoded] == whole
    assert all(whole)


def test_truncated_texts_and_texts_without_tokens_are_counted() -> None:
    tokenizer = load_tokenizer(resolve_checkpoint(EMBEDDED))
    tokenizer.backend_tokenizer.normalizer = Replace("~", "")  # as others do with rare characters
    long = " ".join(["Montag"] * 90)
    data = TranslationData("de", [0, 1, 2], ["Monday", "~", long], ["Montag", long, long], {}, NOWHERE)
    tables, altered = encode(TASK, data, tokenizer, 16)
    assert altered == {"without_token": 1, "truncated": 3}
    sources = Windows(tables["sources"], Window)
    assert [window.sentence for window in sources] == [0, 1, 2]
    assert sources[1].input_ids[1:-1] == [tokenizer.unk_token_id]
    assert (sources[1].starts, sources[1].ends) == ([1], [2])
    assert encode(TASK, TranslationData("de", [0], ["Monday"], ["Montag"], {}, NOWHERE), tokenizer, 16)[1] == {}


@pytest.mark.parametrize(("max_length", "message"), [(2, "leaves no room"), (10_000, "that the model takes")])
def test_lengths_that_do_not_fit_are_refused(tokenizer: PreTrainedTokenizerFast, max_length: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode_sentences(tokenizer, ["Montag"], max_length)


# --- metric -------------------------------------------------------------------------------------------------------


def test_the_metric_by_hand() -> None:
    columns = {"example": [0, 1, 2, 3], "forward": [0, 1, 0, 3], "backward": [3, 1, 3, 0]}
    metrics = {"accuracy": 0.5, "accuracy_forward": 0.75, "accuracy_backward": 0.25}
    assert score(TASK, columns) == {"metrics": metrics, "counted": 4, "groups": {}, "reason": None}
    earned, possible = per_example_counts(TASK, pa.table(columns))
    assert earned.tolist() == [0.5, 1.0, 0.0, 0.5]
    assert possible.tolist() == [1.0] * 4


def test_the_metric_does_not_hang_on_the_order_of_rows() -> None:
    metric = PairRetrieval(keep_in_memory=True)
    assert metric.compute(forward=[2, 0], backward=[2, 1], references=[2, 1]) == {
        "accuracy": 0.75,
        "accuracy_forward": 0.5,
        "accuracy_backward": 1.0,
    }


# --- spec ---------------------------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"text_language": None}, "needs text_language"),
    ({"source": {"kind": "embedded"}}, "needs sentence pairs"),
    ({"configs": {"de": "a", "fr": "a"}, "columns": {"text": "en", "text_pair": {"de": "x"}}}, "no column for fr"),
    (
        {"task_type": "sequence_classification", "columns": {"text": "a", "label": "b"}, "labels": ["x", "y"]},
        "no text_lang",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_tasks_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task.model_validate(TASK.model_dump() | changes)

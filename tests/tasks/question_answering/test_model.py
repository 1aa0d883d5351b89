"""Fine-tuning and prediction of answers. Truth: logits made by hand, a task with an obvious answer, equal bits."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tests.models.conftest import train_tokenizer
from tests.realignment.toy import copy_of
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import TrainingError, UserError
from xrealign_bench.models.training import FinetuningLog
from xrealign_bench.models.windows import Windows, windows_table
from xrealign_bench.specs import Finetuning, Spans, Task, find_spec
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.question_answering.data import QuestionData
from xrealign_bench.tasks.question_answering.encoding import SpanWindow, encode
from xrealign_bench.tasks.question_answering.metric import hashed_tokens
from xrealign_bench.tasks.question_answering.model import SpanClassifier, answer, best_span, predict, train
from xrealign_bench.tasks.registry import TASK_TYPES

CPU = torch.device("cpu")
PLACE = LocatedSplit("here", None, "train", None, "0", ())
WORDS = ["Montag", "euros", "Cent", "März", "twelve", "fifty", "paid", "und", "kostet", "March"]
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer("wordpiece")


def questions(count: int, seed: int) -> QuestionData:
    """Which year is it? The answer is the only number among words."""
    draw = random.Random(seed)
    contexts, answers = [], []
    for _ in range(count):
        words = draw.choices(WORDS, k=draw.randint(6, 30))
        place = draw.randrange(len(words))
        words[place] = "2003"
        contexts.append(" ".join(words))
        answers.append([("2003", len(" ".join([*words[:place], ""])))])
    return QuestionData("en", list(range(count)), ["On Monday?"] * count, contexts, answers, {}, PLACE)


def task(**spans: Any) -> Task:
    return find_spec("xquad-lite", Task).model_copy(update={"spans": Spans(doc_stride=6, **spans)})


def tables_of(data: QuestionData, tokenizer: PreTrainedTokenizerFast, max_length: int = 32) -> Tables:
    tables, _ = encode(task(), data, tokenizer, max_length)
    return tables


def classifier(tokenizer: PreTrainedTokenizerFast, dropout: float = 0.1) -> SpanClassifier:
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    torch.manual_seed(0)
    return SpanClassifier(BertModel(config, add_pooling_layer=False))


def fit(model: SpanClassifier, tables: Tables, steps: int = 5, rate: float = 3e-3, **given: Any) -> FinetuningLog:
    finetuning = Finetuning(steps=steps, batch_size=given.pop("batch_size", 16), learning_rate={"default": rate})
    return train(
        model, 0, tables, FinetuningRun(finetuning, device=CPU, progress=lambda *_: None, **{"seed": 1, **given})
    )


def test_an_obvious_answer_is_learnt(tokenizer: PreTrainedTokenizerFast) -> None:
    model = classifier(tokenizer)
    log = fit(model, tables_of(questions(80, seed=0), tokenizer), steps=80)
    table = predict(model, 0, tables_of(questions(40, seed=1), tokenizer), task(), device=CPU)
    score = TASK_TYPES["question_answering"].metric.score(task(), table.to_pydict())
    assert score["metrics"]["exact_match"] > 0.9 and score["counted"] == 40
    assert len(log.losses) == 80 and log.losses[-1] < 0.3 * log.losses[0]


def test_the_same_seed_gives_the_same_bits(tokenizer: PreTrainedTokenizerFast) -> None:
    tables = tables_of(questions(20, seed=0), tokenizer)
    models = [classifier(tokenizer) for _ in range(3)]
    logs = [fit(model, tables, seed=seed) for model, seed in zip(models, (1, 1, 2), strict=True)]
    assert logs[0] == logs[1] != logs[2]
    first, second, other = map(copy_of, models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_everything_is_trained_also_after_freezing(tokenizer: PreTrainedTokenizerFast) -> None:
    model = classifier(tokenizer)
    model.encoder.requires_grad_(False)
    before = copy_of(model)
    fit(model, tables_of(questions(20, seed=0), tokenizer))
    stayed = [name for name, now in model.named_parameters() if torch.equal(now, before[name])]
    assert [name for name in stayed if not name.endswith("key.bias")] == []
    assert not model.training


def test_the_loss_is_the_mean_over_starts_and_ends(tokenizer: PreTrainedTokenizerFast) -> None:
    """Windows without the answer are trained towards their first token; padding is none of the choices."""
    model = classifier(tokenizer, dropout=0.0)
    tables = tables_of(questions(6, seed=3), tokenizer)
    windows = list(Windows(tables["windows"], SpanWindow))
    losses = []
    for window in windows:  # each by itself, without any padding
        ids = torch.tensor([window.input_ids])
        with torch.no_grad():
            logits = model(ids, torch.ones_like(ids), torch.tensor([window.token_types]))[0]
        gold = torch.tensor([window.answer_start, window.answer_end])
        losses += [functional.cross_entropy(logits[:, side], gold[side]) for side in (0, 1)]
    log = fit(model, tables, steps=1, batch_size=len(windows))
    assert log.losses[0] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)
    assert log.tokens == sum(len(w.input_ids) for w in windows)
    assert len({len(w.input_ids) for w in windows}) > 1
    assert any((w.answer_start, w.answer_end) == (0, 0) for w in windows)


def test_training_data_without_a_whole_answer_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    data = questions(3, seed=0)
    text = data.contexts[0] = " ".join(WORDS * 4)
    long = QuestionData("en", [0], ["Wann?"], [text], [[(text, 0)]], {}, PLACE)
    tables, altered = encode(task(), long, tokenizer, 32)
    assert altered == {"in_no_window": 1}
    with pytest.raises(UserError, match="no window of the training data holds a whole answer"):
        fit(classifier(tokenizer), tables)


def test_a_loss_that_is_not_a_number_stops_the_training(tokenizer: PreTrainedTokenizerFast) -> None:
    model = classifier(tokenizer)
    model.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 1 of 5 is nan"):
        fit(model, tables_of(questions(4, seed=0), tokenizer))


@pytest.mark.parametrize("tokens_per_batch", [1, 100])
def test_answers_do_not_depend_on_batches(tokenizer: PreTrainedTokenizerFast, tokens_per_batch: int) -> None:
    model = classifier(tokenizer)
    tables = tables_of(questions(20, seed=2), tokenizer)
    expected = answer(model, 0, tables, Spans(), device=CPU)
    assert answer(model, 0, tables, Spans(), device=CPU, tokens_per_batch=tokens_per_batch) == expected
    assert len(set(expected)) > 3


def window(size: int, at: int = 2, first: int = 0) -> SpanWindow:
    return SpanWindow(0, [1] * (at + size + 1), [0] * (at + size + 1), at, first, size, 0, 0)


def words(count: int) -> tuple[list[int], list[int]]:
    """Characters of as many words of one letter."""
    return [2 * i for i in range(count)], [2 * i + 1 for i in range(count)]


def logits(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_the_best_legal_pair_by_hand() -> None:
    outside = (50.0, 50.0)  # special tokens and the question never count
    made = logits(outside, outside, (1, 9), (5, 0), (0, 4), (6, 1), outside)
    # The best end is before both good starts. Starts at word 1 (5) and ends at word 2 (4): 9; start 3, end 3: 7;
    # start 0 and end 0: 10.
    assert best_span(window(4), made, *words(4), Spans()) == (10.0, 0, 1)
    made[2] = (-9, 9)
    assert best_span(window(4), made, *words(4), Spans()) == (9.0, 2, 5)
    assert best_span(window(4), made, *words(4), Spans(max_answer_length=1)) == (7.0, 6, 7)
    # One start (word 3) and one end (word 0): no legal pair.
    assert best_span(window(4), made, *words(4), Spans(n_best=1)) is None


def test_sub_words_without_text_neither_begin_nor_end_an_answer() -> None:
    made = logits((0, 0), (0, 0), (9, 9), (1, 1), (0, 0))
    assert best_span(window(2), made, [4, 5], [4, 7], Spans()) == (2.0, 5, 7)


def test_offsets_are_those_of_the_window_s_place() -> None:
    made = logits((0, 0), (0, 0), (0, 0), (3, 3), (0, 0))
    assert best_span(window(2, first=7), made, *words(9), Spans()) == (6.0, 16, 17)


def test_equal_sums_go_to_the_first() -> None:
    assert best_span(window(3), np.zeros((6, 2), dtype=np.float32), *words(3), Spans()) == (0.0, 0, 1)


def test_an_empty_context_has_no_answer() -> None:
    assert best_span(window(0), np.zeros((3, 2), dtype=np.float32), [], [], Spans()) is None


def test_the_search_finds_what_trying_all_pairs_finds() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        size, longest = int(draw.integers(1, 15)), int(draw.integers(1, 6))
        made = draw.normal(size=(size + 3, 2)).astype(np.float32)
        begins, ends = words(size)
        best = max(
            (float(made[2 + i, 0]) + float(made[2 + j, 1]), i, j)
            for i, j in product(range(size), repeat=2)
            if i <= j < i + longest
        )
        found = best_span(window(size), made, begins, ends, Spans(max_answer_length=longest, n_best=99))
        assert found == pytest.approx((best[0], begins[best[1]], ends[best[2]]))


class Scripted(torch.nn.Module):
    """Gives the logits that are written into the first sub-word of a window."""

    def __init__(self, scripts: dict[int, list[tuple[float, float]]]) -> None:
        super().__init__()
        self.scripts = scripts

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_types: torch.Tensor) -> Any:
        out = torch.zeros(*input_ids.shape, 2)
        for row, ids in enumerate(input_ids.tolist()):
            script = torch.tensor(self.scripts[ids[0]])
            out[row, : len(script)] = script
        return out


def test_the_best_of_all_windows_of_a_question_counts() -> None:
    text = "Thai ไทย 🐈‍⬛!"
    begins, ends = [0, 5, 9], [4, 8, 13]
    made = [
        SpanWindow(0, [11, 0, 0], [0] * 3, 1, 0, 2, 0, 0),
        SpanWindow(0, [12, 0, 0], [0] * 3, 1, 1, 2, 0, 0),
        SpanWindow(1, [13, 0], [0] * 2, 1, 0, 1, 0, 0),
    ]
    scripts = {11: [(9, 9), (3, 3), (0, 0)], 12: [(9, 9), (0, 0), (4, 4)], 13: [(9, 9), (-5, -5)]}
    tables = {
        "windows": windows_table(made, SpanWindow),
        "questions": pa.table(
            {"example": [4, 9], "language": ["th", "th"], "context": [0, 0], "gold": [[[1]], [[2], [3]]]}
        ),
        "contexts": pa.table({"text": [text], "begins": [begins], "ends": [ends]}),
    }
    model: Any = Scripted(scripts)
    assert answer(model, 0, tables, Spans(), device=CPU) == ["🐈‍⬛!", "Thai"]
    table = predict(model, 0, tables, task(), device=CPU)
    assert table.to_pydict() == {
        "example": [4, 9],
        "gold": [[[1]], [[2], [3]]],
        "predicted": [hashed_tokens("🐈‍⬛", "squad", "th"), hashed_tokens("thai", "squad", "th")],
    }


def test_no_text_leaves_the_predictions(tokenizer: PreTrainedTokenizerFast) -> None:
    tables = tables_of(questions(5, seed=2), tokenizer)
    table = predict(classifier(tokenizer), 0, tables, task(), device=CPU)
    types = {str(pa.int32()), str(pa.list_(pa.int64())), str(pa.list_(pa.list_(pa.int64())))}
    assert {str(field.type).replace("element", "item") for field in table.schema} == {
        t.replace("element", "item") for t in types
    }
    assert set(table.column_names) == {"example", *TASK_TYPES["question_answering"].metric.columns}


def test_gold_answers_are_all_kept_and_the_rule_is_the_task_s(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "die Montag Cent"
    data = QuestionData("de", [7], ["Wann?"], [text], [[("die Montag", 0), ("Cent", 11)]], {}, PLACE)
    for rule in ("squad", "mlqa"):
        table = encode(task(normalisation=rule), data, tokenizer, 32)[0]["questions"].to_pydict()
        expected = [hashed_tokens(t, rule, "de") for t in ("die Montag", "Cent")]  # type: ignore[arg-type]
        assert table == {"example": [7], "language": ["de"], "context": [0], "gold": [expected]}
        assert len(expected[0]) == {"squad": 2, "mlqa": 1}[rule]


def test_space_around_an_answer_is_no_part_of_it(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Montag  2003 kostet"
    tables = []
    for gold in (("2003", 8), ("  2003 ", 6)):
        data = QuestionData("en", [0], ["Wann?"], [text], [[gold]], {}, PLACE)
        tables.append(encode(task(), data, tokenizer, 32))
    assert tables[0] == tables[1]


def test_a_context_is_stored_once(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Montag 2003"
    data = QuestionData("en", [0, 1], ["Wann?", "Was?"], [text] * 2, [[("2003", 7)], [("Montag", 0)]], {}, PLACE)
    tables, altered = encode(task(), data, tokenizer, 32)
    assert tables["contexts"]["text"].to_pylist() == [text] and altered == {}
    assert tables["windows"]["question"].to_pylist() == [0, 1]

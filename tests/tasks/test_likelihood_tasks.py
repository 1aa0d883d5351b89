"""Tasks that read a decoder's probabilities. Truth: probabilities that are given, counted by hand."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import train_tokenizer
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.language_modelling import model as language_modelling
from xrealign_bench.tasks.language_modelling.data import PlainTextData
from xrealign_bench.tasks.language_modelling.encoding import encode as encode_plain
from xrealign_bench.tasks.prompted_classification import model as prompted_classification
from xrealign_bench.tasks.prompted_classification.encoding import encode as encode_prompts
from xrealign_bench.tasks.registry import TASK_TYPES

CPU = torch.device("cpu")
PLACE = LocatedSplit("nowhere", "default", "test", None, "0" * 64, ())
WORDS = ["<s>", "<unk>", "good", "bad", "day", "yes", "no", "it", "is", ",", "."]
TOPIC: dict[str, Any] = {
    "name": "topic", "title": "Topic", "licence": "none", "task_type": "prompted_classification",
    "source": {"kind": "hub", "dataset": "org/topic"}, "configs": {"en": "en"},
    "columns": {"text": "a", "label": "l"}, "labels": ["A", "B"],
    "prompt": "{text} , {label}", "verbalisers": {"A": "yes", "B": "no"},
}  # fmt: skip
PAIR = {"columns": {"text": "a", "text_pair": "b", "label": "l"}, "prompt": "{text} , {label} , {text_pair}"}
PLAIN: dict[str, Any] = {
    **{name: TOPIC[name] for name in ("title", "licence", "source", "configs")},
    "name": "plain", "task_type": "language_modelling", "columns": {"text": "a"}, "metric": "compression",
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words are its tokens."""
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", unk_token="<unk>", pad_token="<s>", model_max_length=64
    )


class Bigrams(nn.Module):
    """A language model whose next token hangs on the last one alone: `table` (last, next), probabilities."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> Any:
        return type("Output", (), {"logits": self.table[input_ids].log()})


def model(**likely: tuple[str, float]) -> LanguageModel:
    """Every word is equally likely behind another, but `word=(next, probability)`."""
    table = torch.full((len(WORDS), len(WORDS)), 1 / len(WORDS))
    for word, (following, share) in likely.items():
        row = table[WORDS.index(word)]
        row[:] = (1 - share) / (len(WORDS) - 1)
        row[WORDS.index(following)] = share
    return LanguageModel(Bigrams(table), nn.Identity())


def plain_predictions(texts: list[str], tokenizer: Any, language_model: LanguageModel, max_length: int = 16) -> Any:
    task = Task.model_validate(PLAIN)
    data = PlainTextData("en", list(range(len(texts))), texts, {}, PLACE)
    tables, altered = encode_plain(task, data, tokenizer, max_length)
    return language_modelling.predict(language_model, 0, tables, task, device=CPU, tokens_per_batch=7), altered


def test_bits_bytes_and_tokens_are_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    found, altered = plain_predictions(["good day", "it is bad ."], tokenizer, model(good=("day", 0.5)))
    uniform = log(len(WORDS), 2)
    assert found["bits"].to_pylist() == pytest.approx([uniform + 1, 4 * uniform], abs=1e-5)
    assert found["bytes"].to_pylist() == [8, 11] and found["tokens"].to_pylist() == [2, 4]
    assert altered == {}
    score = TASK_TYPES["language_modelling"].metric.score(Task.model_validate(PLAIN), found.to_pydict())
    rate = (5 * uniform + 1) / 19
    assert score["metrics"]["bits_per_byte"] == pytest.approx(rate, abs=1e-6)
    assert score["metrics"]["compression"] == pytest.approx(1 - rate / 8, abs=1e-6)
    assert score["metrics"]["perplexity"] == pytest.approx(2 ** ((5 * uniform + 1) / 6), abs=1e-4)
    earned, possible = TASK_TYPES["language_modelling"].metric.per_example_counts(Task.model_validate(PLAIN), found)
    assert earned.sum() / possible.sum() == pytest.approx(score["metrics"]["compression"], abs=1e-12)


def test_a_long_text_is_read_in_windows_and_counted_once(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "it is good day it is good"
    language_model = model(good=("day", 0.5))
    whole, _ = plain_predictions([text], tokenizer, language_model)
    split, altered = plain_predictions([text, "bad"], tokenizer, language_model, max_length=4)  # "good | day" apart
    uniform = log(len(WORDS), 2)
    assert whole["bits"].to_pylist() == pytest.approx([6 * uniform + 1], abs=1e-5)
    assert split["bits"].to_pylist() == pytest.approx([7 * uniform, uniform], abs=1e-5)
    assert split["bytes"].to_pylist() == [len(text), 3] and split["tokens"].to_pylist() == [7, 1]
    assert altered == {"split": 1}


def test_texts_with_unknown_or_without_tokens_are_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    _, altered = plain_predictions(["good snow", "good", " "], tokenizer, model())
    assert altered == {"unknown": 1, "without_token": 1}


def prompted(task: Task, data: TextData, tokenizer: Any, language_model: Any, max_length: int = 16) -> Any:
    tables, altered = encode_prompts(task, data, tokenizer, max_length)
    predicted = prompted_classification.predict(language_model, 0, tables, task, device=CPU, tokens_per_batch=9)
    return predicted, tables["candidates"].to_pydict(), altered


def test_the_likeliest_label_is_predicted_and_ties_go_to_the_first(tokenizer: PreTrainedTokenizerFast) -> None:
    data = TextData("en", [4, 7], ["good day", "bad day"], None, [1, 0], {}, PLACE)
    for likely, expected in (({",": ("no", 0.5)}, [1, 1]), ({",": ("yes", 0.5)}, [0, 0]), ({}, [0, 0])):
        found, rows, altered = prompted(Task.model_validate(TOPIC), data, tokenizer, model(**likely))
        assert found.to_pydict() == {"example": [4, 7], "gold": [1, 0], "predicted": expected}
        assert rows["start"] == [4, 4, 4, 4] and altered == {}  # <s> good day , | yes


def test_tokens_after_a_label_in_the_middle_count(tokenizer: PreTrainedTokenizerFast) -> None:
    """`no` is the likelier word, but what stands behind it is a little likelier behind `yes`."""
    task = Task.model_validate(TOPIC | PAIR | {"prompt": "{text} , {label} {text_pair}"})
    data = TextData("en", [0, 1], ["good", "good"], ["day", "bad"], [0, 1], {}, PLACE)
    likely = {",": ("no", 0.2), "yes": ("day", 0.9)}
    found, _, _ = prompted(task, data, tokenizer, model(**likely))
    table = model(**likely).whole.table.detach().numpy()
    number = {word: place for place, word in enumerate(WORDS)}
    for text_pair, label in zip(["day", "bad"], found["predicted"].to_pylist(), strict=True):
        by_hand = [table[number[","], number[w]] * table[number[w], number[text_pair]] for w in ("yes", "no")]
        assert label == int(np.argmax(by_hand))
    assert found["predicted"].to_pylist() == [0, 1]


def test_a_prompt_that_is_too_long_loses_the_end_of_its_longest_text(tokenizer: PreTrainedTokenizerFast) -> None:
    task = Task.model_validate(TOPIC | PAIR)
    data = TextData("en", [0, 1], ["good", "good"], ["it is bad day .", "it"], [0, 1], {}, PLACE)
    _, rows, altered = prompted(task, data, tokenizer, model(), max_length=8)
    read = [" ".join(WORDS[number] for number in ids) for ids in rows["input_ids"]]
    assert read[:2] == ["<s> good , yes , it is bad", "<s> good , no , it is bad"]
    assert altered == {"truncated": 1}
    both = TextData("en", [0], ["good " * 9], ["bad " * 8], [0], {}, PLACE)
    _, rows, _ = prompted(task, both, tokenizer, model(), max_length=10)
    read = " ".join(WORDS[number] for number in rows["input_ids"][0])
    assert read == "<s> good good , yes , bad bad bad bad"  # 9 and 8, 4 and 8, 4 and 4, 2 and 4
    with pytest.raises(UserError, match="no room for a text in windows of 4 sub-words; give the suite a larger"):
        prompted(task, data, tokenizer, model(), max_length=4)


def test_characters_of_several_tokens_are_left_out_whole() -> None:
    """Of bytes, as rare signs are read: three tokens end where the text does."""
    bytes_ = train_tokenizer("gpt")
    data = TextData("en", [0], ["a day of " + "☃" * 12], None, [0], {}, PLACE)
    _, rows, altered = prompted(Task.model_validate(TOPIC), data, bytes_, Anything(), max_length=24)
    assert max(map(len, rows["input_ids"])) <= 24 and altered == {"truncated": 1}
    read = decoders.ByteLevel().decode(bytes_.convert_ids_to_tokens(rows["input_ids"][0][1:]))
    assert read == f"a day of {'☃' * read.count('☃')} , yes" and 0 < read.count("☃") < 12


class Anything(LanguageModel):
    """To which all is equally likely."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), nn.Identity())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return torch.zeros(input_ids[:, 1:].shape)


@pytest.mark.parametrize("verbalisers", [{"A": "snow", "B": "rain"}, {"A": "yes", "B": "yes ."}])
def test_labels_that_the_tokenizer_does_not_distinguish_are_refused(
    tokenizer: PreTrainedTokenizerFast, verbalisers: dict[str, str]
) -> None:
    """It reads snow and rain as the unknown token."""
    data = TextData("en", [0], ["good"], None, [0], {}, PLACE)
    with pytest.raises(UserError, match="the beginning of another, or the same; put a sign"):
        prompted(Task.model_validate(TOPIC | {"verbalisers": verbalisers}), data, tokenizer, model())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "{text} is it"}, r"prompt must hold \{label\}, \{text\} and no other"),
        ({"prompt": "{text} {label} {other}"}, "prompt must hold"),
        ({"prompt": "{text} {label"}, "prompt: .*double other braces"),
        ({"verbalisers": {"A": "yes"}}, "verbalisers must name every label"),
        ({"verbalisers": {"A": "yes", "B": "yes"}}, "verbalisers must be texts that differ"),
        ({"columns": {"text": "a", "text_pair": "b", "label": "l"}}, r"\{label\}, \{text\}, \{text_pair\}"),
        ({"metric": "compression"}, "has the metrics accuracy, not compression"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task.model_validate(TOPIC | change)

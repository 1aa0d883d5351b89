"""Translation by prompt. Truth: sacrebleu's own corpus scores, hand-made answers, prompts written out here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from sacrebleu.metrics import CHRF
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import train_tokenizer
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.specs import Task, find_spec
from xrealign_bench.tasks.registry import TASK_TYPES
from xrealign_bench.tasks.sentence_pairs import TranslationData
from xrealign_bench.tasks.translation import chrf, identification, model
from xrealign_bench.tasks.translation.encoding import encode, fill_prompt
from xrealign_bench.tasks.translation.identification import IDENTIFIED_LANGUAGES, identifier_code, identify
from xrealign_bench.tasks.translation.metric import METRIC, language_shares

PLACE = LocatedSplit("data/pairs", "default", "test", None, "0" * 64, ())
FIELDS: dict[str, Any] = {
    "name": "said", "title": "Said", "licence": "none", "task_type": "translation", "metric": "chrf",
    "source": {"kind": "hub", "dataset": "org/said"}, "configs": {"de": "de", "nso": "nso"},
    "columns": {"text": "en", "text_pair": "other"}, "text_language": "en", "max_new_tokens": 5,
    "prompt": "{source}: {text}\n{target}:",
}  # fmt: skip
TASK = Task.model_validate(FIELDS)
GERMAN = [
    "Das Wetter ist heute schön, und wir gehen in den Garten.",
    "Die Regierung hat gestern ein neues Gesetz beschlossen.",
    "Er las.",
]
ENGLISH = ["The weather is fine today, and we go to the garden.", "The government passed a new law.", "He read."]
ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "equal": (GERMAN, GERMAN),
    "near": (["Das Wetter ist schön heute und wir gehen in Gärten", "Die Regierung hat Gesetze", "Er liest."], GERMAN),
    "one is empty": (["Das Wetter", "", "Er las."], GERMAN),
    "all are empty": (["", "", ""], GERMAN),
    "nothing in common": (["qqqq"], ["xxxx xxx"]),
    "references too short for six": (["ab cd e", "x"], ["a b", "xy"]),
    "other scripts": (["我喜欢 这座城市", "ฉันรักภาษา"], ["我喜欢这个城市", "ฉันรักภาษาไทย"]),
}


def counted(answers: list[str], references: list[str]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([chrf.count_ngrams(text) for text in references], dtype=np.float64),
        np.array([chrf.count_answer(*pair) for pair in zip(answers, references, strict=True)], dtype=np.float64),
    )


@pytest.mark.parametrize("case", ANSWERS)
def test_chrf_is_sacrebleus(case: str) -> None:
    answers, references = ANSWERS[case]
    expected = CHRF().corpus_score(answers, [references]).score / 100
    assert chrf.corpus_chrf(*counted(answers, references)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", ["near", "one is empty", "other scripts"])
def test_influences_are_derivatives_by_a_sentences_weight(case: str) -> None:
    references, answers = counted(*ANSWERS[case])
    influence = chrf.chrf_influence(references, answers)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for row in range(len(references)):
        weight = np.ones((len(references), 1))
        scores = []
        for step in (1e-5, -1e-5):
            weight[row] = 1 + step
            scores.append(chrf.corpus_chrf(weight * references, weight * answers))
        assert influence[row] == pytest.approx((scores[0] - scores[1]) / 2e-5, rel=1e-5, abs=1e-9)


def predictions(german: list[str], english: list[str], monkeypatch: pytest.MonkeyPatch, target: str = "de") -> pa.Table:
    """What the task type stores if the model gives these answers."""
    written = iter([german, english])
    monkeypatch.setattr(model, "generate_lines", lambda *_, **__: next(written))
    rows = list(range(len(GERMAN)))
    pairs = {"example": rows, "target": [target] * len(rows), "source_text": ENGLISH, "target_text": GERMAN}
    prompts = pa.table({"input_ids": [[1]] * len(rows)})
    tables = {"pairs": pa.table(pairs), "forward": prompts, "backward": prompts}
    tokenizer: Any = None
    nothing: Any = None
    return model.predict(nothing, 0, tables, TASK, device=torch.device("cpu"), tokenizer=tokenizer)


def test_scores_follow_from_stored_counts_and_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    german = [ENGLISH[0], "Le gouvernement a adopté une nouvelle loi hier.", ""]
    table = predictions(german, ENGLISH, monkeypatch)
    assert table["forward_text"].to_pylist() == german
    stored = table.select(METRIC.schema.names).to_pydict()
    assert not any(text in str(stored) for text in (*GERMAN, *ENGLISH, german[1]))
    assert stored["forward_language"] == ["en", "fr", "none"]
    assert stored["backward_language"] == ["en"] * 3 and stored["reference_language"][:2] == ["de", "de"]
    score = METRIC.score(TASK, stored)
    forward = CHRF().corpus_score(german, [GERMAN]).score / 100
    assert score["counted"] == 3 and score["reason"] is None
    assert score["metrics"] == {
        "chrf": pytest.approx((forward + 1) / 2),
        "right_language": 0.5,
        "chrf_forward": pytest.approx(forward),
        "right_language_forward": 0.0,
        "other_language_forward": pytest.approx(2 / 3),
        "chrf_backward": 1.0,
        "right_language_backward": 1.0,
        "other_language_backward": 0.0,
        "right_language_references": pytest.approx(stored["reference_language"].count("de") / 3),
    }


def test_a_language_that_the_identifier_does_not_know_has_chrf_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = predictions(GERMAN, ENGLISH, monkeypatch, target="nso").to_pydict()
    metrics = METRIC.score(TASK, stored)["metrics"]
    assert metrics["chrf"] == 1.0 and metrics["right_language_backward"] == 1.0
    unknown = {name for name, value in metrics.items() if value is None}
    assert unknown == {
        "right_language", "right_language_forward", "other_language_forward", "right_language_references"
    }  # fmt: skip


def test_counts_of_examples_give_each_languages_chrf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two languages and seeds in one table, each has its own chrF as the mean."""
    good = predictions(GERMAN, ENGLISH, monkeypatch)
    poor = predictions(ANSWERS["near"][0], ["The weather", "A law", "He"], monkeypatch)
    cells = [("de", 1, poor), ("de", 2, good), ("sw", 1, good)]
    table = pa.concat_tables(
        each.add_column(0, "language", pa.array([code] * 3)).add_column(1, "seed", pa.array([seed] * 3))
        for code, seed, each in cells
    )
    earned, possible = METRIC.per_example_counts(TASK, table)
    assert possible.tolist() == [1.0] * 9
    for place, (_, _, each) in enumerate(cells):
        mean = earned[3 * place : 3 * place + 3].mean()
        assert mean == pytest.approx(METRIC.score(TASK, each.to_pydict())["metrics"]["chrf"], abs=1e-12)
    assert len(set(earned[:3].round(6))) == 3


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", ENGLISH[0]), ("de", GERMAN[0]), ("fr", "Le gouvernement a adopté une nouvelle loi hier soir."),
        ("sw", "Serikali imepitisha sheria mpya jana jioni, na watu wengi wamefurahi."),
        ("yo", "Ìjọba ti ṣe òfin tuntun ní àná, inú àwọn ènìyàn sì dùn púpọ̀."),
        ("zh", "政府昨天通过了一项新的法律。"), ("ja", "政府は昨日、新しい法律を可決しました。"),
        ("th", "รัฐบาลผ่านกฎหมายใหม่เมื่อวานนี้"), ("hi", "सरकार ने कल एक नया कानून पारित किया।"),
        ("none", ""), ("none", " \n"), ("none", "17:30, 3.5 %"), ("none", "!?…"),
    ],
)  # fmt: skip
def test_clear_sentences_are_identified(code: str, text: str) -> None:
    assert identify(text) == code
    assert identify(text) == identify(text)


def test_the_languages_that_count_as_known_are_the_identifiers() -> None:
    labels = set(identification._identifier().labels)
    assert labels - IDENTIFIED_LANGUAGES == {"bs", "nso", "zxx"} and labels >= IDENTIFIED_LANGUAGES
    for ours, code in identification._OTHER_CODES.items():
        assert find(ours).code == ours and ours not in labels and code in labels


def test_confusion_on_a_constructed_case() -> None:
    found = ["sw", "en", "en", "de", "none"]
    assert language_shares(found, "sw") == (0.2, 0.6)
    assert language_shares(["ku"] * 3, "kmr") == (1.0, 0.0)
    assert language_shares(found, "nso") == (None, None) and identifier_code("bs") is None


def test_prompts_by_hand() -> None:
    assert fill_prompt(TASK, "en", "sw", ["Good  day.\n", "{x}"]) == [
        "English: Good day.\nSwahili:", "English: {x}\nSwahili:"
    ]  # fmt: skip
    shipped = find_spec("ntrex-translation", Task)
    (prompt,) = fill_prompt(shipped, "yo", "en", ["Ó dàbọ̀."])
    assert prompt == "Translate this sentence from Yoruba into English.\nYoruba: Ó dàbọ̀.\nEnglish:"
    names = {code: fill_prompt(TASK, "en", code, [""])[0].split("\n")[1] for code in ("ar", "fa", "no", "zh", "el")}
    assert names == {"ar": "Arabic:", "fa": "Persian:", "no": "Norwegian:", "zh": "Chinese:", "el": "Greek:"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer("llama")


def test_both_directions_are_encoded_behind_what_begins_a_text(tokenizer: Any) -> None:
    data = TranslationData("de", [4, 7], ["twelve euros", "fifty"], ["zwölf Euro", "fünfzig"], {}, PLACE)
    tables, altered = encode(TASK, data, tokenizer, max_length=4)
    assert altered == {} and set(tables) == {"pairs", "forward", "backward"}
    assert tables["pairs"].to_pylist()[1] == {
        "example": 7, "target": "de", "source_text": "fifty", "target_text": "fünfzig"
    }  # fmt: skip
    expected = {"forward": "English: fifty\nGerman:", "backward": "German: fünfzig\nEnglish:"}
    for direction, prompt in expected.items():
        assert tables[direction]["input_ids"].to_pylist()[1] == tokenizer(prompt)["input_ids"]


def test_a_sentence_longer_than_the_models_positions_is_refused(tokenizer: Any) -> None:
    data = TranslationData("de", [3], ["twelve euros " * 40], ["zwölf"], {}, PLACE)
    with pytest.raises(UserError) as caught:
        encode(TASK, data, tokenizer, max_length=96)
    length = len(tokenizer(fill_prompt(TASK, "en", "de", data.text)[0])["input_ids"])
    assert str(caught.value) == (
        f"{PLACE}: row 3: its prompt has {length} tokens, and with max_new_tokens 5 of the task 'said' that is more "
        "than the 64 that the model takes; give a smaller max_new_tokens or use another checkpoint"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt": "{text}:"}, "prompt must hold {source}, {target}, {text} and no other name in braces"),
        ({"prompt": "{text} {"}, "write {text}, and double other braces"),
        ({"text_language": None}, "task_type 'translation' needs text_language"),
        ({"metric": "accuracy"}, "task_type 'translation' has the metrics chrf, not accuracy"),
        ({"source": {"kind": "embedded"}}, "task_type 'translation' needs sentence pairs"),
        ({"labels": ["a", "b"]}, "task_type 'translation' has no labels"),
    ],
)  # fmt: skip
def test_tasks_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        Task.model_validate(FIELDS | changed)
    assert TASK_TYPES["translation"].train is None

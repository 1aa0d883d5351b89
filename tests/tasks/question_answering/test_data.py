"""Questions from a small data set in the Hub's layout: what comes out by hand, and what is refused."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Features, List, Value

from xrealign_bench.data.located import DataLocation
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task, find_spec
from xrealign_bench.tasks.question_answering.data import QuestionData
from xrealign_bench.tasks.question_answering.data import load as load_questions

HUB = Path(__file__).parents[4] / "shared" / "data" / "hub"
FEATURES = {
    "title": Value("string"),
    "context": Value("string"),
    "question": Value("string"),
    "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
}
CONTEXT = "Cats 🐈 sleep, dogs bark."


def row(question: Any = "Who barks?", context: Any = CONTEXT, **answers: int) -> dict[str, Any]:
    return asked(question, context, list(answers), list(answers.values()))


def asked(question: Any, context: Any, texts: Any, starts: Any) -> dict[str, Any]:
    return {
        "title": "x",
        "context": context,
        "question": question,
        "answers": {"text": texts, "answer_start": starts},
    }


def write(root: Path, rows: list[dict[str, Any]], **changes: Any) -> None:
    features = Features(FEATURES | changes)
    file = root / "org/qa/xx/train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [r[name] for r in rows] for name in features}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(file))


def load(root: Path, limit: int | None = None, **changes: Any) -> QuestionData:
    fields = {
        "name": "qa",
        "title": "Questions",
        "licence": "none",
        "task_type": "question_answering",
        "source": {"kind": "hub", "dataset": "org/qa"},
        "configs": {"en": "xx"},
        "columns": {"question": "question", "context": "context", "answers": "answers"},
        "metric": "f1",
    }
    return load_questions(
        Task.model_validate(fields | changes), "en", "train", DataLocation(root, offline=True), limit=limit
    )


def test_columns_come_out_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, [row(dogs=14), asked("Who?", CONTEXT, [], []), row("What do they do?", sleep=7, bark=19)])
    data = load(tmp_path)
    assert data.language == "en"
    assert data.questions == ["Who barks?", "What do they do?"]
    assert data.contexts == [CONTEXT] * 2
    assert data.answers == [[("dogs", 14)], [("sleep", 7), ("bark", 19)]]
    assert data.rows == [0, 2] and len(data) == 2
    assert data.dropped == {"no answer": 1}
    assert (data.located.config, data.located.split) == ("xx", "train")


@pytest.mark.parametrize(("limit", "train_examples", "expected"), [(1, None, 1), (None, 2, 2), (9, None, 3)])
def test_at_most_so_many_questions_are_taken(
    tmp_path: Path, limit: int | None, train_examples: int | None, expected: int
) -> None:
    write(tmp_path, [row(dogs=14)] * 3)
    assert len(load(tmp_path, limit, train_examples=train_examples)) == expected


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(dogs=15), r"row 1: the answer 'dogs' is not at character 15 of the context"),
        (row(Dogs=14), r"row 1: the answer 'Dogs' is not at character 14"),
        (row(dogs=-10), "not at character -10"),
        (asked("Who?", CONTEXT, ["dogs"], [None]), "not at character None"),
        (row(dogs=400), "not at character 400"),
        (asked("Who?", CONTEXT, ["dogs", "Cats"], [14]), "row 1: 2 answers and 1 places in the context"),
        (asked("Who?", CONTEXT, [" "], [4]), "row 1: an answer is empty"),
        (asked("Who?", CONTEXT, [None], [4]), "row 1: an answer is null"),
        (row(None, dogs=14), "row 1: the question is null"),
        (row(" ", dogs=14), "row 1: the question is empty"),
        (row(context="", dogs=0), "row 1: the context is empty"),
        (row(context=None, dogs=0), "row 1: the context is null"),
    ],
)
def test_bad_rows_are_refused_with_file_and_row(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    write(tmp_path, [row(dogs=14), bad])
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/org/qa/xx/train, row 1: ")


def test_places_are_characters_and_neither_utf_16_units_nor_bytes(tmp_path: Path) -> None:
    before = CONTEXT[: CONTEXT.index("dogs")]
    places = [len(before), len(before.encode("utf-16-le")) // 2, len(before.encode())]
    assert places == [14, 15, 17]
    write(tmp_path, [row(dogs=places[0])])
    assert load(tmp_path).answers == [[("dogs", 14)]]
    for place in places[1:]:
        write(tmp_path, [row(dogs=14), row(dogs=place)])
        with pytest.raises(UserError, match=f"row 1: the answer 'dogs' is not at character {place} of the context"):
            load(tmp_path)


def test_data_without_any_answer_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [asked("Who?", CONTEXT, [], []), asked("Who?", CONTEXT, None, None)])
    with pytest.raises(UserError, match="has no question with an answer"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"question": "answers"}, "column 'answers' holds .* and not text"),
        ({"context": "answers"}, "column 'answers' holds .* and not text"),
        ({"answers": "context"}, "column 'context' holds .* and not SQuAD's lists"),
        ({"context": "kontext"}, "'kontext'; did you mean context"),
    ],
)
def test_columns_of_another_type_are_refused(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    write(tmp_path, [row(dogs=14)])
    named = {"question": "question", "context": "context", "answers": "answers"} | columns
    with pytest.raises(UserError, match=message):
        load(tmp_path, columns=named)


@pytest.mark.parametrize(
    "answers",
    [
        {"text": List(Value("string"))},
        {"text": Value("string"), "answer_start": Value("int32")},
        {"text": List(Value("string")), "answer_start": List(Value("string"))},
    ],
)
def test_answers_of_another_make_are_refused(tmp_path: Path, answers: dict[str, Any]) -> None:
    plain = {"text": "dogs", "answer_start": 14}
    lists = {"text": ["dogs"], "answer_start": ["14"]}
    given = plain if isinstance(answers["text"], Value) else {name: lists[name] for name in answers}
    write(tmp_path, [row() | {"answers": given}], answers=answers)
    with pytest.raises(UserError, match=r"'answers' holds .* and not SQuAD's lists 'text'"):
        load(tmp_path)


def test_the_embedded_data_have_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the embedded data have no questions"):
        load(tmp_path, source={"kind": "embedded"}, configs={"en": "en"})


def test_the_shipped_tasks_have_xquad_s_languages() -> None:
    lite, full = find_spec("xquad-lite", Task), find_spec("xquad", Task)
    assert sorted(lite.languages) == sorted(full.languages)
    assert sorted(full.languages) == ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
    assert (full.part("en").source.dataset, full.part("de").source.dataset) == ("rajpurkar/squad", "google/xquad")
    assert full.part("de").columns == full.columns


@pytest.mark.skipif(not HUB.is_dir(), reason="no ../shared/data/hub beside the repository")
def test_xquad_lite() -> None:
    task = find_spec("xquad-lite", Task)
    train = load_questions(task, "en", "train", DataLocation(HUB, offline=True))
    tests = {code: load_questions(task, code, "test", DataLocation(HUB, offline=True)) for code in task.configs}
    assert (len(train), {len(data) for data in tests.values()}) == (632, {558})
    assert not set(train.contexts) & set(tests["en"].contexts)
    few = load_questions(task, "th", "test", DataLocation(HUB, offline=True), limit=2)
    assert (len(few), few.dropped) == (2, {})
    [(text, start)] = few.answers[0]
    assert few.contexts[0][start : start + len(text)] == text


@pytest.mark.skipif(not HUB.is_dir(), reason="no ../shared/data/hub beside the repository")
def test_the_full_task_s_targets_are_read_from_xquad() -> None:
    assert len(load_questions(find_spec("xquad", Task), "zh", "test", DataLocation(HUB, offline=True), limit=2)) == 2

"""The shipped task and corpus on real data, where a copy lies beside the repository."""

from pathlib import Path

import pytest

from xrealign_bench.data import corpus_languages, load_pairs, locate_pairs, locate_task
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.read import read_rows
from xrealign_bench.languages import find
from xrealign_bench.specs import Corpus, Task, find_spec
from xrealign_bench.tasks.retrieval.data import load as load_translations
from xrealign_bench.tasks.token_classification.data import load as load_words

HUB = Path(__file__).parents[3] / "shared" / "data" / "hub"

needs_data = pytest.mark.skipif(not HUB.is_dir(), reason="no ../shared/data/hub beside the repository")


def test_the_shipped_specs_are_about_known_languages():
    task, corpus = find_spec("udpos-lite", Task), find_spec("ntrex", Corpus)
    for codes in (task.configs, corpus.columns):
        assert [find(code).code for code in codes] == list(codes)
    assert len(task.configs) >= 46 and len(task.labels) == len(set(task.labels)) == 17
    columns = list(corpus.columns.values())
    assert len(set(columns)) == len(columns)
    # All but two have parallel text.
    assert set(task.configs) - set(corpus.columns) == {"bm", "myv"}


@needs_data
def test_udpos_lite():
    task = find_spec("udpos-lite", Task)
    prints = {
        locate_task(task, language, "test", DataLocation(HUB, offline=True)).fingerprint for language in task.configs
    }
    assert len(prints) == len(task.configs)
    english = load_words(task, "en", "train", DataLocation(HUB, offline=True), limit=1)
    # The first sentence of UD_English-EWT's train file.
    assert english.words[0][:7] == ["Al", "-", "Zaman", ":", "American", "forces", "killed"]
    assert [task.labels[label] for label in english.labels[0][:7]] == [
        "PROPN", "PUNCT", "PROPN", "PUNCT", "ADJ", "NOUN", "VERB",
    ]  # fmt: skip
    thai = load_words(task, "th", "test", DataLocation(HUB, offline=True))
    assert len(thai.words) == 600 and thai.dropped == {}


TAGGING = {"uner-lite": 34, "ud-masakhapos-lite": 67}
RETRIEVAL = {"tatoeba": 110, "ntrex-retrieval": 119, "tico19-retrieval": 33}


@pytest.mark.parametrize(("name", "languages"), [*TAGGING.items(), *RETRIEVAL.items(), ("wikiann-masakhaner", 73)])
def test_the_tasks_are_about_known_languages(name, languages):
    task = find_spec(name, Task)
    assert [find(code).code for code in task.languages] == task.languages
    assert len(task.languages) == languages


@needs_data
@pytest.mark.parametrize("name", TAGGING)
def test_every_language_of_a_tagging_task_loads(name):
    task = find_spec(name, Task)
    for language in task.languages:
        data = load_words(task, language, "test", DataLocation(HUB, offline=True), limit=2)
        assert len(data) == 2 and data.dropped == {}
    assert len(load_words(task, "en", "train", DataLocation(HUB, offline=True), limit=2)) == 2


@needs_data
def test_names_are_those_of_the_data():
    """The first sentence with an entity in each, by eye; what MasakhaNER 2 calls a date is outside."""
    task = find_spec("uner-lite", Task)
    english = load_words(task, "en", "test", DataLocation(HUB, offline=True), limit=1)
    assert [task.labels[label] for label in english.labels[0]] == ["O", "O", "O", "B-LOC", "O"]
    yoruba = load_words(task, "yo", "test", DataLocation(HUB, offline=True), limit=1)
    assert {task.labels[label] for label in yoruba.labels[0]} == {"O"}  # its one entity is a date
    hausa = load_words(task, "ha", "test", DataLocation(HUB, offline=True))
    assert {label for row in hausa.labels for label in row} == set(range(7))


@needs_data
@pytest.mark.parametrize("name", RETRIEVAL)
def test_every_language_of_a_retrieval_task_loads(name):
    task = find_spec(name, Task)
    for language in task.languages:
        data = load_translations(task, language, "test", DataLocation(HUB, offline=True), limit=2)
        assert len(data) == 2 and data.dropped == {}


@needs_data
def test_english_is_the_source_of_tatoeba():
    task = find_spec("tatoeba", Task)
    german = load_translations(task, "de", "test", DataLocation(HUB, offline=True), limit=1)
    assert german.text[0].startswith("Mary said") and german.text_pair[0].startswith("Maria sagte")


@needs_data
def test_ntrex_is_cut_into_two_parts():
    task, corpus = find_spec("ntrex-retrieval", Task), find_spec("ntrex-first-1000", Corpus)
    tested = load_translations(task, "de", "test", DataLocation(HUB, offline=True))
    trained = load_pairs(corpus, "en", "de", DataLocation(HUB, offline=True))
    assert len(trained.source_words) + len(tested) + sum(tested.dropped.values()) == 1997
    sides = {"".join(words) for words in trained.source_words}, {"".join(text.split()) for text in tested.text}
    assert len(sides[0] & sides[1]) == 0


@needs_data
def test_tico19_is_cut_into_two_parts():
    task, corpus = find_spec("tico19-retrieval", Task), find_spec("tico19-first-971", Corpus)
    assert corpus.pairs == task.skip_examples == 971
    tested = load_translations(task, "pt", "test", DataLocation(HUB, offline=True))
    trained = load_pairs(corpus, "en", "pt", DataLocation(HUB, offline=True))
    assert (len(trained.source_words), len(tested) + sum(tested.dropped.values())) == (971, 2100)
    sides = {"".join(words) for words in trained.source_words}, {"".join(text.split()) for text in tested.text}
    assert len(sides[0] & sides[1]) == 0
    # The first sentence of the set, a question about symptoms.
    assert trained.source_words[0][:4] == ["about", "how", "long", "have"]
    assert "sintomas" in trained.target_words[0]
    paired = corpus_languages(corpus, "en", DataLocation(HUB, offline=True))
    assert {*task.languages} <= {*paired}


def test_the_specs_of_ntrex_name_the_same_columns():
    corpus, first = find_spec("ntrex", Corpus), find_spec("ntrex-first-1000", Corpus)
    task = find_spec("ntrex-retrieval", Task)
    assert first.columns == corpus.columns
    assert {"en": task.columns.text, **task.columns.text_pair} == corpus.columns
    assert set(task.configs) == set(task.columns.text_pair)
    assert first.pairs == task.skip_examples == 1000


@needs_data
def test_ntrex():
    corpus = find_spec("ntrex", Corpus)
    assert len(corpus_languages(corpus, "en", DataLocation(HUB, offline=True))) == len(corpus.columns) - 1
    text = load_pairs(corpus, "en", "th", DataLocation(HUB, offline=True), limit=3)
    assert text.source_words[0] == ["Welsh", "AMs", "worried", "about", "'", "looking", "like", "muppets", "'"]
    assert text.target_words[2][-4:] == ["เป็น", "รัฐสภา", "แห่ง", "เวลส์"]
    assert text.dropped == {}


@needs_data
def test_every_column_of_ntrex_is_there():
    from xrealign_bench.data.read import column_names, pick_column

    corpus = find_spec("ntrex", Corpus)
    located = locate_pairs(corpus, "en", "de", DataLocation(HUB, offline=True))
    there = column_names(located, offline=True)
    assert len({pick_column(written, there, located) for written in corpus.columns.values()}) == len(corpus.columns)


def as_conllu(words: list[str], labels: list[str]) -> str:
    """A sentence as published: comments, a multiword token over the first two words, and an empty node at the end."""
    fields = [[str(place), word, "_", label] for place, (word, label) in enumerate(zip(words, labels, strict=True), 1)]
    extra = [["1-2", "".join(words[:2]), "_", "_"]] if len(words) > 1 else []
    rows = [*extra, *fields, [f"{len(words)}.1", "_", "_", "_"]]
    return "# text = " + " ".join(words) + "\n" + "".join("\t".join([*row, *"______"]) + "\n" for row in rows) + "\n"


@needs_data
def test_treebanks_as_conllu_have_the_words_and_labels_of_the_parquet(tmp_path):
    hub, languages = find_spec("udpos-lite", Task), ["en", "fr", "he", "ug", "vi", "wo", "yo"]
    configs = {language: str(hub.configs[language]) for language in languages}
    source = {"kind": "files", "test": "{config}-ud-test.conllu"}
    fields = hub.model_dump(by_alias=True) | {"source": source, "configs": configs}
    fields["columns"] = {"words": "form", "labels": "upos"}
    own = Task.model_validate(fields, context={"folder": tmp_path})
    for language in languages:
        theirs = load_words(hub, language, "test", DataLocation(HUB, offline=True))
        rows = read_rows(theirs.located, ["tokens", "upos"], True)
        names = rows.features["upos"].feature.names
        text = "".join(
            as_conllu(words, [names[label] for label in labels])
            for words, labels in zip(rows.columns["tokens"], rows.columns["upos"], strict=True)
        )
        (tmp_path / f"{configs[language]}-ud-test.conllu").write_text(text, encoding="utf-8")
        ours = load_words(own, language, "test", DataLocation())
        assert (ours.words, ours.labels, ours.dropped) == (theirs.words, theirs.labels, theirs.dropped)

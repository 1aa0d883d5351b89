"""The shipped task and corpus on real data, where a copy lies beside the repository."""

from pathlib import Path

import pytest

from xrealign_bench.data import corpus_languages, load_pairs, load_words, locate_pairs, locate_task
from xrealign_bench.languages import find
from xrealign_bench.specs import Corpus, Task, find_spec

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
    prints = {locate_task(task, language, "test", HUB, offline=True).fingerprint for language in task.configs}
    assert len(prints) == len(task.configs)
    english = load_words(task, "en", "train", HUB, offline=True, limit=1)
    # The first sentence of UD_English-EWT's train file.
    assert english.words[0][:7] == ["Al", "-", "Zaman", ":", "American", "forces", "killed"]
    assert [task.labels[label] for label in english.labels[0][:7]] == [
        "PROPN", "PUNCT", "PROPN", "PUNCT", "ADJ", "NOUN", "VERB",
    ]  # fmt: skip
    thai = load_words(task, "th", "test", HUB, offline=True)
    assert len(thai.words) == 600 and thai.dropped == {}


@needs_data
def test_ntrex():
    corpus = find_spec("ntrex", Corpus)
    assert len(corpus_languages(corpus, "en", HUB, offline=True)) == len(corpus.columns) - 1
    text = load_pairs(corpus, "en", "th", HUB, offline=True, limit=3)
    assert text.source_words[0] == ["Welsh", "AMs", "worried", "about", "'", "looking", "like", "muppets", "'"]
    assert text.target_words[2][-4:] == ["เป็น", "รัฐสภา", "แห่ง", "เวลส์"]
    assert text.dropped == {}


@needs_data
def test_every_column_of_ntrex_is_there():
    from xrealign_bench.data.parallel import _column
    from xrealign_bench.data.rows import column_names

    corpus = find_spec("ntrex", Corpus)
    located = locate_pairs(corpus, "en", "de", HUB, offline=True)
    there = column_names(located, offline=True)
    assert len({_column(written, there, located) for written in corpus.columns.values()}) == len(corpus.columns)

"""The shipped classification tasks on real data, where a copy lies beside the repository."""

from collections import Counter
from pathlib import Path

import pytest

from xrealign_bench.data import locate_task
from xrealign_bench.data.located import DataLocation
from xrealign_bench.languages import find
from xrealign_bench.specs import Task, find_spec
from xrealign_bench.tasks.labelled_texts import load as load_texts

HUB = Path(__file__).parents[3] / "shared" / "data" / "hub"
NLI = ["xnli-lite", "xnli"]
ANLI = ["ay", "bzd", "cni", "gn", "hch", "nah", "oto", "qu", "shp", "tar"]

needs_data = pytest.mark.skipif(not HUB.is_dir(), reason="no ../shared/data/hub beside the repository")


@pytest.mark.parametrize("name", [*NLI, "sib200"])
def test_the_shipped_tasks_are_about_known_languages(name):
    task = find_spec(name, Task)
    assert [find(code).code for code in task.languages] == task.languages
    # A config named by the language's own code, with or without a script, is that language.
    assert {code: find(task.part(code).configs[code]).code for code in task.languages} == {c: c for c in task.languages}


def test_which_languages_they_have():
    xnli, lite, topics = (find_spec(n, Task) for n in ("xnli", "xnli-lite", "sib200"))
    assert len(xnli.languages) == 15
    assert lite.languages == ["en", "my", "sw", "ur", *ANLI]
    assert len(topics.languages) == 195


@needs_data
@pytest.mark.parametrize("name", NLI)
def test_nli(name):
    task = find_spec(name, Task)
    english = load_texts(task, "en", "train", DataLocation(HUB, offline=True), limit=2)
    assert len(english) == 2 and english.dropped == {}
    for language in {*task.languages} & {"en", "my", "sw", "ur", *ANLI}:  # the others are not in the copy
        data = load_texts(task, language, "test", DataLocation(HUB, offline=True), limit=2)
        assert len(data) == 2 and data.text_pair is not None and data.dropped == {}
        assert all(one != two for one, two in zip(data.text, data.text_pair, strict=True))


@needs_data
def test_premise_and_hypothesis_are_not_mixed_up():
    """XNLI's pair 4010 in Urdu, read in the file: Brit Hume of Fox News guesses; he works for Fox: entailed."""
    task = find_spec("xnli-lite", Task)
    data = load_texts(task, "ur", "test", DataLocation(HUB, offline=True))
    assert data.text_pair is not None
    assert len(data.text[0]) > 3 * len(data.text_pair[0])
    assert [task.labels[label] for label in data.labels[:2]] == ["entailment", "contradiction"]


@needs_data
def test_nli_lite_trains_on_multinli_and_tests_in_eighteen_languages():
    task, location = find_spec("nli-lite", Task), DataLocation(HUB, offline=True)
    assert task.languages == ["en", "my", "sw", "ur", *ANLI, "ko", "hr", "fa", "id"]
    train = load_texts(task, "en", "train", location)
    assert len(train) == 10071 and train.located.config == "default"
    assert [train.labels.count(label) for label in range(3)] == [3495, 3201, 3375]
    assert not {*zip(train.text, train.text_pair, strict=True)} & {
        *zip(*(getattr(load_texts(task, "en", "test", location), side) for side in ("text", "text_pair")), strict=True)
    }
    for language, count in {"ko": 5010, "hr": 5010, "fa": 1564, "id": 2201}.items():
        data = load_texts(task, language, "test", location)
        assert len(data) == count and data.dropped == {}
    # IndoNLI's second pair, read in the file: J.J. Abrams was named for Trevorrow, who was therefore replaced by him.
    assert task.labels[load_texts(task, "id", "test", location).labels[1]] == "entailment"


@needs_data
def test_no_example_of_the_lite_sets_is_dropped():
    for name, language, count in (("xnli-lite", "sw", 1000), ("xnli-lite", "qu", 750), ("sib200", "sw", 204)):
        data = load_texts(find_spec(name, Task), language, "test", DataLocation(HUB, offline=True))
        assert (len(data), data.dropped) == (count, {})


@needs_data
def test_sib200_lite():
    task = find_spec("sib200", Task)
    there = {path.name for path in (HUB / "Davlan" / "sib200").iterdir() if path.is_dir()}
    assert set(task.configs.values()) <= there
    # Every language of the copy is in the task, in one script.
    assert {find(config).code for config in there} == set(task.configs)
    prints = {
        locate_task(task, language, "test", DataLocation(HUB, offline=True)).fingerprint for language in task.configs
    }
    assert len(prints) == len(task.configs)
    train = load_texts(task, "en", "train", DataLocation(HUB, offline=True))
    assert len(train) == 701 and set(train.labels) == set(range(7))
    assert train.text[0].startswith("Turkey is encircled by seas on three sides")
    assert task.labels[train.labels[0]] == "geography"
    for language in ["am", "ar", "no", "tw", "zh", "bjn"]:
        assert len(load_texts(task, language, "test", DataLocation(HUB, offline=True), limit=2)) == 2


@needs_data
def test_a_hundred_of_the_topics_hold_each_in_its_share():
    """The copy is sorted by topic."""
    task = find_spec("sib200", Task)
    whole, some = (
        Counter(load_texts(task, "yo", "test", DataLocation(HUB, offline=True), limit).labels) for limit in (None, 100)
    )
    assert set(some) == set(range(7))
    assert all(abs(some[topic] - whole[topic] * 100 / 204) < 1 for topic in whole)


@needs_data
def test_every_config_of_sib200_has_the_columns_and_labels_of_the_task():
    """Read from the files themselves: opening 195 data sets would take long."""
    import json

    import pyarrow.parquet as pq

    task = find_spec("sib200", Task)
    for config in task.configs.values():
        (file,) = (HUB / "Davlan" / "sib200" / config).glob("test-*.parquet")
        features = json.loads(pq.read_schema(file).metadata[b"huggingface"])["info"]["features"]
        assert features["text"]["dtype"] == "string"
        assert features["category"]["names"] == task.labels

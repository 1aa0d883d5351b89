"""Task data from a small data set in the Hub's layout: what comes out by hand, and what is refused."""

import os
import re

import pytest
from datasets import ClassLabel, Features, List, Value

from tests.data.hub_folder import make_task, row, write_rows
from xrealign_bench.data import locate_task
from xrealign_bench.data.located import DataLocation
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.tasks.token_classification.data import load as load_words
from xrealign_bench.tasks.token_classification.metric import gold_of
from xrealign_bench.tasks.token_classification.resegmentation import resegment


def load(root, language="en", split="train", limit=None, **changes):
    return load_words(make_task(**changes), language, split, DataLocation(root, offline=True), limit=limit)


def test_labels_are_mapped_by_name(root):
    data = load(root)
    assert data.words == [["dogs", "bark"], ["cats", ",", "sleep"]]
    # VERB is 0 and NOUN 1 in the task; the underscore is not labelled.
    assert data.labels == [[1, 0], [1, -100, 0]]
    assert data.dropped == {"empty": 1}
    assert data.rows == [0, 2]
    assert data.groups is None
    assert (data.located.config, data.located.split, data.located.revision) == ("en_x", "train", None)


def test_the_underscore_is_a_class_if_the_task_lists_it(root):
    assert load(root, labels=["VERB", "NOUN", "_"]).labels == [[1, 0], [1, 2, 0]]
    features = Features({name: List(Value("string")) for name in ("tokens", "tags")})
    write_rows(root, "fr_z", "test", [row("au à le", ["_", "NOUN", "VERB"])], features)
    data = load(root, "fr", "test", configs={"fr": "fr_z"}, labels=["VERB", "NOUN", "_"])
    assert data.labels == [[2, 1, 0]]
    task = make_task(labels=["VERB", "NOUN", "_"])
    assert gold_of(task, data)["scored"] == [[True, True, True]]
    assert gold_of(make_task(labels=task.labels, unscored_labels=["_"]), data)["scored"] == [[False, True, True]]


@pytest.mark.parametrize(
    ("limit", "train_examples", "words"), [(1, None, 1), (None, 2, 1), (2, 3, 1), (3, 2, 1), (9, None, 2)]
)
def test_at_most_so_many_examples_are_taken(root, limit, train_examples, words):
    data = load(root, limit=limit, train_examples=train_examples)
    assert len(data.words) == words  # of two out of three examples the second is empty


def test_string_labels_and_groups(root):
    features = Features({name: List(Value("string")) for name in ("tokens", "tags", "kind")})
    rows = [row("a b c", ["VERB", "_", "NOUN"]) | {"kind": ["x", "y", "x"]}]
    write_rows(root, "fr_z", "test", rows, features)
    columns = {"words": "tokens", "labels": "tags", "groups": "kind"}
    data = load(root, "fr", "test", configs={"fr": "fr_z"}, columns=columns)
    assert data.labels == [[0, -100, 1]]
    assert data.groups == [["x", "y", "x"]]


def test_label_names_may_stand_in_the_card_alone(root):
    plain = Features({"tokens": List(Value("string")), "tags": List(Value("int64"))})
    write_rows(root, "en_x", "test", [row("birds sing", [1, 0])], plain)
    assert load(root, "en", "test").labels == [[1, 0]]  # positions in the task's list
    before = locate_task(make_task(), "en", "test", DataLocation(root, offline=True)).fingerprint
    (root / "org/tags/README.md").write_text(
        "---\ndataset_info:\n- config_name: en_x\n  features:\n  - name: tokens\n    list: string\n  - name: tags\n"
        "    list:\n      class_label:\n        names:\n          '0': NOUN\n          '1': VERB\n---\n"
    )
    data = load(root, "en", "test")
    assert data.labels == [[0, 1]]
    assert data.located.fingerprint != before


def two_files(root, names):
    """Two files of the test split with the same words and the numbers 0 and 1, whose labels have these names."""
    folder = root / "org/tags/en_x"
    for number, own in enumerate(names):
        features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=own))})
        written = write_rows(root, "en_x", "test", [row("birds sing", [0, 1])], features)
        written.rename(folder / f"test-{number:05}-of-00002.parquet.new")
    for file in folder.glob("test-*.new"):
        file.rename(file.with_suffix(""))


def test_files_that_number_labels_differently_are_refused(root):
    two_files(root, [["NOUN", "VERB"], ["NOUN", "VERB"]])
    assert load(root, "en", "test").labels == [[1, 0], [1, 0]]
    for second in (["VERB", "NOUN"], ["NOUN", "VERB", "_"]):
        two_files(root, [["NOUN", "VERB"], second])
        with pytest.raises(UserError, match=r"00001-of-00002.parquet: column 'tags' holds .*, and in .*00000-of"):
            load(root, "en", "test")


def test_a_card_that_numbers_labels_otherwise_than_the_files_is_refused(root):
    card = root / "org/tags/README.md"
    head = (
        "---\ndataset_info:\n- config_name: en_x\n  features:\n  - name: tokens\n    list: string\n  - name: tags\n"
        "    list:\n      class_label:\n        names:\n          '0': {}\n          '1': {}\n          '2': {}\n---\n"
    )
    card.write_text(head.format("NOUN", "_", "VERB"))
    assert load(root, "en", "test").labels == [[1, 0]]
    card.write_text(head.format("VERB", "_", "NOUN"))
    with pytest.raises(
        UserError,
        match=r"column 'tags' are .*NOUN.* in the file's footer and .*VERB.* in the data",
    ):
        load(root, "en", "test")


def test_numbers_without_a_name_in_the_card_are_refused(root):
    plain = Features({"tokens": List(Value("string")), "tags": List(Value("int64"))})
    write_rows(root, "en_x", "test", [row("birds sing", [0, 1]), row("boats sink", [0, 5])], plain)
    (root / "org/tags/README.md").write_text(
        "---\ndataset_info:\n- config_name: en_x\n  features:\n  - name: tokens\n    list: string\n  - name: tags\n"
        "    list:\n      class_label:\n        names:\n          '0': NOUN\n          '1': VERB\n---\n"
    )
    with pytest.raises(UserError, match=r"row 1: the label 5 is none of the task 'tags' .VERB, NOUN."):
        load(root, "en", "test")


def test_a_byte_order_mark_does_not_hide_the_head_of_a_readme(root):
    card = "---\nconfigs:\n- config_name: en_x\n  data_files:\n  - split: test\n    path: de_y/test-*\n---\n"
    for encoding in ("utf-8", "utf-8-sig"):
        (root / "org/tags/README.md").write_text(card, encoding=encoding)
        assert load(root, "en", "test").words == [["Hunde", "bellen"], ["Katzen"]]


def test_a_readme_names_configs_as_for_load_dataset(root):
    (root / "org/tags/README.md").write_text(
        "---\nconfigs:\n- config_name: english\n  data_files:\n  - split: test\n    path: en_x/test-*\n---\n"
    )
    assert load(root, "en", "test", configs={"en": "english"}).words == [["birds", "sing"]]
    with pytest.raises(UserError, match=r"unknown config of .*tags: 'en_x';.*known: english"):
        load(root, "en", "test")


def test_replaced_data_are_read_anew_even_with_the_same_size_and_time(root):
    file = root / "org/tags/en_x/test-00000-of-00001.parquet"
    before = file.stat()
    first = load(root, "en", "test")
    write_rows(root, "en_x", "test", [row("boats sink", [0, 2])])
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    second = load(root, "en", "test")
    assert (first.words, second.words) == ([["birds", "sing"]], [["boats", "sink"]])
    assert first.located.fingerprint != second.located.fingerprint


def test_the_fingerprint_is_of_the_content_alone(root, tmp_path):
    here = locate_task(make_task(), "de", "test", DataLocation(root, offline=True))
    root.rename(tmp_path / "elsewhere")
    there = locate_task(make_task(), "de", "test", DataLocation(tmp_path / "elsewhere", offline=True))
    assert here.fingerprint == there.fingerprint
    assert (
        here.fingerprint
        != locate_task(make_task(), "en", "test", DataLocation(tmp_path / "elsewhere", offline=True)).fingerprint
    )


@pytest.mark.parametrize(
    ("changes", "language", "split", "message"),
    [
        ({}, "fr", "test", "unknown language of the task 'tags': 'fr'; known: de, en"),
        ({"configs": {"en": "en_y"}}, "en", "test", r"config of .*: 'en_y'; did you .*en_x.*\? Known: de_y, en_x"),
        ({}, "de", "train", "unknown split of .*, config 'de_y': 'train'; known: test"),
        ({"test_split": "tset"}, "en", "test", r"'tset'; did you mean test\? Known: test, train"),
        ({"columns": {"words": "token", "labels": "tags"}}, "en", "test", r"'token'; did you mean tokens\?"),
        ({"columns": {"words": "tags", "labels": "tags"}}, "en", "test", "column 'tags' holds .* and not words"),
        ({"labels": ["VERB", "ADJ"]}, "en", "test", "the data have NOUN and the task does not; the task has ADJ"),
        ({"source": {"kind": "hub", "dataset": "org/tabs"}}, "en", "test", "tabs: no such folder; put the data set"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused_with_the_known_ones(root, changes, language, split, message):
    with pytest.raises(UserError, match=message):
        load(root, language, split, **changes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a b", [0, 2]), row("a b c", [0, 2])], "row 1: 3 words and 2 labels"),
        ([row("a b", [0, 2]), {"tokens": ["a", None], "tags": [0, 2]}], "row 1: a word is null"),
        ([{"tokens": ["a"], "tags": None}], "row 0: 1 words and 0 labels"),
        ([row("a", [-1])], "row 0: the label -1 is none of the task"),
        ([row("", [])], "has no sentence with a word"),
        ([], "has no rows"),
        ([row("_ _", [0, 2]), row("", [])], "every word is '_', so it was published without its texts"),
    ],
)
def test_bad_rows_are_refused(root, rows, message):
    write_rows(root, "en_x", "test", rows)
    with pytest.raises(UserError, match=message):
        load(root, "en", "test")


def test_sentences_without_forms_are_dropped_and_counted(root):
    write_rows(root, "en_x", "test", [row("_ _ _", [0, 2, 0]), row("a _", [0, 2]), row("_", [0])])
    data = load(root, "en", "test")
    assert (data.words, data.rows, data.dropped) == ([["a", "_"]], [1], {"without_forms": 2})


ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def load_entities(root, *sentences, **changes):
    features = Features({"tokens": List(Value("string")), "tags": List(Value("string"))})
    rows = [row("w " * len(labels.split()), labels.split()) for labels in sentences]
    write_rows(root, "en_x", "test", rows, features)
    task = {"labels": ENTITIES, "metric": "entity_f1"} | changes
    data = load(root, "en", "test", **task)
    return [" ".join(task["labels"][n] if n >= 0 else "_" for n in labels) for labels in data.labels], data.repaired


@pytest.mark.parametrize(
    ("gold", "read", "count"),
    [
        ("O I-PER I-PER O", "O B-PER I-PER O", 1),
        ("I-PER I-PER", "B-PER I-PER", 1),
        ("B-PER I-LOC I-LOC I-PER", "B-PER B-LOC I-LOC B-PER", 2),
        ("B-PER _ I-PER", "B-PER _ B-PER", 1),
        ("I-PER B-PER I-PER I-LOC", "B-PER B-PER I-PER B-LOC", 2),  # IOB1
        ("B-PER I-PER B-PER O B-LOC I-LOC", "B-PER I-PER B-PER O B-LOC I-LOC", 0),
    ],
)
def test_entities_without_a_beginning_are_repaired_and_counted(root, gold, read, count):
    labels, repaired = load_entities(root, gold, "O O", gold)
    assert (labels, repaired) == ([read, "O O", read], {"i_without_b": 2 * count} if count else {})


def test_repaired_entities_are_those_of_seqeval_s_lenient_reading(root):
    from itertools import product

    from seqeval.metrics.sequence_labeling import get_entities

    gold = [" ".join(tags) for tags in product(ENTITIES, repeat=3)]
    labels, _ = load_entities(root, *gold)
    assert [get_entities(tags.split()) for tags in labels] == [get_entities(tags.split()) for tags in gold]
    # Nothing is left to repair.
    assert load_entities(root, *labels) == (labels, {})


def test_labels_of_a_task_that_is_not_about_entities_are_left_alone(root):
    assert load_entities(root, "O I-PER", metric="accuracy") == (["O I-PER"], {})


def test_a_slip_in_what_the_task_leaves_out_is_none(root):
    labels = {"labels": ENTITIES, "label_map": {"I-DATE": "O", "B-DATE": "O"}}
    assert load_entities(root, "O I-DATE I-PER", **labels) == (["O O B-PER"], {"i_without_b": 1})


def test_other_schemes_are_refused_or_mapped(root):
    with pytest.raises(UserError, match="row 0: the label 'S-PER' is none of the task"):
        load_entities(root, "S-PER O B-LOC I-LOC E-LOC")
    bioes = {f"{old}-{kind}": f"{new}-{kind}" for kind in ("PER", "LOC") for old, new in (("S", "B"), ("E", "I"))}
    labels, repaired = load_entities(root, "S-PER O B-LOC I-LOC E-LOC", label_map=bioes)
    assert (labels, repaired) == (["B-PER O B-LOC I-LOC I-LOC"], {})


def test_a_group_that_is_null_is_refused(root):
    features = Features({name: List(Value("string")) for name in ("tokens", "tags", "kind")})
    write_rows(root, "fr_z", "test", [row("a b", ["VERB", "NOUN"]) | {"kind": ["x", None]}], features)
    columns = {"words": "tokens", "labels": "tags", "groups": "kind"}
    with pytest.raises(UserError, match="row 0: a group is null"):
        load(root, "fr", "test", configs={"fr": "fr_z"}, columns=columns)


def test_unknown_string_labels_and_columns_that_are_no_lists_are_refused(root):
    strings = Features({"tokens": List(Value("string")), "tags": List(Value("string"))})
    write_rows(root, "en_x", "test", [row("a b", ["VERB", "verb"])], strings)
    with pytest.raises(UserError, match=r"row 0: the label 'verb' is none of the task 'tags' .VERB, NOUN."):
        load(root, "en", "test")
    single = Features({"tokens": Value("string"), "tags": ClassLabel(names=["VERB", "NOUN"])})
    write_rows(root, "en_x", "test", [{"tokens": "a b", "tags": 0}], single)
    with pytest.raises(UserError, match="column 'tokens' is no list with an entry for each word"):
        load(root, "en", "test")


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"PAR1" + b"?" * 99])
def test_a_damaged_file_is_named(root, damage, capfd):
    file = root / "org/tags/en_x/test-00000-of-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.raises(UserError, match=f"{re.escape(str(file))}: is damaged or no Parquet file .*; delete it"):
        load(root, "en", "test")
    assert capfd.readouterr() == ("", "")
    file.write_bytes(whole)
    assert load(root, "en", "test").words == [["birds", "sing"]]


def test_a_damaged_page_is_found_too(root):
    file = root / "org/tags/en_x/test-00000-of-00001.parquet"
    raw = bytearray(file.read_bytes())
    raw[4:24] = b"\xff" * 20  # the first page, with the footer as it was
    file.write_bytes(raw)
    with pytest.raises(UserError, match="is damaged"):
        load(root, "en", "test")


def test_other_formats_are_refused(root):
    (root / "org/tags/README.md").write_text(
        "---\nconfigs:\n- config_name: en_x\n  data_files:\n  - split: test\n    path: en_x/test.csv\n---\n"
    )
    (root / "org/tags/en_x/test.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"test\.csv is not Parquet.*refs/convert/parquet"):
        load(root, "en", "test")


def embedded_task(**changes):
    return make_task(
        source={"kind": "embedded"}, configs={"en": "en", "sw": "sw"}, labels=list(phrases.TAGS), **changes
    )


def test_embedded_data_are_the_generator_s_rows():
    data = load_words(embedded_task(test_examples=5), "sw", "test", DataLocation(offline=True), limit=3)
    rows = phrases.task_rows("sw", "test", 3)
    assert data.words == [row.words for row in rows]
    assert [[phrases.TAGS[label] for label in labels] for labels in data.labels] == [row.labels for row in rows]
    assert data.groups == [row.groups for row in rows]
    assert data.located.fingerprint == phrases.fingerprint()


def test_embedded_data_need_a_size_and_the_generator_s_labels():
    with pytest.raises(UserError, match="set test_examples"):
        load_words(embedded_task(), "sw", "test", DataLocation(offline=True))
    task = make_task(source={"kind": "embedded"}, configs={"en": "en"}, train_examples=1)
    with pytest.raises(UserError, match="labels differ: the data have WEEKDAY"):
        load_words(task, "en", "train", DataLocation(offline=True))


def load_characters(root, text, tags, **changes):
    features = Features({"tokens": List(Value("string")), "tags": List(Value("string"))})
    write_rows(root, "en_x", "test", [{"tokens": list(text), "tags": tags.split()}], features)
    task = {"labels": ENTITIES, "metric": "entity_f1", "configs": {"zh": "en_x"}} | changes
    data = load(root, "zh", "test", **task)
    return list(zip(data.words[0], (task["labels"][n] for n in data.labels[0]), strict=True)), data


def test_characters_become_words_and_entities_keep_their_characters(root):
    # ICU: 我 / 爱 / 北京 / 天安门
    text, tags = "我爱北京天安门", "O O B-LOC I-LOC B-LOC I-LOC I-LOC"
    labelled, data = load_characters(root, text, tags, segment=["zh"])
    assert labelled == [("我", "O"), ("爱", "O"), ("北京", "B-LOC"), ("天安门", "B-LOC")]
    assert (data.altered, data.repaired) == ({"segmented": 1}, {})
    # An entity that is part of a word, and one that ends in it, cut the word.
    labelled, _ = load_characters(root, text, "O O O B-LOC I-LOC O O", segment=["zh"])
    assert labelled == [("我", "O"), ("爱", "O"), ("北", "O"), ("京", "B-LOC"), ("天", "I-LOC"), ("安门", "O")]
    labelled, _ = load_characters(root, text, "O O B-LOC B-PER I-PER I-LOC I-LOC", segment=["zh"])
    assert labelled[2:] == [("北", "B-LOC"), ("京", "B-PER"), ("天", "I-PER"), ("安门", "B-LOC")]


def test_languages_that_are_not_named_keep_their_words(root):
    labelled, data = load_characters(root, "我爱", "O B-LOC")
    assert (labelled, data.altered) == ([("我", "O"), ("爱", "B-LOC")], {})


def test_words_of_several_characters_are_segmented_too(root):
    assert resegment(["天安", "门 ", "我"], [3, 4, -100], "zh", {1: 2, 3: 4}) == (["天安门", "我"], [3, -100])
    assert resegment(["我爱北京"], [3], "zh", {1: 2, 3: 4}) == (["我", "爱", "北京"], [3, 4, 4])
    assert resegment(["北", "京"], [1, 1], "zh", {1: 2}) == (["北", "京"], [1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segment": ["en"]}, "segment carries entities over to new words, which metric accuracy has none of"),
        ({"segment": ["de"], "labels": ENTITIES, "metric": "entity_f1"}, "segment names de, which configs does not"),
    ],
)
def test_segmentation_of_other_tasks_or_languages_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_task(configs={"en": "en_x"}, **changes)

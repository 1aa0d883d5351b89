"""Configs and splits: by hand, and against what `datasets` itself makes of the same README."""

import pytest
from datasets.data_files import DataFilesDict, sanitize_patterns

from xrealign_bench.data.layout import check_whole, default_config, find_layout, find_split, read_card
from xrealign_bench.errors import UserError


@pytest.mark.parametrize(
    ("file", "config", "split"),
    [
        ("en_ewt/train-00000-of-00001.parquet", "en_ewt", "train"),
        ("data/test-00003-of-00010-0a1b2c.parquet", "default", "test"),
        ("en-fr/validation/0001.parquet", "en-fr", "validation"),
        ("train/0000.parquet", "default", "train"),
        ("xquad.en/train.parquet", "xquad.en", "train"),
        ("a/b/dev_2-00000-of-00001.parquet", "a/b", "dev_2"),
        ("test.parquet", "default", "test"),
        ("en/partial-train/0000.parquet", "en", "train"),
        ("default/xnli-train.parquet", "default", "train"),
        ("en/c4-en-validation-00000-of-00002.parquet", "en", "validation"),
        ("parquet/en_ewt/dev.parquet", "en_ewt", "dev"),
        ("parquet/train.parquet", "default", "train"),
    ],
)
def test_by_name(file, config, split):
    assert find_layout([file, "README.md", "LICENSE"], {}, "README.md") == {config: {split: (file,)}}


FILES = [
    "en/train-1.parquet", "en/train-2.parquet", "en/test.parquet", "en/deep/er/test.parquet", "fr/test.parquet",
    "fr/x/other.parquet",
]  # fmt: skip


@pytest.mark.parametrize(
    "data_files",
    [
        [{"split": "train", "path": "en/train-*.parquet"}, {"split": "test", "path": "fr/test.parquet"}],
        [{"split": "test", "path": ["en/test.parquet", "fr/*.parquet"]}],
        [{"split": "test", "path": "en/**/test.parquet"}],
        "fr/**",
        ["en/train-?.parquet", "fr/*"],
    ],
)
def test_a_card_means_what_it_means_to_datasets(tmp_path, data_files):
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    theirs = DataFilesDict.from_patterns(sanitize_patterns(data_files), base_path=str(tmp_path))
    card = {"configs": [{"config_name": "c", "data_files": data_files}]}
    ours = find_layout(FILES, card, "README.md")["c"]
    assert {split: {str(tmp_path / f) for f in files} for split, files in ours.items()} == {
        split: set(files) for split, files in theirs.items()
    }


def test_a_card_with_a_folder_a_config():
    card = {"configs": [{"config_name": "french", "data_dir": "fr"}]}
    assert find_layout(["fr/test.parquet", "en/test.parquet"], card, "") == {"french": {"test": ("fr/test.parquet",)}}


def test_a_cut_conversion_is_one_set():
    files = [f"en/partial-train/{number:04}.parquet" for number in range(3)]
    assert find_layout(files, {}, "") == {"en": {"train": tuple(files)}}
    check_whole(files, [], False, "here")
    with pytest.raises(UserError, match=r"without en/partial-train/0001\.parquet"):
        check_whole(files[::2], [], False, "here")


def test_a_list_of_names_in_a_card_assigns_no_files():
    card = {"configs": ["en_ewt", "de_gsd"]}
    assert find_layout(["parquet/en_ewt/test.parquet"], card, "") == {
        "en_ewt": {"test": ("parquet/en_ewt/test.parquet",)}
    }
    assert default_config({"a": {}, "b": {}}, card) is None
    with pytest.raises(UserError, match="'configs' is malformed"):
        find_layout([], {"configs": ["en", {"config_name": "de", "data_files": "x"}]}, "README.md")


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        ("validation", ["train", "dev"], "dev"),
        ("dev", ["validation", "test"], "validation"),
        ("dev", ["dev", "validation"], "dev"),
        ("validation", ["dev", "valid"], None),
        ("test", ["dev"], None),
        ("dev", ["test"], None),
    ],
)
def test_a_development_split_has_several_names(asked, there, found):
    assert find_split(asked, there) == found


def test_default_config():
    two = {"a": {}, "b": {}}
    assert default_config({"a": {}}, {}) == "a"
    assert default_config(two, {}) is None
    assert default_config({**two, "default": {}}, {}) == "default"
    assert default_config(two, {"configs": [{"config_name": "a"}, {"config_name": "b", "default": True}]}) == "b"


def test_the_head_of_a_readme():
    assert read_card("---\nlicense: mit\n---\n# Title\n---\n", "README.md") == {"license": "mit"}
    assert read_card("# Title\n", "README.md") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\na: [1\n---\n", "README.md:3: is not YAML: .*; the YAML at its head can't be read"),
        ("---\n- a\n---\n", "is not a mapping"),
    ],
)
def test_a_bad_head_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_card(text, "README.md")


CARD = """---
language:
- no
- {code: !!lang de, since: 2026-13-45}
license: [mit, &odd !custom {a: 1}, *odd]
defaults: &files
- split: train
  path: "*.parquet"
configs:
- config_name: no
  data_files: *files
- <<: {data_files: [{split: test, path: b}]}
  config_name: "on"
dataset_info:
  features:
  - name: tag
    dtype: {class_label: {names: {0: NO, '1': yes}}}
size: 1
size: 2
---
"""
"""What PyYAML's schema misreads, and what other parts of a card may hold."""


def test_a_card_is_read_by_the_core_schema():
    card = read_card(CARD, "README.md")
    assert card["language"] == ["no", {"code": "de", "since": "2026-13-45"}]
    assert card["license"] == ["mit", {"a": 1}, {"a": 1}]
    layout = find_layout(["a.parquet", "b"], card, "README.md")
    assert layout == {"no": {"train": ("a.parquet",)}, "on": {"test": ("b",)}}
    assert card["dataset_info"]["features"][0]["dtype"] == {"class_label": {"names": {"0": "NO", "1": "yes"}}}
    assert card["size"] == 2


def test_a_long_card_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr("xrealign_bench.data.layout.LARGEST_HEAD", 100)
    with pytest.raises(UserError, match=r"README\.md: the YAML at its head has more than 100 characters"):
        read_card(f"---\na: {'[' * 100}\n---\n", "README.md")


def test_the_line_of_a_card_is_that_of_its_file():
    with pytest.raises(UserError, match=r"^README.md:3: is not YAML: .*; the YAML at its head can't be read"):
        read_card("---\na: 1\nb: %\n---\n", "README.md")


@pytest.mark.parametrize(
    "configs", [[{"data_files": "x"}], "en", [{"config_name": "a", "data_files": [{"split": "x"}]}]]
)
def test_malformed_configs_are_refused(configs):
    with pytest.raises(UserError, match="'configs' is malformed"):
        find_layout([], {"configs": configs}, "README.md")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"data_files": [{"split": "a", "path": "x"}, {"split": "a", "path": "y"}]},
            "has the split 'a' more than once",
        ),
        ({}, "has the config 'en' more than once"),
    ],
)
def test_what_a_card_names_twice_is_refused(config, message):
    twice = [{"config_name": "en"} | config, *([] if config else [{"config_name": "en"}])]
    with pytest.raises(UserError, match=message):
        find_layout([], {"configs": twice}, "README.md")


def shards(*numbers: str, stem: str = "en/test") -> list[str]:
    return [f"{stem}-{number}.parquet" for number in numbers]


WHOLE = [
    ["en/test.parquet"],
    shards("00000-of-00001"),
    shards("00000-of-00002-ab12", "00001-of-00002-cd34"),  # as push_to_hub once named them
    shards("00001-of-00002", "00002-of-00002"),
    ["en/test/0000.parquet", "en/test/0001.parquet"],
    ["en/test/2019.parquet", "en/test/2021.parquet"],
    ["en/test/00.parquet", "en/test/01.parquet"],
]


@pytest.mark.parametrize("files", WHOLE)
def test_whole_sets(files):
    check_whole(files, [], False, "here")


def test_a_card_may_name_several_sets():
    files = shards("00000-of-00001", stem="a/test") + shards("00000-of-00002", "00001-of-00002", stem="b/test")
    check_whole(files, [], True, "here")
    with pytest.raises(UserError, match=r"here: a/test-.* and b/test-00000-.* do not form one set; .*'configs'"):
        check_whole(files, [], False, "here")
    with pytest.raises(UserError, match=r"here: 1 of 2 files are there, without b/test-00001-of-00002.parquet"):
        check_whole(files[:2], [], True, "here")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (shards("00000-of-00003"), "1 of 3 files are there, without en/test-00001-of-00003.parquet"),
        (shards("00001-of-00003-ab"), "without en/test-00000-of-00003.parquet"),
        (shards("00001-of-00003", "00002-of-00003"), "without en/test-00000-of-00003.parquet"),
        (shards("00001-of-00003", "00003-of-00003"), "without en/test-00002-of-00003.parquet"),
        (shards("00000-of-00001", "00001-of-00001"), "2 of 1 files are there"),
        (shards("00000-of-00001-ab", "00000-of-00001-cd"), "-ab.parquet and .*-cd.parquet have the same number"),
        (shards("00000-of-00001", "00000-of-00002", "00001-of-00002"), "00001.parquet and .* belong to different sets"),
        ([*shards("00000-of-00001"), "en/test.parquet"], "belong to different sets"),
        (["en/test.parquet", "en/test/0000.parquet"], "belong to different sets"),
        (["en/test/0000.parquet", "en/test/0002.parquet"], "2 of 3 files are there, without en/test/0001.parquet"),
        (["en/test/0001.parquet"], "without en/test/0000.parquet"),
        (["en/test/00.parquet", "en/test/02.parquet"], "without en/test/01.parquet"),
        (["test.parquet", "data/test.parquet"], "test.parquet and data/test.parquet do not form one set"),
    ],
)
def test_sets_that_are_not_whole_are_refused(files, message):
    with pytest.raises(UserError, match=f"^here: .*{message}"):
        check_whole(files, [], False, "here")


@pytest.mark.parametrize(
    ("file", "refused"),
    [
        ("en/test-00000-of-00001 (1).parquet", True), ("en/test_more.parquet", True), ("en/part-0.parquet", True),
        ("en/train-00000-of-00001.parquet", False), ("de/part-0.parquet", False),
    ],
)  # fmt: skip
def test_files_that_no_pattern_names(file, refused):
    if not refused:
        return check_whole(shards("00000-of-00001"), [file], True, "here")
    with pytest.raises(UserError, match="may belong to them"):
        check_whole(shards("00000-of-00001"), [file], True, "here")

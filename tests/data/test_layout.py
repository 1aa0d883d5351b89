"""Configs and splits: by hand, and against what `datasets` itself makes of the same README."""

import pytest
from datasets.data_files import DataFilesDict, sanitize_patterns

from xrealign_bench.data.layout import default_config, find_layout, read_card
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
        ("---\n- a\n---\n", "is no mapping"),
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
    "configs", [[{"data_files": "x"}], ["en"], [{"config_name": "a", "data_files": [{"split": "x"}]}]]
)
def test_malformed_configs_are_refused(configs):
    with pytest.raises(UserError, match="'configs' is malformed"):
        find_layout([], {"configs": configs}, "README.md")

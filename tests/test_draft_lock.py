"""Drafts of locks for suites whose data are not at hand."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from xrealign_bench.data.loaded_suite import load_suite

SUITE = """\
name: mine
version: "1.0"
title: Mine
description: Mine
source_language: en
target_languages: [am, id, sw]
tasks: [xnli-afrixnli-americas-2]
seeds: [1, 2, 3]
finetuning: {steps: 1, batch_size: 1, max_length: 9, learning_rate: {default: 1.0e-5}, lr_schedule: linear, warmup: 0.1}
parallel: {corpus: nllb-2, aligner: eflomal}
tiers: {high: [4, 5], medium: [3], low: [0, 1, 2]}
bands: {distance: featural, cuts: [0.4, 0.5]}
"""
COMMIT = "b8dd5d7af51114dbda02c0e3f6133f332186418e"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "draft_lock.py"
    spec = importlib.util.spec_from_file_location("draft_lock", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("suite", ["pos-lite-1.0", "xrealign-lite-1.0"])
def test_a_draft_has_the_splits_of_a_lock_that_was_written_from_data(script, suite):
    loaded = load_suite(suite)
    assert loaded.lock is not None
    drafted = script.draft(loaded, {})
    assert [split.key for split in drafted] == [split.key for split in loaded.lock.lock.splits]


def test_commits_are_those_of_addresses_specs_and_the_command(script, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text(SUITE)
    monkeypatch.setattr("sys.argv", ["draft_lock.py", str(tmp_path / "mine.yaml"), f"facebook/xnli={COMMIT}"])
    script.main()
    assert capsys.readouterr().out.endswith("mine.lock.yaml: 7 splits, 5 of them at a commit\n")
    loaded = load_suite(str(tmp_path / "mine.yaml"))
    assert loaded.lock is not None
    raw, bucket = "https://raw.githubusercontent.com", "https://storage.googleapis.com/allennlp-data-bucket/nllb"
    indonli = "d3778b474b8cf0b034d51f76dfcb4b686ea9c8c5"
    assert [(split.dataset, split.config, split.split, split.revision) for split in loaded.lock.lock.splits] == [
        ("facebook/xnli", "en", "test", COMMIT),
        ("facebook/xnli", "en", "train", COMMIT),
        ("facebook/xnli", "sw", "test", COMMIT),
        (f"{raw}/ir-nlp-csui/indonli/{indonli}/data/indonli/test_expert.jsonl", "indonli", "test", indonli),
        (f"{bucket}/amh_Ethi-eng_Latn.gz", "amh_Ethi-eng_Latn", "train", None),
        (f"{bucket}/eng_Latn-swh_Latn.gz", "eng_Latn-swh_Latn", "train", None),
        ("masakhane/afrixnli", "amh", "test", "e3ca06b30f3e7af2a86f6c8609ea76fee326bc56"),
    ]

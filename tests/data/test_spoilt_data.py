"""Data and lexicons spoilt at random. Truth: a property, that each is read or refused with one sentence, and that rows
other than the original's have another fingerprint. Locks are spoilt with the other specs."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests import spoil
from tests.data.hub_folder import make_task, row, write_rows
from tests.data.test_parallel import columns_corpus
from tests.specs import test_mutations as yaml
from xrealign_bench.data import load_lexicon, load_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.errors import UserError
from xrealign_bench.tasks.token_classification.data import load

MANY = 150
SECONDS, CHARACTERS = 10, 4000
TAGS, PAIRS, CARD = (
    "org/tags/en_x/test-00000-of-00001.parquet", "org/pairs/data/test-00000-of-00001.parquet", "org/tags/README.md",
)  # fmt: skip
LEXICON = "muse/en-de.txt"
README = """\
---
license: mit
configs:
- config_name: en_x
  default: true
  data_files:
  - split: test
    path: en_x/test-*
dataset_info:
- config_name: en_x
  features:
  - name: tokens
    sequence: string
  - name: tags
    sequence:
      class_label:
        names:
          '0': NOUN
          '1': _
          '2': VERB
  splits:
  - name: test
    num_examples: 60
    num_bytes: 2000
  download_size: 100
---
# Tags
"""
CORPUS = columns_corpus(
    source={"kind": "hub", "dataset": "org/pairs"}, config="default", split="test", columns={"en": "en", "de": "de"},
    lexicons="muse",
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with sentences, pairs, a card and a lexicon."""
    root, chance = tmp_path_factory.mktemp("good"), random.Random(0)
    lengths = [chance.randint(1, 6) for _ in range(60)]
    some = [
        (chance.choices(["dogs", "cats", "birds", "sing", "bark"], k=n), chance.choices([0, 1, 2], k=n))
        for n in lengths
    ]
    write_rows(root, "en_x", "test", [row(" ".join(words), labels) for words, labels in some])
    (root / PAIRS).parent.mkdir(parents=True)
    sides = {"en": [f"dogs bark {n}" for n in range(40)], "de": [f"Hunde bellen {n}" for n in range(40)]}
    datasets.Dataset.from_dict(sides).to_parquet(str(root / PAIRS))
    (root / CARD).write_text(README)
    (root / LEXICON).parent.mkdir()
    (root / LEXICON).write_text("".join(f"dog{n}\tHund{n}\n" for n in range(30)))
    return root


def read_task(root: Path) -> tuple[str, Any]:
    data: Any = load(make_task(), "en", "test", DataLocation(root, offline=True))
    return data.located.fingerprint, (data.rows, data.words, data.labels)


def read_pairs(root: Path) -> tuple[str, Any]:
    pairs = load_pairs(CORPUS, "en", "de", DataLocation(root, offline=True))
    return pairs.fingerprint, (pairs.source_words, pairs.target_words)


def read_lexicon(root: Path) -> tuple[str, Any]:
    lexicon = load_lexicon(CORPUS, "en", "de", DataLocation(root))
    return lexicon.fingerprint, lexicon.entries


READERS: dict[str, Callable[[Path], tuple[str, Any]]] = {
    TAGS: read_task,
    CARD: read_task,
    PAIRS: read_pairs,
    LEXICON: read_lexicon,
}


def spoil_footer(content: bytes, chance: random.Random) -> bytes:
    """Spoil the metadata at the end of a Parquet file, whose length stands behind it."""
    length = int.from_bytes(content[-8:-4], "little")
    way = chance.choice([spoil.flip_bits, spoil.zero_fill, spoil.add_bytes])
    return content[: -8 - length] + way(content[-8 - length : -8], chance) + content[-8:]


WAYS: dict[str, list[spoil.Spoil]] = {
    ".parquet": [*spoil.ANY_FILE, *[spoil_footer] * 3],
    ".md": yaml.WAYS,
    ".txt": [*spoil.ANY_FILE, yaml.repeat_line, yaml.lose_line],
}


def read_or_refused(read: Callable[[Path], tuple[str, Any]], root: Path) -> tuple[str, Any] | None:
    began = time.monotonic()
    try:
        return read(root)
    except UserError as error:
        said = str(error)
        assert len(said) <= CHARACTERS
        assert said.replace("\n", "").isprintable()
        assert str(root) in said
        return None
    finally:
        assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_read_or_refused(good: Path, tmp_path: Path, name: str) -> None:
    read, content = READERS[name], (good / name).read_bytes()
    fingerprint, rows = read(good)
    chance, outcomes = random.Random(name), Counter[str]()
    root = Path(shutil.copytree(good, tmp_path / "root"))
    for _ in range(MANY):
        (root / name).write_bytes(chance.choice(WAYS[Path(name).suffix])(content, chance))
        found = read_or_refused(read, root)
        outcomes["read" if found else "refused"] += 1
        assert found is None or found[1] == rows or found[0] != fingerprint
    assert min(outcomes["read"], outcomes["refused"]) > MANY / 50, outcomes


CARDS: list[tuple[str, str, str]] = [
    (
        "features:\n",
        "features: .nan\n  others:\n",
        "the 'features' of 'en_x' contain a number that is not finite",
    ),
    (
        "names:\n",
        "names:\n          '3': -.inf\n",
        "the 'features' of 'en_x' contain a number that is not finite",
    ),
    ("dataset_info:\n- config_name: en_x\n", "dataset_info: of these data\nother:\n-\n", "'dataset_info' is malformed"),
    ("dataset_info:\n", "dataset_info:\n- 3\n", "'dataset_info' is malformed; each entry needs a config_name"),
]


@pytest.mark.parametrize(("old", "new", "message"), CARDS)
def test_cards_whose_types_are_wrong(good: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    root = Path(shutil.copytree(good, tmp_path / "root"))
    assert README.count(old) == 1
    (root / CARD).write_text(README.replace(old, new))
    with pytest.raises(UserError, match=rf"org/tags/README.md: {message}"):
        read_task(root)


@pytest.mark.parametrize("splits", ["3", "test", "[3, test]", "{name: 3}", "null"])
def test_splits_of_a_card_that_say_nothing_of_rows(good: Path, tmp_path: Path, splits: str) -> None:
    root = Path(shutil.copytree(good, tmp_path / "root"))
    (root / CARD).write_text(README.replace("  splits:\n", f"  splits: {splits}\n  others:\n"))
    assert read_task(root)[1] == read_task(good)[1]


def test_files_in_each_other_s_place(good: Path, tmp_path: Path) -> None:
    names = list(READERS)
    for one, other in ((a, b) for a in names for b in names if a < b):
        root = Path(shutil.copytree(good, tmp_path / "swapped"))
        (root / one).write_bytes((good / other).read_bytes())
        (root / other).write_bytes((good / one).read_bytes())
        # A card without YAML at its head says nothing; a lexicon's lines with two words are read, and others counted.
        skipped = {CARD, LEXICON} if CARD in (one, other) else {CARD}
        for name in {one, other} - skipped:
            assert read_or_refused(READERS[name], root) is None, (one, other)
        shutil.rmtree(root)


IN_PLACE: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "a link in a circle": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("what", IN_PLACE)
@pytest.mark.parametrize("name", [TAGS, LEXICON, CARD])
def test_what_is_no_file(good: Path, tmp_path: Path, name: str, what: str) -> None:
    root = Path(shutil.copytree(good, tmp_path / "root"))
    (root / name).unlink()
    IN_PLACE[what](root / name)
    found = read_or_refused(READERS[name], root)
    assert found is None or (name == CARD and what in ("nothing", "a folder") and found[1] == READERS[name](good)[1])

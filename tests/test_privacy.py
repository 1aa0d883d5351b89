"""What is published tells nothing of who computed it, where, or on which texts. Truth: every byte that is written.

One evaluation on data of made-up words, below a home and with a name that can't be there by accident; then its boards,
their pages and what is printed.
"""

from __future__ import annotations

import getpass
import os
import platform
import random
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

from tests.small import RECIPE, SUITE, TASK, Ran, World, command, write_checkpoint, write_yaml
from xrealign_bench.evaluation import redact_command

USER, HOST, TOKEN = "ottokarzwei", "wolkenkuckuck-17", "hf_PaPaGeNoPaPaGeNa1234567890"
SOURCE_WORDS = ["quimbelsaft", "drofelnd", "zwackelt", "mirtelhaus", "plonkeria", "vusterung", "gnarbold", "yxeltum"]
TARGET_WORDS = [word[::-1] for word in SOURCE_WORDS]
DATA_WORDS = [*SOURCE_WORDS, *TARGET_WORDS]
LABELS = ["VERB", "NOUN"]
LANGUAGES = {"en": "en_x", "de": "de_y", "sw": "sw_z"}


class Published(NamedTuple):
    """What an evaluation left: files, and what was printed."""

    files: dict[str, bytes]
    printed: list[Ran]
    home: Path


def write_data(root: Path) -> None:
    """Tagged words in three languages, and pairs in two."""
    chance = random.Random(0)
    features = Features({"words": List(Value("string")), "labels": List(ClassLabel(names=LABELS))})
    for config in LANGUAGES.values():
        for split in ("train", "test"):
            rows = [chance.choices(DATA_WORDS, k=chance.randint(2, 5)) for _ in range(16)]
            labels = [[chance.randrange(2) for _ in row] for row in rows]
            file = root / f"org/tags/{config}/{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            data = datasets.Dataset.from_dict({"words": rows, "labels": labels}, features=features)
            data.to_parquet(str(file))
    pairs = [chance.choices(range(len(SOURCE_WORDS)), k=4) for _ in range(12)]
    sides = {
        code: [" ".join((SOURCE_WORDS if code == "en" else TARGET_WORDS)[word] for word in pair) for pair in pairs]
        for code in LANGUAGES
    }
    file = root / "org/pairs/train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    datasets.Dataset.from_dict(sides).to_parquet(str(file))
    (root / "muse").mkdir()
    for code in LANGUAGES:
        lines = [f"{source}\t{target}\n" for source, target in zip(SOURCE_WORDS, TARGET_WORDS, strict=True)]
        (root / f"muse/en-{code}.txt").write_text("".join(lines))


def write_specs(folder: Path) -> Path:
    write_yaml(
        folder / "phrases.yaml",
        {
            **{name: TASK[name] for name in ("name", "title", "licence", "task_type")},
            "source": {"kind": "hub", "dataset": "org/tags"},
            "configs": LANGUAGES,
            "columns": {"words": "words", "labels": "labels"},
            "labels": LABELS,
        },
    )
    write_yaml(
        folder / "pairs.yaml",
        {
            "name": "pairs",
            "title": "Pairs",
            "licence": "none",
            "source": {"kind": "hub", "dataset": "org/pairs"},
            "config": "default",
            "columns": {code: code for code in LANGUAGES},
            "lexicons": "muse",
        },
    )
    parallel = {"corpus": "pairs", "aligner": "lexicon"}
    return write_yaml(
        folder / "small.yaml", SUITE | {"target_languages": ["de", "sw"], "seeds": [3], "parallel": parallel}
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    home = tmp_path_factory.mktemp("home") / USER
    write_data(home / "data")
    suite = write_specs(home / "specs")
    recipe = write_yaml(home / "specs" / "mine.yaml", RECIPE)
    world = World(home / "work", suite, write_checkpoint(home / "models" / "tiny"))
    environment = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST, "HF_TOKEN": TOKEN}
    before = Path.cwd()
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(socket, "gethostname", lambda: HOST),
        mock.patch.object(socket, "getfqdn", lambda *_: HOST),
        mock.patch.object(platform, "node", lambda: HOST),
        mock.patch.object(getpass, "getuser", lambda: USER),
    ):
        os.chdir(home)
        try:
            options = ["--recipe", recipe, "--data-root", home / "data"]
            printed = [
                world.evaluate(*options),
                world.evaluate(*options, "--json"),
                command("leaderboard", "build", world.output / "results", "--output", home / "boards"),
                command("leaderboard", "site", world.output / "results", "--output", home / "site"),
                *(command("reproduce", path.parent) for path in sorted(world.output.rglob("result.json"))),
            ]
        finally:
            os.chdir(before)
    assert [ran.status for ran in printed] == [0] * len(printed), printed
    folders = (world.output, home / "boards", home / "site")
    files = {
        path.relative_to(home).as_posix(): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    yield Published(files, printed, home)
    shutil.rmtree(home)


def readable(name: str, content: bytes, folder: Path) -> bytes:
    """A file's bytes, and what a Parquet file has compressed."""
    if not name.endswith(".parquet"):
        return content
    (folder / "one.parquet").write_bytes(content)
    table: Any = pq.read_table(folder / "one.parquet")
    return content + repr((table.to_pydict(), table.schema.metadata)).encode()


def test_files_name_no_person_place_or_text(published: Published, tmp_path: Path) -> None:
    names = [str(published.home), USER, HOST, TOKEN, *DATA_WORDS]
    found = [
        (name, secret)
        for name, content in published.files.items()
        for secret in names
        if secret.encode() in readable(name, content, tmp_path) or secret in name
    ]
    assert found == []
    pictures = [content for name, content in published.files.items() if name.endswith(".png")]
    digests = [re.findall(rb"tEXtSource\x00[0-9a-f]{64}", picture) for picture in pictures]
    assert [len(found) for found in digests] == [picture.count(b"tEXt") for picture in pictures]
    assert not any(chunk in picture for picture in pictures for chunk in (b"zTXt", b"iTXt", b"eXIf"))
    suffixes = {Path(name).suffix for name in published.files}
    assert {".json", ".parquet", ".md", ".csv", ".png", ".html"} <= suffixes


def test_what_is_printed_has_no_token_and_no_text(published: Published) -> None:
    """It may name the folders that the user typed."""
    for ran in published.printed:
        assert ran.out
        for secret in (HOST, TOKEN, *DATA_WORDS):
            assert secret not in ran.out + ran.err


def test_printed_results_name_no_folder(published: Published) -> None:
    as_json = published.printed[1].out
    assert USER not in as_json and str(published.home) not in as_json


def test_the_search_finds_what_is_there(published: Published, tmp_path: Path) -> None:
    """A secret in a string of a compressed Parquet file or in a stored name would be found."""
    file = tmp_path / "a.parquet"
    datasets.Dataset.from_dict({"a": [DATA_WORDS[0]] * 1000}).to_parquet(str(file))
    assert DATA_WORDS[0].encode() in readable("a.parquet", file.read_bytes(), tmp_path)
    stored = list((published.home / "work" / "store").rglob("*.parquet"))
    assert any(DATA_WORDS[0].encode() in readable("a.parquet", path.read_bytes(), tmp_path) for path in stored)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--data-root", f"/home/{USER}/hub"], "--data-root hub"),
        ([f"--data-root=/home/{USER}/hub"], "--data-root=hub"),
        (["--checkpoint", f"~{USER}/models/mine"], "--checkpoint mine"),
        (["--checkpoint", f"../../{USER}/models/mine"], "--checkpoint mine"),
        (["--store", f"work/../../{USER}/store"], "--store store"),
        (["--store", f"..\\{USER}\\store"], "--store store"),
        (["--data-root", f"C:\\Users\\{USER}\\hub"], "--data-root hub"),
        (["--executor", "ray", "--address", f"{HOST}:6379"], "--executor ray --address HOST"),
        (["--executor", "ray", f"--address=ray://{HOST}:10001"], "--executor ray --address=HOST"),
        (["--executor", "ray", "--address", "auto"], "--executor ray --address auto"),
        (["--checkpoint", "FacebookAI/xlm-roberta-base", "--suite", "./mine/suite.yaml"],
         "--checkpoint FacebookAI/xlm-roberta-base --suite ./mine/suite.yaml"),
    ],
)  # fmt: skip
def test_a_stored_command_line_names_no_place_and_no_host(given: list[str], kept: str) -> None:
    assert redact_command(["xrealign-bench", "evaluate", *given]) == f"xrealign-bench evaluate {kept}"

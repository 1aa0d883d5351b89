"""`doctor --suite`. Truth: what a server in the Hub's place has, and was asked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from tests.data import fake_hub, web_server
from tests.data.fake_hub import COMMIT, FakeHub, Fault, Repo
from tests.small import CORPUS, Ran, command, write_suite, write_yaml
from xrealign_bench.specs import Task

OTHER = "f" * 40
LABELS = ["VERB", "NOUN"]
TASK: dict[str, Any] = {
    "name": "tags",
    "title": "Tags",
    "licence": "none",
    "task_type": "token_classification",
    "source": {"kind": "hub", "dataset": "org/tags"},
    "configs": {"en": "en_x", "de": "de_y"},
    "columns": {"words": "tokens", "labels": "upos"},
    "labels": LABELS,
}
SPLITS = [("en_x", "train"), ("en_x", "test"), ("de_y", "test")]


def parquet(labels: list[str] | None = LABELS, rows: int = 2, **more: list[str]) -> bytes:
    """Sentences with class labels, or with whole numbers."""
    label = Value("int64") if labels is None else ClassLabel(names=labels)
    features = Features({"tokens": List(Value("string")), "upos": List(label), **dict.fromkeys(more, Value("string"))})
    columns = {"tokens": [["birds", "sing"]] * rows, "upos": [[1, 0]] * rows, **more}
    table = Dataset.from_dict(columns, features=features).data.table
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def repo(name: str = "{config}/{split}-00000-of-00001.parquet", content: bytes | None = None) -> Repo:
    content = parquet() if content is None else content
    return Repo({name.format(config=config, split=split): content for config, split in SPLITS})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub.served(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite that reads `org/tags` in two languages, and embedded pairs."""
    suite = write_suite(tmp_path / "world", tasks=["tags"], target_languages=["de"], seeds=[3])
    write_task(suite)
    return suite


def write_task(suite: Path, **changes: Any) -> None:
    task = Task.model_validate(TASK | changes)  # a typo here is an error here
    write_yaml(suite.parent / "tags.yaml", task.model_dump(mode="json"))


def doctor(suite: Path, *more: object) -> tuple[Ran, dict[str, Any]]:
    """Return what the command did, and its splits by `config/split`."""
    ran = command("doctor", "--suite", suite, "--json", *more)
    assert ran.out, ran.err
    found = json.loads(ran.out)
    splits = {f"{split['config']}/{split['split']}": split for split in found["splits"]}
    assert found["there"] == sum(split["state"] == "there" for split in splits.values())
    assert ran.status == (0 if found["there"] == len(splits) else 1)
    return ran, splits


def states(splits: dict[str, Any]) -> dict[str, str]:
    return {name: split["state"] for name, split in splits.items()}


ALL_THERE = {"en_x/train": "there", "en_x/test": "there", "de_y/test": "there"}
CARD = b"""---
configs:
- config_name: en_x
  data_files:
  - {split: train, path: "english/a-*"}
  - {split: test, path: "english/b-*"}
- config_name: de_y
  data_files: [{split: test, path: "german/*"}]
---
"""


@pytest.mark.parametrize(
    "there",
    [
        repo(),
        repo("parquet/{config}/{split}.parquet"),
        repo("{config}/partial-{split}/0000.parquet"),
        repo("{config}/tags-{split}.parquet"),
        Repo(dict.fromkeys(["english/a-1.parquet", "english/b-1.parquet", "german/c.parquet"], parquet()) | {
            "README.md": CARD
        }),
    ],
    ids=["old names", "parquet folder", "cut conversion", "named after the data set", "card"],
)  # fmt: skip
def test_splits_are_found_in_every_layout_without_a_download(hub: FakeHub, suite: Path, there: Repo) -> None:
    hub.repos["org/tags"] = there
    ran, splits = doctor(suite)
    assert ran.err == ""
    assert states(splits) == ALL_THERE
    one = splits["de_y/test"]
    assert (one["dataset"], one["read_by"], one["columns"]) == ("org/tags", ["tags"], ["tokens", "upos"])
    assert (one["labels"], one["problems"]) == ("as in the task", [])
    files = [span for path, span in hub.asked if path.endswith(".parquet")]
    assert len(files) == 3 and None not in files  # one range of each file


def test_only_the_footer_of_a_large_file_is_read(hub: FakeHub, suite: Path) -> None:
    """Its footer is longer than the first guess, because of 3,000 columns that nobody reads."""
    wide = parquet(**{f"column_{number}": ["", ""] for number in range(3000)})
    hub.repos["org/tags"] = repo(content=wide)
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE
    length = int.from_bytes(wide[-8:-4], "little")
    assert length > 2**16
    for path, sent in hub.sent.items():
        if path.endswith(".parquet"):
            assert sent == 2**16 + length + 8 < len(wide)


def test_the_table_lists_every_split_and_every_problem_once(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    ran = command("doctor", "--suite", suite)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[0].split() == ["split", "read", "by", "state", "columns", "labels"]
    assert "org/tags/de_y/test" in ran.out and ran.out.endswith("\nsmall-1.0: 3 of 3 splits are there\n")
    hub.repos.clear()
    fake_hub._forget()
    ran = command("doctor", "--suite", suite)
    assert ran.status == 1
    assert ran.out.count("https://huggingface.co has no data set 'org/tags', or it is private") == 1
    assert ran.out.endswith("\nsmall-1.0: 0 of 3 splits are there\n")
    assert command("doctor", "--language", "de").err == "error: --language is about a suite's data; add --suite\n"


def test_development_splits_are_checked_too(hub: FakeHub, suite: Path) -> None:
    write_task(suite, development_split="validation")
    hub.repos["org/tags"] = repo("parquet/{config}/{split}.parquet")
    hub.repos["org/tags"].files["parquet/de_y/dev.parquet"] = parquet()
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE | {"de_y/dev": "there", "en_x/validation": "moved"}
    assert "unknown split of org/tags, config 'en_x': 'validation'; known: test, train" in (
        splits["en_x/validation"]["problems"][0].replace("did you mean ", "")
    )


def test_what_moved_was_renamed_or_is_no_data_is_told_together(hub: FakeHub, suite: Path) -> None:
    write_task(suite, configs={"en": "en_x", "de": ["de_gone", "de_z"]})
    hub.repos["org/tags"] = Repo({"en_x/training-00000-of-00001.parquet": parquet(), "en_x/test.parquet": b"PAR1 no",
                                  "de_gome/test.parquet": parquet()})  # fmt: skip
    _, splits = doctor(suite)
    assert states(splits) == {"en_x/train": "moved", "en_x/test": "not readable", "de_gone/test": "renamed"}
    assert "did you mean training?" in splits["en_x/train"]["problems"][0]
    assert splits["en_x/test"]["problems"][0].startswith("org/tags/en_x/test.parquet: is damaged or no Parquet file")
    assert "unknown config of org/tags: 'de_gone'; did you mean de_gome?" in splits["de_gone/test"]["problems"][0]


def test_another_config_of_the_language_is_nearer_than_one_that_is_spelt_alike(hub: FakeHub, suite: Path) -> None:
    write_task(suite, configs={"en": "en_x", "de": "de_pud"})
    hub.repos["org/tags"] = repo()
    hub.repos["org/tags"].files["fr_pud/test.parquet"] = parquet()
    _, splits = doctor(suite)
    assert "'de_pud'; did you mean de_y?" in splits["de_pud/test"]["problems"][0]


def test_configs_with_the_same_problem_share_its_line(suite: Path, tmp_path: Path) -> None:
    write_task(suite, configs={"en": "en_x", "de": "q1", "fr": "w2"})
    write_suite(suite.parent, tasks=["tags"], target_languages=["de", "fr"])
    (tmp_path / "hub/org/tags/en_x").mkdir(parents=True)
    for split in ("train", "test"):
        (tmp_path / f"hub/org/tags/en_x/{split}-00000-of-00001.parquet").write_bytes(parquet())
    ran = command("doctor", "--suite", suite, "--data-root", tmp_path / "hub")
    assert ran.out.splitlines()[-4:] == [
        f"unknown config of {tmp_path}/hub/org/tags: 'q1'; known: en_x",
        "  likewise w2",
        "",
        "small-1.0: 2 of 4 splits are there",
    ]


def test_a_script_and_json_say_how_to_read_them(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = Repo({"tags.py": b"raise SystemExit", "README.md": b"---\nconfigs: [en_x, de_y]\n---\n"})
    _, splits = doctor(suite)
    assert set(states(splits).values()) == {"not readable"}
    assert splits["en_x/test"]["problems"][0].startswith(
        "org/tags: is a loading script (tags.py), which is not run, without Parquet files; name the files of each split"
    )
    hub.repos["org/tags"] = Repo({"en_x.jsonl.gz": b"", "tags.json": b""}, OTHER)
    fake_hub._forget()
    assert "org/tags: has no Parquet files, but en_x.jsonl.gz; name" in command("doctor", "--suite", suite).out


@pytest.mark.parametrize(
    ("labels", "state", "said"),
    [
        (LABELS[::-1], "there", "in another order, read by name"),
        (["_", *LABELS], "there", "as in the task"),
        (None, "there", "numbers"),
        (["VERB", "N"], "not readable", "labels differ: the data have N and the task does not"),
    ],
)
def test_labels_and_their_order_are_compared(
    hub: FakeHub, suite: Path, labels: list[str] | None, state: str, said: str
) -> None:
    hub.repos["org/tags"] = repo(content=parquet(labels))
    _, splits = doctor(suite)
    assert set(states(splits).values()) == {state}
    assert said in (splits["en_x/test"]["labels"] or splits["en_x/test"]["problems"][0])


def test_other_columns_and_empty_files_are_told(hub: FakeHub, suite: Path) -> None:
    write_task(suite, columns={"words": "tokens", "labels": "pos"})
    hub.repos["org/tags"] = repo()
    hub.repos["org/tags"].files["de_y/test-00000-of-00001.parquet"] = parquet(rows=0)
    _, splits = doctor(suite)
    assert "unknown column of org/tags/en_x/test: 'pos'; did you mean upos?" in splits["en_x/test"]["problems"][0]
    assert "org/tags/de_y/test: has no rows" in splits["de_y/test"]["problems"][0]


def text_task(suite: Path, name: str, **source: Any) -> None:
    files = {"train": name, "test": name}
    write_task(
        suite, task_type="sequence_classification", columns={"text": "text", "label": "label"},
        source=(source or {"kind": "hub", "dataset": "org/tags"}) | files,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".jsonl", ".json"])
def test_the_start_of_other_files_is_enough(hub: FakeHub, suite: Path, suffix: str) -> None:
    text_task(suite, f"data/{{config}}{suffix}")
    texts = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(9000)]
    rows = [{"text": text, "label": "NOUN"} for text in texts]
    lines = ["text\tlabel", *(f"{row['text']}\t{row['label']}" for row in rows)]
    text = {".jsonl": "\n".join(map(json.dumps, rows)), ".json": json.dumps(rows)}.get(suffix, "\n".join(lines))
    content = gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode()
    hub.repos["org/tags"] = Repo({f"data/en_x{suffix}": content, f"other/de_y{suffix}": content})
    _, splits = doctor(suite)
    assert states(splits) == {"en_x/train": "there", "en_x/test": "there", "de_y/test": "moved"}
    assert f"has no file data/de_y{suffix}, but" in splits["de_y/test"]["problems"][0]
    columns, labels = ([], "") if suffix == ".json" else (["text", "label"], "names in rows")  # JSON needs the whole
    assert (splits["en_x/test"]["columns"], splits["en_x/test"]["labels"]) == (columns, labels)
    sent = sum(sent for path, sent in hub.sent.items() if "/resolve/" in path)
    assert sent == min(2**18, len(content))  # both splits are in one file


def test_similar_configs_of_a_pattern_are_named(hub: FakeHub, suite: Path) -> None:
    text_task(suite, "data/{config}/all.csv")
    hub.repos["org/tags"] = Repo({f"data/{name}/all.csv": b"text,label\na,NOUN\n" for name in ("en_x", "de_yz")})
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE | {"de_y/test": "renamed"}
    assert "has no file data/de_y/all.csv; did you mean the config de_yz?" in splits["de_y/test"]["problems"][0]


def test_a_foreign_label_is_told_with_its_line(hub: FakeHub, suite: Path) -> None:
    text_task(suite, "{config}.csv")
    hub.repos["org/tags"] = Repo({f"{name}.csv": b"text,label\na,NOUN\nb,ADJ\n" for name in ("en_x", "de_y")})
    _, splits = doctor(suite)
    assert splits["de_y/test"]["problems"][0].startswith("org/tags/de_y.csv:3: the label 'ADJ' is none of the task")


# --- refusals and faults ------------------------------------------------------------------------------------------


def test_refusals_are_one_sentence_each(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    hub.repos["org/tags"].files["README.md"] = b"# Tags\n"
    said = {}
    for status, code in ((403, "GatedRepo"), (401, "RepoNotFound"), (404, "EntryNotFound")):
        hub.repos["org/tags"].refusal = status, code
        fake_hub._forget()
        ran, splits = doctor(suite)
        assert set(states(splits).values()) == {"not readable"} and ran.err == ""
        (said[code],) = {problem for split in splits.values() for problem in split["problems"]}
    assert "'org/tags' is gated: accept its terms at https://huggingface.co/datasets/org/tags" in said["GatedRepo"]
    assert "has no data set 'org/tags', or it is private" in said["RepoNotFound"]
    assert "'org/tags' could not be fetched from https://huggingface.co" in said["EntryNotFound"]


@pytest.mark.parametrize("path", ["api/datasets/org/tags/revision/main", "/tree/", "en_x/test-00000"])
def test_a_busy_hub_is_asked_again_when_it_says(hub: FakeHub, suite: Path, path: str) -> None:
    hub.repos["org/tags"] = repo()
    hub.faults.append(Fault(path, 429, {"Retry-After": "7"}, times=2))
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE
    assert len(hub.waits) == 2 and all(7 <= wait <= 8 for wait in hub.waits)


def test_a_hub_that_stays_busy_or_breaks_is_told(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    for status in (429, 503):
        hub.faults[:] = [Fault("api/datasets/org/tags/revision", status, times=1000)]
        hub.waits.clear()
        _, splits = doctor(suite)
        (said,) = {problem for split in splits.values() for problem in split["problems"]}
        assert "'org/tags' could not be fetched from https://huggingface.co" in said and str(status) in said
        assert 0 < len(hub.waits) < 100


def test_a_body_that_ends_early_is_told(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    hub.faults.append(Fault("en_x/test-00000", times=1000))
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE | {"en_x/test": "not readable"}
    assert "'org/tags' could not be fetched from" in splits["en_x/test"]["problems"][0]


# --- the lock -----------------------------------------------------------------------------------------------------


def sha256_in_lock(content: bytes) -> str:
    """By hand, as in tests/test_fetch.py."""
    return hashlib.sha256(f'{{"files":["{hashlib.sha256(content).hexdigest()}"],"info":null}}'.encode()).hexdigest()


def write_lock(suite: Path, revision: str | None, **sha256: str) -> Path:
    lock = suite.with_name("small.lock.yaml")
    same = sha256_in_lock(parquet())
    entries = [
        {"dataset": "org/tags", "config": config, "split": split, "revision": revision,
         "sha256": sha256.get(f"{config}_{split}", same)}
        for config, split in SPLITS
    ]  # fmt: skip
    return write_yaml(lock, {"splits": entries})


def test_content_is_compared_with_the_lock_by_the_hub_s_checksums(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    lock = write_lock(suite, COMMIT)
    assert states(doctor(suite)[1]) == ALL_THERE
    write_lock(suite, COMMIT, de_y_test="2f" * 32)
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE | {"de_y/test": "differs from the lock"}
    assert f"{lock}:" in splits["de_y/test"]["problems"][0]
    assert (
        f"has the sha256 {sha256_in_lock(parquet())} and not the lock's {'2f' * 32}"
        in (splits["de_y/test"]["problems"][0])
    )
    write_lock(suite, None, de_y_test="2f" * 32)  # the checksum of another copy, which is not pinned
    assert states(doctor(suite)[1]) == ALL_THERE
    write_task(suite, configs={"en": "en_x"})
    _, splits = doctor(suite)
    assert states(splits) == ALL_THERE | {"de_y/test": "differs from the lock"}
    assert "org/tags/de_y/test is not among the data that the suite finds" in splits["de_y/test"]["problems"][0]


def test_a_commit_that_disappeared_is_told_with_the_newest(hub: FakeHub, suite: Path) -> None:
    hub.repos["org/tags"] = repo()
    write_lock(suite, OTHER)
    _, splits = doctor(suite)
    assert set(states(splits).values()) == {"differs from the lock"}
    assert splits["en_x/test"]["problems"] == [
        f"the data set 'org/tags' has no revision '{'f' * 40}' on https://huggingface.co; name another in "
        f"'source.revision' or in the lock (the newest is {COMMIT})"
    ]
    write_task(suite, source=TASK["source"] | {"revision": "e" * 40})
    _, splits = doctor(suite)
    assert "pins 'org/tags' to the commit" in command("fetch", "--suite", suite).err
    suite.with_name("small.lock.yaml").unlink()
    assert set(states(doctor(suite)[1]).values()) == {"moved"}


# --- below a data root, and at addresses ---------------------------------------------------------------------------


def write_root(tmp_path: Path, there: Repo) -> Path:
    for name, content in there.files.items():
        path = tmp_path / "data" / "org" / "tags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "data"


def test_local_files_are_checked_the_same_way(suite: Path, tmp_path: Path) -> None:
    root = write_root(tmp_path, repo("parquet/{config}/{split}.parquet"))
    write_lock(suite, COMMIT, en_x_train="2f" * 32)
    _, splits = doctor(suite, "--data-root", root)
    assert states(splits) == ALL_THERE | {"en_x/train": "differs from the lock"}
    assert splits["en_x/test"]["labels"] == "as in the task"
    _, splits = doctor(suite, "--data-root", root, "--language", "de", "--task", "tags")
    assert len(splits) == 3
    (root / "org/tags/parquet/de_y/test.parquet").write_bytes(b"PAR1")
    _, splits = doctor(suite, "--data-root", root)
    assert splits["de_y/test"]["state"] == "not readable"
    assert {file.name for file in root.rglob("*.parquet")} == {"train.parquet", "test.parquet"}


def test_parallel_corpora_are_checked(hub: FakeHub, suite: Path) -> None:
    write_task(suite)
    hub.repos["org/tags"] = repo()
    corpus = CORPUS | {"source": {"kind": "hub", "dataset": "org/pairs"}, "config": "{source}-{target}"}
    write_yaml(suite.parent / "pairs.yaml", {**corpus, "lexicons": None})
    hub.repos["org/pairs"] = Repo({"de-en/train.parquet": parquet(eng=["a", "b"], deu=["c", "d"])})
    _, splits = doctor(suite)
    assert splits["de-en/train"]["state"] == "not readable"  # no column `translation`
    assert "unknown column of org/pairs/de-en/train: 'translation'" in splits["de-en/train"]["problems"][0]
    columns = {"en": "eng", "de": "deu"}
    write_yaml(suite.parent / "pairs.yaml", {**corpus, "lexicons": None, "columns": columns, "config": "de-en"})
    _, splits = doctor(suite)
    assert (splits["de-en/train"]["state"], splits["de-en/train"]["columns"]) == ("there", ["eng", "deu"])
    del hub.repos["org/pairs"]
    fake_hub._forget()
    _, splits = doctor(suite)
    assert splits["de-en/train"]["state"] == "not readable" and splits["de-en/train"]["read_by"] == ["pairs"]


def test_the_start_of_a_file_at_an_address_is_read(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_task(suite, f"https://a.org/{COMMIT}/{{config}}.tsv", kind="url")
    page = b"text\tlabel\n" + b"birds sing\tNOUN\n" * 30_000
    with web_server.served(monkeypatch, tmp_path / "cache") as web:
        web.pages[f"a.org/{COMMIT}/en_x.tsv"] = web_server.Page(page)
        web.pages[f"a.org/{COMMIT}/de_y.tsv"] = web_server.Page(page[:107])
        _, splits = doctor(suite)
        assert states(splits) == ALL_THERE
        assert splits["en_x/test"]["columns"] == ["text", "label"]
        entries = [
            {"dataset": f"https://a.org/{COMMIT}/{config}.tsv", "config": config, "split": split, "revision": COMMIT,
             "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for (config, split), content in zip(SPLITS, (page, page, page[:106]), strict=True)
        ]  # fmt: skip
        write_yaml(suite.with_name("small.lock.yaml"), {"splits": entries})
        _, splits = doctor(suite)
        assert states(splits) == ALL_THERE | {"de_y/test": "differs from the lock"}
        del web.pages[f"a.org/{COMMIT}/en_x.tsv"]
        web.pages[f"a.org/{COMMIT}/en_x.tsv"] = web_server.Page(b"<!doctype html><html>" + b" " * 2**18)
        _, splits = doctor(suite)
        assert "answered with a web page" in splits["en_x/test"]["problems"][0]
        assert "\na.org/…/en_x/test " in command("doctor", "--suite", suite).out
        kept = {file.name: file.stat().st_size for file in (tmp_path / "cache").rglob("*.tsv")}
        assert kept["en_x.tsv"] <= 2**18 and kept["de_y.tsv"] == 107


def test_an_archive_at_an_address_is_there_but_not_listed(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_task(suite, "https://a.org/all.zip", kind="url", member="{config}.tsv")
    with web_server.served(monkeypatch, tmp_path / "cache") as web:
        web.pages["a.org/all.zip"] = web_server.Page(b"PK\x03\x04" + bytes(2**19), status=200)
        _, splits = doctor(suite)
        assert states(splits) == ALL_THERE and splits["en_x/test"]["columns"] == []
        web.pages.clear()
        _, splits = doctor(suite)
        assert set(states(splits).values()) == {"not readable"}
        assert "the server has no such file (status 404)" in splits["en_x/test"]["problems"][0]

"""Files at URLs, from a local server: what is downloaded, resumed, cut and unpacked, and what is refused."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.web_server import Page, Web, served
from xrealign_bench.data import corpus_languages, load_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.read import read_rows
from xrealign_bench.data.sources import locate
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Corpus, UrlData

COMMIT = "376f4161f0425584d4bd7664122b56fa026926d3"
RAW = f"raw.githubusercontent.com/masakhane-io/masakhane-pos/{COMMIT}/data"
WORDS = b"ne NOUN\nna VERB\n\nfo PRON\n"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    with served(monkeypatch, tmp_path / "cache") as server:
        yield server


def source(url: str = f"https://{RAW}/{{config}}/test.txt", **fields: Any) -> UrlData:
    return UrlData.model_validate({"kind": "url", "test": url, "format": "conll"} | fields)


def rows(data: UrlData, columns: list[str], config: Any = "bam", **where: Any) -> dict[str, list[Any]]:
    located = locate(data, config, "test", DataLocation(**where))
    return dict(read_rows(located, columns, True).columns)


def test_a_file_is_downloaded_once_and_recorded(web):
    web.pages[f"{RAW}/bam/test.txt"] = Page(WORDS)
    assert rows(source(), ["0", "1"]) == {"0": [["ne", "na"], ["fo"]], "1": [["NOUN", "VERB"], ["PRON"]]}
    located = locate(source(), "bam", "test", DataLocation(offline=True))
    assert (located.revision, located.fingerprint) == (COMMIT, hashlib.sha256(WORDS).hexdigest())
    assert str(located) == f"https://{RAW}/bam/test.txt"
    assert web.asked == [(f"{RAW}/bam/test.txt", None)]


def test_offline_only_the_cache_is_read(web):
    with pytest.raises(UserError, match=r"^https://raw.*bam/test\.txt: is not in the cache .*, and offline mode is on"):
        locate(source(), "bam", "test", DataLocation(offline=True))
    assert web.asked == []


def test_alternatives_are_tried_in_order(web):
    web.pages[f"{RAW}/b/test.txt"] = Page(WORDS)
    web.pages[f"{RAW}/c/test.txt"] = Page(b"x X\n")
    located = locate(source(), ["a", "b", "c"], "test", DataLocation())
    assert (located.config, len(web.asked)) == ("b", 2)
    with pytest.raises(UserError, match=r"^none of x, y: https://.*/x/test\.txt: the server has no such file"):
        locate(source(), ["x", "y"], "test", DataLocation())
    web.pages[f"{RAW}/d/test.txt"] = Page(status=403)  # what a public bucket answers for a file that it does not have
    assert locate(source(), ["d", "c"], "test", DataLocation()).config == "c"


def test_an_interrupted_download_is_resumed(web):
    body = WORDS * 1000
    web.pages[f"{RAW}/bam/test.txt"] = Page(body, cuts=[10_000, 3000])
    assert [word for words in rows(source(), ["0"])["0"] for word in words] == ["ne", "na", "fo"] * 1000
    assert [span for _, span in web.asked] == [None, "bytes=10000-", "bytes=13000-"]


def test_a_download_that_is_given_up_is_resumed_by_the_next_command(web):
    page = web.pages[f"{RAW}/bam/test.txt"] = Page(WORDS * 1000, cuts=[5000, 0, 0, 0])
    with pytest.raises(UserError, match=r"can't be fetched \(peer closed connection.*resumes the download"):
        rows(source(), ["0"])
    page.etag = '"b"'  # another file by now: from the beginning
    page.body = b"x X\n" * 3000
    assert rows(source(), ["0"])["0"] == [["x"] * 3000]
    assert web.asked[-1][1] == "bytes=5000-"


def test_a_server_that_is_busy_is_asked_again(web, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("xrealign_bench.data.download.time.sleep", waits.append)
    page = web.pages[f"{RAW}/bam/test.txt"] = Page(status=429, headers={"Retry-After": "7"})
    with pytest.raises(UserError, match=r"can't be fetched \(it answered 429\)"):
        rows(source(), ["0"])
    assert waits == [7, 7, 7]
    page.status, page.headers, page.body = 200, {}, WORDS
    assert rows(source(), ["0"])["0"] == [["ne", "na"], ["fo"]]


def test_redirects_to_public_https_addresses_are_followed(web):
    web.pages[f"{RAW}/bam/test.txt"] = Page(status=302, headers={"Location": "https://198.100.1.1/a"})
    web.pages["198.100.1.1/a"] = Page(status=307, headers={"Location": "/b"})
    web.pages["198.100.1.1/b"] = Page(WORDS)
    assert rows(source(), ["0"])["0"] == [["ne", "na"], ["fo"]]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("file:///etc/passwd", r"redirects to file:.*/etc/passwd, which is not https"),
        ("http://198.100.1.1/a", "redirects to http://198.100.1.1/a, which is not https"),
        ("https://127.0.0.1/a", "redirects to https://127.0.0.1/a, an address of a private network"),
        ("https://localhost/a", "an address of a private network"),
        ("https://[::1]/a", "an address of a private network"),
        ("https://10.1.2.3/a", "an address of a private network"),
        ("https://169.254.169.254/latest", "an address of a private network"),
        (f"https://{RAW}/bam/test.txt", "redirects more than 5 times"),
    ],
)
def test_other_redirects_are_refused(web, target, message):
    web.pages[f"{RAW}/bam/test.txt"] = Page(status=302, headers={"Location": target})
    with pytest.raises(UserError, match=message):
        rows(source(), ["0"])
    assert {path for path, _ in web.asked} == {f"{RAW}/bam/test.txt"}


PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("page", "fields", "message"),
    [
        (Page(PAGE, headers={"Content-Type": "text/html; charset=utf-8"}), {}, "answered with a web page and not with"),
        (Page(PAGE), {}, r"answered with a web page and not with data; name the address of the raw file"),
        (Page(PAGE), {"first_lines": 1}, "answered with a web page"),
        (Page(status=403), {}, r"the server refuses \(status 403\)"),
        (
            Page(WORDS),
            {"max_bytes": 20},
            "has more than the 20 bytes allowed; raise 'max_bytes', or set",
        ),
        (Page(gzip.compress(WORDS * 99)), {"max_bytes": 2000}, r"test\.txt: has more than the 2,000 bytes allowed"),
        (Page(gzip.compress(WORDS)[:-4]), {}, r"test\.txt: its gzip data end early; run the command again"),
        (Page(gzip.compress(WORDS)[:-4]), {"first_lines": 99}, r"test\.txt: its gzip data end early"),
        (Page(b"\x1f\x8bno gzip at all"), {}, r"test\.txt: its gzip data are damaged"),
        (Page(b"\x1f\x8bno gzip at all"), {"first_lines": 1}, r"test\.txt: its gzip data are damaged"),
    ],
)
def test_bad_answers(web, page, fields, message):
    web.pages[f"{RAW}/bam/test.txt"] = page
    with pytest.raises(UserError, match=message) as caught:
        rows(source(**fields), ["0"])
    assert str(caught.value).startswith(f"https://{RAW}/bam/test.txt: ")
    web.pages[f"{RAW}/bam/test.txt"] = Page(WORDS)
    assert rows(source(), ["0"])["0"] == [["ne", "na"], ["fo"]]  # nothing bad was kept


def test_a_stream_is_cut_after_some_lines(web):
    """As NLLB's files: gzip of many members, of which only the beginning is read."""
    lines = [f"{number}\tx\t0.5\n".encode() for number in range(100_000)]
    body = b"".join(gzip.compress(b"".join(lines[start : start + 1000])) for start in range(0, 100_000, 1000))
    web.pages["host/a-b.gz"] = Page(body)
    data = source("https://host/{config}.gz", format="tsv", names=["a", "b", "score"], first_lines=1500)
    located = locate(data, "a-b", "test", DataLocation())
    assert read_rows(located, ["a"], True).columns["a"] == list(range(1500))
    assert located.fingerprint == hashlib.sha256(b"".join(lines[:1500])).hexdigest()
    short = data.model_copy(update={"first_lines": 200_000})
    assert len(rows(short, ["a"], "a-b")["a"]) == 100_000


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("./ud/en.conllu")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


MEMBERS = {"a/en-fo.en": b"one\ntwo\n", "a/en-fo.fo": b"eitt\ntvey\n", "a/README": b"x", "../../up.en": b"x\n"}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_of_an_archive(web, pack, tmp_path):
    web.pages["host/en-fo.archive"] = Page(pack(MEMBERS))
    data = source("https://host/{config}.archive", member="a/{config}.{language}", format=None)
    assert rows(data, ["en", "fo"], "en-fo") == {"en": ["one", "two"], "fo": ["eitt", "tvey"]}
    assert len(web.asked) == 1
    up = data.model_copy(update={"member": "../../up.{language}"})
    assert rows(up, ["en"], "en-fo") == {"en": ["x"]}
    assert not list(tmp_path.rglob("up.en"))
    for member, message in (("b/*", "the archive has no such file"), ("ud/en.conllu", "the archive has no such file")):
        with pytest.raises(UserError, match=rf"en-fo\.archive, {member[0]}.*: {message}"):
            rows(data.model_copy(update={"member": member}), ["en"], "en-fo")
    with pytest.raises(UserError, match="has more than the 4 bytes allowed"):
        rows(data.model_copy(update={"max_bytes": 4}), ["en"], "en-fo")


def test_a_damaged_archive(web):
    web.pages["host/a.zip"] = Page(zipped(MEMBERS)[:100])
    with pytest.raises(UserError, match=r"host/a\.zip, x: can't be read as a zip or tar archive"):
        rows(source("https://host/a.zip", member="x"), ["0"])


def test_below_a_data_root_nothing_is_downloaded(web, tmp_path):
    file = tmp_path / "root" / RAW / "bam" / "test.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(WORDS)
    assert rows(source(), ["0"], root=tmp_path / "root")["0"] == [["ne", "na"], ["fo"]]
    assert rows(source(first_lines=2), ["0"], root=tmp_path / "root")["0"] == [["ne", "na"]]
    with pytest.raises(UserError, match=r"no such file; put the file of https://.*/ee/test\.txt there, or leave out"):
        rows(source(), ["0"], "ee", root=tmp_path / "root")
    assert web.asked == []


def test_addresses_are_https_and_have_known_placeholders():
    for url, message in (
        ("http://host/a", "allowed|match pattern"),
        ("file:///a", "match pattern"),
        ("https://host/{language}", "an address can't be listed, so {language} is for 'member' and for local files"),
        ("https://host/{lang}", r"has \{lang\}; only \{config\} and \{language\} are filled in"),
    ):
        with pytest.raises(ValueError, match=message):
            source(url)
    with pytest.raises(ValueError, match="needs one of train, validation, test"):
        UrlData.model_validate({"kind": "url"})


def test_pairs_at_urls(web):
    """As NLLB's: one file per pair, named after both languages in either order, of which the beginning is read."""
    lines = "".join(f"tere {number}\thello {number}\t1.0\n" for number in range(1000))
    web.pages["host/est_Latn-eng_Latn.gz"] = Page(gzip.compress(lines.encode()))
    fields = {"format": "tsv", "names": ["one", "other", "score"], "quoting": "none", "first_lines": 10}
    corpus = Corpus.model_validate(
        {
            "name": "mined",
            "title": "Mined",
            "licence": "none",
            "config": "{source}-{target}",
            "codes": {"en": "eng_Latn", "et": "est_Latn", "fo": "fao_Latn"},
            "source": {"kind": "url", "train": "https://host/{config}.gz"} | fields,
        }
    )
    assert corpus_languages(corpus, "en", DataLocation()) == ["et", "fo"]
    text = load_pairs(corpus, "en", "et", DataLocation(), limit=2)
    assert (text.source_words, text.target_words) == ([["hello", "0"], ["hello", "1"]], [["tere", "0"], ["tere", "1"]])
    assert [path for path, _ in web.asked] == ["host/eng_Latn-est_Latn.gz", "host/est_Latn-eng_Latn.gz"]
    with pytest.raises(UserError, match=r"none of eng_Latn-fao_Latn, fao_Latn-eng_Latn: .* no such file"):
        load_pairs(corpus, "en", "fo", DataLocation())

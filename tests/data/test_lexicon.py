"""MUSE files and the generator's lexicon."""

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import cached_assets_path

from tests.data.test_parallel import columns_corpus
from xrealign_bench.data import lexicon_fingerprint, lexicon_languages, load_lexicon
from xrealign_bench.data.lexicon import fetch_lexicon
from xrealign_bench.data.located import DataLocation
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError

CORPUS = columns_corpus(lexicons="muse/dictionaries")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "muse/dictionaries").mkdir(parents=True)
    return tmp_path


def write(folder, content: bytes, name: str = "en-de.txt"):
    (folder / "muse/dictionaries" / name).write_bytes(content)


def test_tabs_and_spaces_set_words_apart(folder):
    content = b"dog\tHund\nDog hund\ncat Katze\nnew york\tNew York\n"
    write(folder, content)
    lexicon = load_lexicon(CORPUS, "en", "de", DataLocation(folder))
    assert lexicon.entries == [("dog", "hund"), ("cat", "katze"), ("new york", "new york")]
    assert lexicon.dropped == {"repeated": 1}
    digest = hashlib.sha256(content).hexdigest()
    assert lexicon.fingerprint == lexicon_fingerprint(CORPUS, "en", "de", DataLocation(folder)) == digest


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfdog hund\ncat katze\n", b"dog hund \r\ncat  katze\r\n"])
def test_marks_of_windows_editors_are_no_part_of_words(folder, content):
    write(folder, content)
    assert load_lexicon(CORPUS, "en", "de", DataLocation(folder)).entries == [("dog", "hund"), ("cat", "katze")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"dog der hund\n", r"en-de.txt:1: 'dog der hund' is not two words"),
        (b"\ncat\n", "en-de.txt:1: '' is not two words separated by a tab or a space, nor is another line"),
        (b"dog\t\n", "en-de.txt:1"),
        (b"a\tb\tc\n", "en-de.txt:1"),
        (b"dog hund\nM\xe4dchen girl\n", r"en-de.txt:2: 'M.xe4dchen girl' is not UTF-8; convert"),
        (b"", "en-de.txt: is empty"),
    ],
)
def test_malformed_files_are_refused_with_the_line(folder, content, message):
    write(folder, content)
    with pytest.raises(UserError, match=message):
        load_lexicon(CORPUS, "en", "de", DataLocation(folder))


def test_lines_without_two_words_are_skipped_and_counted(folder):
    write(folder, b"dog hund\ncat\n\na b c\ndog\tHUND\ncat katze\n\tx\n")
    found = load_lexicon(CORPUS, "en", "de", DataLocation(folder))
    assert found.entries == [("dog", "hund"), ("cat", "katze")]
    assert found.dropped == {"malformed": 4, "repeated": 1}


def test_only_line_feeds_end_lines_and_a_byte_order_mark_is_no_letter(folder):
    write(folder, "\ufeffdog\tHund\r\nnew\u2028york\tNew\u0085York\n".encode())
    assert load_lexicon(CORPUS, "en", "de", DataLocation(folder)).entries == [
        ("dog", "hund"),
        ("new\u2028york", "new\x85york"),
    ]


def test_a_no_break_space_is_part_of_a_word(folder):
    write(folder, "toothpaste კბილის\xa0პასტა\n".encode())
    assert load_lexicon(CORPUS, "en", "de", DataLocation(folder)).entries == [("toothpaste", "კბილის\xa0პასტა")]


def test_names_are_compared_and_not_matched_as_patterns(folder):
    write(folder, b"dog hund\n", "e[n]-de.txt")
    write(folder, b"dog chien\n", "en-fr.txt")
    assert lexicon_languages(CORPUS, "e[n]", DataLocation(folder)) == ["de"]
    assert lexicon_languages(columns_corpus(lexicons="nowhere"), "en", DataLocation(folder)) == []


def test_missing_lexicons_are_refused(folder):
    write(folder, b"dog chien\n", "en-fr.txt")
    assert lexicon_languages(CORPUS, "en", DataLocation(folder)) == ["fr"]
    for ask in (load_lexicon, lexicon_fingerprint):
        with pytest.raises(UserError, match=r"en-de\.txt: no such lexicon; 'en' has lexicons with fr"):
            ask(CORPUS, "en", "de", DataLocation(folder))
        with pytest.raises(UserError, match="the corpus 'sides' has no lexicons"):
            ask(columns_corpus(), "en", "de", DataLocation(folder))
        with pytest.raises(UserError, match="below the data root; name it with --data-root"):
            ask(CORPUS, "en", "de", DataLocation())


def test_the_embedded_lexicon():
    corpus = columns_corpus(source={"kind": "embedded"}, lexicons="embedded")
    assert load_lexicon(corpus, "en", "fi", DataLocation()).entries == phrases.lexicon_rows("en", "fi")
    assert lexicon_fingerprint(corpus, "en", "fi", DataLocation()) == phrases.fingerprint()
    assert "fi" in lexicon_languages(corpus, "en", DataLocation())
    with pytest.raises(UserError, match="embedded data: 'xx'"):
        lexicon_fingerprint(corpus, "en", "xx", DataLocation())


# --- without a data root ------------------------------------------------------------------------------------------

SERVED = {"/dictionaries/en-de.txt": (200, b"dog hund\n"), "/dictionaries/en-th.txt": (500, b"")}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Has German, breaks down over Thai, and knows nothing else; `asked` lists what it was asked."""
    cache = partial(cached_assets_path, assets_dir=tmp_path / "assets")
    monkeypatch.setattr("xrealign_bench.data.lexicon.cached_assets_path", cache)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            status, content = SERVED.get(self.path, (404, b""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.asked = []
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


def test_lexicons_are_fetched_once_and_read_from_the_cache(server):
    url = f"http://127.0.0.1:{server.server_port}/dictionaries/{{source}}-{{target}}.txt"
    corpus = columns_corpus(lexicons="muse", lexicons_url=url)
    with pytest.raises(UserError, match="'sides' are not on this machine; get them with 'xrealign-bench fetch"):
        lexicon_languages(corpus, "en", DataLocation())
    path = fetch_lexicon(corpus, "en", "de")
    assert path is not None and path == fetch_lexicon(corpus, "en", "de")
    assert fetch_lexicon(corpus, "en", "sw") is None
    with pytest.raises(UserError, match=r"en-th\.txt: can't be fetched \(HTTP Error 500.*try again, or put it at"):
        fetch_lexicon(corpus, "en", "th")
    assert [asked.rpartition("/")[2] for asked in server.asked] == ["en-de.txt", "en-sw.txt", "en-th.txt"]
    assert lexicon_languages(corpus, "en", DataLocation()) == ["de"]
    assert load_lexicon(corpus, "en", "de", DataLocation()).entries == [("dog", "hund")]
    assert lexicon_fingerprint(corpus, "en", "de", DataLocation()) == hashlib.sha256(b"dog hund\n").hexdigest()
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="can't be fetched"):
        fetch_lexicon(corpus, "en", "fr")

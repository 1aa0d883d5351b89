"""Bilingual lexicons in the format of MUSE (Conneau et al., 2018), or from the embedded generator."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from huggingface_hub import cached_assets_path

from xrealign_bench.data.located import DataLocation
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError, shorten, unknown
from xrealign_bench.files import cached_sha256, write_atomically
from xrealign_bench.specs import Corpus

_EMBEDDED = "embedded"
_SUFFIX = ".txt"
_ABSENT = (403, 404)
"""HTTP statuses for a missing file; buckets without public listing return 403."""
_TIMEOUT = 60.0
"""Seconds without an answer."""


@dataclass(frozen=True)
class Lexicon:
    """Word translations between two languages."""

    source: str
    target: str
    entries: list[tuple[str, str]]
    """Lower-cased, unique pairs."""
    dropped: dict[str, int]
    """Rule -> number of lines it dropped."""
    fingerprint: str
    """Sha256 (hex) of the file, or the generator's fingerprint."""


def load_lexicon(corpus: Corpus, source: str, target: str, location: DataLocation) -> Lexicon:
    """Read the lexicon of a corpus for two languages.

    A file is `{source}-{target}.txt` with two words per line, separated by a tab or spaces. Lines that repeat an
    earlier one, ignoring case, are dropped and counted, and so are lines without exactly two words, as in the released
    code of AlignFreeze.

    Raises:
        UserError: the corpus has no lexicons or none for these languages, a line is not UTF-8, or no line has two
            words.
    """
    if corpus.lexicons == _EMBEDDED:
        return Lexicon(source, target, phrases.lexicon_rows(source, target), {}, phrases.fingerprint())
    path = _file(corpus, source, target, location)
    raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    lines = raw.splitlines()
    if not lines:
        raise UserError(f"{path}: is empty; fetch it again")
    found = [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    pairs = [pair for pair in found if pair is not None]
    if not pairs:
        first = shorten(lines[0].decode("utf-8"))
        raise UserError(
            f"{path}:1: '{first}' is not two words separated by a tab or a space, nor is another line; "
            "fetch the file again"
        )
    entries = list(dict.fromkeys(pairs))
    dropped = {"repeated": len(pairs) - len(entries), "malformed": len(lines) - len(pairs)}
    return Lexicon(source, target, entries, {rule: n for rule, n in dropped.items() if n}, cached_sha256(path))


def lexicon_fingerprint(corpus: Corpus, source: str, target: str, location: DataLocation) -> str:
    """Return a fingerprint of a lexicon's content, without parsing it.

    Raises:
        UserError: the corpus has no lexicons, or none for these languages.
    """
    if corpus.lexicons == _EMBEDDED:
        for language in (source, target):
            if language not in phrases.LANGUAGES:
                raise unknown("language of the embedded data:", language, phrases.LANGUAGES)
        return phrases.fingerprint()
    return cached_sha256(_file(corpus, source, target, location))


def lexicon_languages(corpus: Corpus, source: str, location: DataLocation) -> list[str]:
    """Return the languages that have a lexicon with `source`, sorted."""
    if corpus.lexicons == _EMBEDDED:
        return sorted(set(phrases.LANGUAGES) - {source})
    prefix = f"{source}-"
    folder = _folder(corpus, location)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(
        name.removeprefix(prefix).removesuffix(_SUFFIX)
        for name in names
        if name.startswith(prefix) and name.endswith(_SUFFIX)
    )


def fetch_lexicon(corpus: Corpus, source: str, target: str) -> Path | None:
    """Download a lexicon unless it is cached; return its path, or None if the server has none for these languages.

    Raises:
        UserError: the server can't be reached or refuses access, or the disk is full.
    """
    path = _cache(corpus) / f"{source}-{target}.txt"
    if path.is_file():
        return path
    url = str(corpus.lexicons_url).format(source=source, target=target)
    try:
        with urlopen(url, timeout=_TIMEOUT) as answer:
            write_atomically(path, answer.read())
    except OSError as error:
        if isinstance(error, HTTPError) and error.code in _ABSENT:
            return None
        raise UserError(f"{url}: can't be fetched ({error}); try again, or put it at {path}") from None
    return path


def _cache(corpus: Corpus) -> Path:
    return cached_assets_path("xrealign-bench", "lexicons", str(corpus.lexicons))


def _folder(corpus: Corpus, location: DataLocation) -> Path:
    if corpus.lexicons is None:
        raise UserError(f"the corpus '{corpus.name}' has no lexicons; set 'lexicons' in it or choose another aligner")
    if location.root is not None:
        return location.root / corpus.lexicons
    if corpus.lexicons_url is None:
        raise UserError(
            f"the lexicons of the corpus '{corpus.name}' are in '{corpus.lexicons}' below the "
            "data root; name it with --data-root"
        )
    folder = _cache(corpus)
    if not any(folder.iterdir()):
        raise UserError(
            f"the lexicons of the corpus '{corpus.name}' are not on this machine; get them with "
            "'xrealign-bench fetch --suite SUITE'"
        )
    return folder


def _file(corpus: Corpus, source: str, target: str, location: DataLocation) -> Path:
    path = _folder(corpus, location) / f"{source}-{target}.txt"
    if not path.is_file():
        there = ", ".join(lexicon_languages(corpus, source, location)) or "nothing"
        raise UserError(
            f"{path}: no such lexicon; '{source}' has lexicons with {there}; "
            "put the file there or choose another aligner"
        )
    return path


def _pair(raw: bytes, where: str) -> tuple[str, str] | None:
    """Return the two words of a line, or None if it does not have two."""
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "backslashreplace")
        raise UserError(f"{where}: '{shorten(text)}' is not UTF-8; convert the file") from None
    # A no-break space is part of a word.
    words = line.split("\t") if "\t" in line else [word for word in line.strip().split(" ") if word]
    words = [word.strip().lower() for word in words]
    return (words[0], words[1]) if len(words) == 2 and all(words) else None

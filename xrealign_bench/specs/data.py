"""Data sources (Hub data set, files at a URL, local files, or the embedded generator) and parallel corpora."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from xrealign_bench.specs.base import PublicSpec, Spec, added_later
from xrealign_bench.specs.fields import (
    ByteLimit,
    DataName,
    Examples,
    FilePattern,
    Folder,
    HttpsPattern,
    HubId,
    LanguageCode,
    Name,
    Revision,
    Sentence,
    Title,
    Url,
)
from xrealign_bench.specs.readers import Format, ShippedFormat

NamesByLanguage = Annotated[dict[LanguageCode, DataName], Field(max_length=1000)]
ConlluLines = Literal["words", "all"]
Delimiter = Annotated[str, Field(description="one character, such as ';'", pattern=r"^([^\s\"]|\t)$")]

SPLIT_FIELDS = ("train", "validation", "test")
SUFFIXES: dict[str, ShippedFormat] = {
    ".parquet": "parquet", ".conllu": "conllu", ".conll": "conll", ".bio": "conll", ".iob2": "conll",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".txt": "text", ".tmx": "tmx",
}  # fmt: skip
"""Suffix of a file, without a final `.gz` -> its format."""
_OPTIONS: dict[str, tuple[ShippedFormat, ...]] = {
    "names": ("csv", "tsv", "conll"),
    "delimiter": ("csv", "tsv"),
    "quoting": ("csv", "tsv"),
    "lines": ("conllu",),
}
"""Field that only some formats have -> these formats."""


class FileFormat(Spec):
    """How rows are read from files. Gzip is recognised and unpacked in every format except Parquet."""

    kind: str
    format: Format | None = added_later(None)
    """Null: by the suffix. `conllu`: columns form, upos, xpos and the other fields of CoNLL-U, a list of words per
    sentence, and text and sent_id. `conll`: one word per line with columns
    separated by tabs or spaces, blank lines between sentences. `jsonl`: one JSON object per line. `json`: a list of
    objects, or SQuAD's nested form. `text`: one text per line, in the column text; with `{language}` in the path, one
    file per language whose lines are translations (Moses), each a column named after its language. `tmx`: one column
    per language. Or the name of a plugin."""
    names: Annotated[list[DataName], Field(max_length=1000)] = added_later([])
    """Column names of files without a header. csv and tsv: empty if the first line is the header. conll: empty for
    "0", "1", ..."""
    delimiter: Delimiter | None = added_later(None)
    """Separator of csv and tsv; null: comma and tab."""
    quoting: Literal["minimal", "none"] = added_later("minimal")
    """`none`: quotation marks in csv and tsv are part of the text."""
    lines: ConlluLines = added_later("words")
    """`all`: in conllu, the lines of multiword tokens (id 1-2, usually with the tag `_`) and of empty nodes (id 8.1)
    are words too, as in the Hub's Universal Dependencies."""

    def format_of(self, path: str) -> str | None:
        """Return the format of a file, or None if neither `format` nor the suffix determines it."""
        if self.format is not None:
            return self.format
        if "{language}" in path:
            return "text"
        return SUFFIXES.get(PurePosixPath(path.lower().removesuffix(".gz")).suffix)


class HubData(FileFormat):
    """Data set on the Hub, or the folder of that name below the data root."""

    kind: Literal["hub"] = "hub"
    dataset: HubId
    revision: Revision | None = None
    """Branch, tag or commit on the Hub; resolved to a commit, which is recorded."""
    train: FilePattern | None = added_later(None)
    """Files of the split, such as `data/{config}/train.tsv`; `*` and `**` as in the Hub's cards. If no split is given,
    Parquet files are found by the data set's card or by their names."""
    validation: FilePattern | None = added_later(None)
    """Likewise."""
    test: FilePattern | None = added_later(None)
    """Likewise."""

    @model_validator(mode="after")
    def _fits_together(self) -> HubData:
        if not patterns(self) and self.format is not None:
            raise ValueError(f"format is for files that {', '.join(SPLIT_FIELDS)} name; name them, or remove it")
        _check_reading(self)
        return self


class UrlData(FileFormat):
    """Files or archives at addresses, such as raw files of a GitHub repository at a commit."""

    kind: Literal["url"]
    train: HttpsPattern | None = added_later(None)
    """Address with `{config}` where it differs by config. Below a data root, the file is HOST/PATH."""
    validation: HttpsPattern | None = added_later(None)
    """Likewise."""
    test: HttpsPattern | None = added_later(None)
    """Likewise."""
    member: FilePattern | None = added_later(None)
    """Files to read from a zip or tar archive, such as `{config}.{language}`."""
    max_bytes: ByteLimit = 2 * 2**30
    """Refuse files that are larger, also after unpacking."""
    first_lines: Examples | None = added_later(None)
    """Keep only the first lines, this many, and download no more; null: all."""

    @model_validator(mode="after")
    def _fits_together(self) -> UrlData:
        _check_has_a_split(self)
        if any("{language}" in address for address in patterns(self).values()):
            raise ValueError("an address can't be listed, so {language} is for 'member' and for local files")
        _check_reading(self, self.member or "")
        if self.member is not None and self.first_lines is not None:
            raise ValueError("first_lines is for plain or gzipped files; remove it or member")
        return self


class FilesData(FileFormat):
    """Local files; paths are relative to the folder of the YAML file."""

    kind: Literal["files"]
    train: FilePattern | None = added_later(None)
    """Path such as `data/{config}.conllu`, or a pattern with `*` and `**` for several files."""
    validation: FilePattern | None = added_later(None)
    """Likewise."""
    test: FilePattern | None = added_later(None)
    """Likewise."""
    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Take the folder of the YAML file from the validation context. It is no field, so no digest contains it."""
        if context and "folder" in context:
            self._folder = context["folder"]

    @property
    def folder(self) -> Path:
        """The folder that paths are relative to."""
        return self._folder

    @property
    def outside(self) -> list[str]:
        """The paths that leave the folder of the YAML file."""
        return [path for path in patterns(self).values() if _leaves_folder(path)]

    @model_validator(mode="after")
    def _fits_together(self) -> FilesData:
        _check_has_a_split(self)
        _check_reading(self)
        return self


class EmbeddedData(Spec):
    """Phrases generated from Unicode CLDR by `xrealign_bench.demo`."""

    kind: Literal["embedded"]


DataSource = Annotated[HubData | UrlData | FilesData | EmbeddedData, Field(discriminator="kind")]


def patterns(source: HubData | UrlData | FilesData) -> dict[str, str]:
    """Return the path or address pattern of each split that the source names."""
    given = {split: getattr(source, split) for split in SPLIT_FIELDS}
    return {split: pattern for split, pattern in given.items() if pattern is not None}


def _check_has_a_split(source: UrlData | FilesData) -> None:
    if not patterns(source):
        raise ValueError(f"a source of kind '{source.kind}' needs one of {', '.join(SPLIT_FIELDS)}")


def _check_reading(source: HubData | UrlData | FilesData, member: str = "") -> None:
    """Check that options of some formats are given for these formats only."""
    formats = {source.format_of(member or pattern) for pattern in patterns(source).values()}
    for name, fitting in _OPTIONS.items():
        is_given = getattr(source, name) != type(source).model_fields[name].default
        if is_given and not formats & {None, *fitting}:
            raise ValueError(f"{name} has an effect for the formats {', '.join(fitting)} only; remove it")
    if source.format not in (None, "text") and any(
        "{language}" in path for path in (*patterns(source).values(), member)
    ):
        raise ValueError("{language} is for plain lines, one file per language; remove it or 'format'")


def _leaves_folder(path: str) -> bool:
    depth, parts = 0, PurePosixPath(path).parts
    for part in parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return path.startswith("/")


class Corpus(PublicSpec):
    """Parallel corpus with its lexicons."""

    name: Name
    title: Title
    citation: Sentence = ""
    licence: Title
    source: DataSource
    """Where the data come from: the Hub, files at URLs, local files, or the embedded generator."""
    config: DataName | None = "default"
    """One config if each language is a column, or a pattern such as `{source}-{target}` if each pair has a config.
    Without `columns`, pairs are then read from the column `translation`, from columns named after both codes, or, in
    files without a header, from the first two columns in the order of the config's name."""
    split: DataName = "train"
    """Of embedded data: `held_out` for phrases with held-out names, any other split for phrases without them."""
    columns: NamesByLanguage = {}
    """Language -> column with its sentences as plain text. Empty for embedded data, and optional if each pair has a
    config."""
    pair_columns: Annotated[tuple[DataName, DataName], Field(strict=False)] | None = added_later(None)
    """The two columns of plain text of each pair's config, in the order of `config`; null: `translation`, a text per
    language."""
    codes: NamesByLanguage = {}
    """Language -> its code in this corpus, where that differs from the inventory's code. If pairs are read from URLs,
    which can't be listed: every language of the corpus."""
    pairs: Literal["as_needed"] | Examples | None = None
    """Use only the first pairs of each language, this many; null: all. `as_needed`: as many as the training of the
    recipe draws from a language (20,000 at least, rounded up, so that recipes share stored stages), or all if the
    corpus has fewer."""
    skip_pairs: Annotated[int, Field(ge=0, le=10**9)] = added_later(0)
    """Number of pairs of each language to skip at the beginning, such as those that recipes realign on."""
    lexicons: Folder | None = None
    """Folder below the data root with MUSE files `{source}-{target}.txt`; `embedded` for embedded data."""
    lexicons_url: Url | None = None
    """Download address for `fetch` without a data root, with `{source}` and `{target}`."""

    @model_validator(mode="after")
    def _has_one_kind_of_columns(self) -> Corpus:
        if self.columns and self.pair_columns:
            raise ValueError("has columns (one per language) and pair_columns (two per pair); remove one of them")
        return self

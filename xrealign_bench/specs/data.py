"""Data sources (Hub data set, local folder in Hub layout, or the embedded generator) and parallel corpora."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import (
    DataName,
    Examples,
    Folder,
    HubId,
    LanguageCode,
    Name,
    Revision,
    Sentence,
    Title,
    Url,
)

NamesByLanguage = Annotated[dict[LanguageCode, DataName], Field(max_length=1000)]


class HubData(Spec):
    """Data set on the Hub, or the folder of that name below the data root."""

    kind: Literal["hub"] = "hub"
    dataset: HubId
    revision: Revision | None = None
    """Branch, tag or commit on the Hub; resolved to a commit, which is recorded."""


class EmbeddedData(Spec):
    """Phrases generated from Unicode CLDR by `xrealign_bench.demo`."""

    kind: Literal["embedded"]


DataSource = Annotated[HubData | EmbeddedData, Field(discriminator="kind")]


class Corpus(Spec):
    """Parallel corpus with its lexicons."""

    name: Name
    title: Title
    citation: Sentence = ""
    licence: Title
    source: DataSource
    config: DataName | None = "default"
    """One config if each language is a column, or a pattern such as `{source}-{target}` if each pair has a config."""
    split: DataName = "train"
    columns: NamesByLanguage = {}
    """Language -> column with its sentences as plain text. Empty for embedded data."""
    codes: NamesByLanguage = {}
    """Language -> its code in this corpus, where that differs from the inventory's code."""
    pairs: Examples | None = None
    """Use only the first pairs of each language, this many; null: all."""
    lexicons: Folder | None = None
    """Folder below the data root with MUSE files `{source}-{target}.txt`; `embedded` for embedded data."""
    lexicons_url: Url | None = None
    """Download address for `fetch` without a data root, with `{source}` and `{target}`."""

"""Where data come from: a Hub data set (or a local folder in its layout), or the package's own generator."""

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
    """A data set by Hub id; with a data root, the folder of that name below it."""

    kind: Literal["hub"] = "hub"
    dataset: HubId
    revision: Revision | None = None
    """Branch, tag or commit on the Hub; resolved to a commit and recorded."""


class EmbeddedData(Spec):
    """Phrases generated from Unicode CLDR by `xrealign_bench.demo`."""

    kind: Literal["embedded"]


DataSource = Annotated[HubData | EmbeddedData, Field(discriminator="kind")]


class Corpus(Spec):
    """A parallel corpus, and the lexicons that go with it."""

    name: Name
    title: Title
    citation: Sentence = ""
    licence: Title
    source: DataSource
    config: DataName | None = "default"
    """A corpus with one column a language has one config; `{source}-{target}` is filled in for one config a pair."""
    split: DataName = "train"
    columns: NamesByLanguage = {}
    """Language -> column with its sentences (plain text). Empty for embedded data."""
    codes: NamesByLanguage = {}
    """Language -> what the corpus calls it in configs and translations; empty: by our codes."""
    pairs: Examples | None = None
    """The first so many pairs of each language; null: all."""
    lexicons: Folder | None = None
    """Folder below the data root with MUSE files `{source}-{target}.txt`; for embedded data the word `embedded`."""
    lexicons_url: Url | None = None
    """Where `fetch` gets them without a data root; `{source}` and `{target}` are filled in."""

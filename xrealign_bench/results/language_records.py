"""Make the record of a target language."""

from __future__ import annotations

from xrealign_bench.languages import band, distance, find, seen_in_pretraining, tier
from xrealign_bench.results.records import LanguageRecord
from xrealign_bench.specs import Suite


def describe_language(suite: Suite, code: str, checkpoint_id: str) -> LanguageRecord:
    """Describe a target language: its tier, and its distance to the suite's source language."""
    language = find(code)
    to_source = distance(suite.source_language, code, suite.bands.distance)
    return LanguageRecord(
        code=code,
        name=language.name,
        script=language.script,
        family=language.family,
        joshi_class=language.joshi_class,
        tier=tier(language, suite.tiers),
        distance=to_source,
        band="unknown" if to_source is None else band(to_source, suite.bands.known_cuts),
        seen=seen_in_pretraining(language, checkpoint_id),
    )

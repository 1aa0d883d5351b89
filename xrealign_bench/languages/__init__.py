"""Languages: inventory, typology, resource tiers, pre-training coverage and subset selection."""

from xrealign_bench.languages.coverage import PRETRAINED_ON, seen_in_pretraining
from xrealign_bench.languages.inventory import INVENTORY_VERSION, Language, check_codes, find
from xrealign_bench.languages.published import (
    PublishedList,
    published_draws,
    published_list,
    published_lists,
    subset_languages,
    subset_names,
)
from xrealign_bench.languages.selection import METHODS, Selection, narrow, pool, select
from xrealign_bench.languages.tiers import Band, band, tercile_cuts, tier
from xrealign_bench.languages.typology import DISTANCES, DistanceType, distance, distances, place

__all__ = [
    "DISTANCES",
    "INVENTORY_VERSION",
    "METHODS",
    "PRETRAINED_ON",
    "Band",
    "DistanceType",
    "Language",
    "PublishedList",
    "Selection",
    "band",
    "check_codes",
    "distance",
    "distances",
    "find",
    "narrow",
    "place",
    "pool",
    "published_draws",
    "published_list",
    "published_lists",
    "seen_in_pretraining",
    "select",
    "subset_languages",
    "subset_names",
    "tercile_cuts",
    "tier",
]  # fmt: skip

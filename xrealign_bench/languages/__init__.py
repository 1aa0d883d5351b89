"""What is known of each language: inventory, typology, tiers, coverage, selection. Nothing here needs torch."""

from xrealign_bench.languages.coverage import PRETRAINED_ON, seen_in_pretraining
from xrealign_bench.languages.inventory import INVENTORY_VERSION, Language, check_codes, find
from xrealign_bench.languages.published import Published, published, published_list
from xrealign_bench.languages.selection import METHODS, Method, Selection, narrow, pool, select
from xrealign_bench.languages.tiers import Band, band, tercile_cuts, tier
from xrealign_bench.languages.typology import DISTANCES, Distance, distance, distances, place

__all__ = [
    "DISTANCES", "INVENTORY_VERSION", "METHODS", "PRETRAINED_ON", "Band", "Distance", "Language", "Method", "Published",
    "Selection", "band", "check_codes", "distance", "distances", "find", "narrow", "place", "pool", "published",
    "published_list", "seen_in_pretraining", "select", "tercile_cuts", "tier",
]  # fmt: skip

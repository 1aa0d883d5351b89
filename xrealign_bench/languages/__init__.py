"""What is known of each language: inventory, typology, tiers and pre-training coverage. Nothing here needs torch."""

from xrealign_bench.languages.coverage import PRETRAINED_ON, seen_in_pretraining
from xrealign_bench.languages.inventory import INVENTORY_VERSION, Language, find
from xrealign_bench.languages.tiers import Band, band, tercile_cuts, tier
from xrealign_bench.languages.typology import DISTANCES, Distance, distance, distances

__all__ = [
    "DISTANCES", "INVENTORY_VERSION", "PRETRAINED_ON", "Band", "Distance", "Language", "band", "distance", "distances",
    "find", "seen_in_pretraining", "tercile_cuts", "tier",
]  # fmt: skip

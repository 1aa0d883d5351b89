"""Word alignment: find which words of a sentence and its translation mean the same."""

from xrealign_bench.aligners.aligner import Aligner, Resources, WordVectors
from xrealign_bench.aligners.links import Alignment, usable_links
from xrealign_bench.aligners.registry import ALIGNERS, align

__all__ = ["ALIGNERS", "Aligner", "Alignment", "Resources", "WordVectors", "align", "usable_links"]

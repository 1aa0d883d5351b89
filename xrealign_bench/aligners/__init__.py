"""Word alignment: which words of a sentence and its translation mean the same."""

from xrealign_bench.aligners.links import Alignment, usable_links
from xrealign_bench.aligners.registry import ALIGNERS, Aligner, Resources, align

__all__ = ["ALIGNERS", "Aligner", "Alignment", "Resources", "align", "usable_links"]

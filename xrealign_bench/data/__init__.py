"""Data sources, parallel text, lexicons and word segmentation. Imports no torch."""

from xrealign_bench.data.examples import CHOSEN_EXAMPLES, Split, count_examples, examples_to_read, locate_task
from xrealign_bench.data.lexicon import Lexicon, lexicon_fingerprint, lexicon_languages, load_lexicon
from xrealign_bench.data.located import DataLocation, LocatedSplit
from xrealign_bench.data.lock import check_lock, pin, read_lock
from xrealign_bench.data.parallel import (
    Links,
    ParallelText,
    concatenate,
    corpus_languages,
    count_pairs,
    load_pairs,
    locate_pairs,
    without_first,
)
from xrealign_bench.data.sources import locate
from xrealign_bench.data.split_uses import corpora_of
from xrealign_bench.data.word_segmentation import SEGMENTER, split_words

__all__ = [
    "CHOSEN_EXAMPLES",
    "SEGMENTER",
    "DataLocation",
    "Lexicon",
    "Links",
    "LocatedSplit",
    "ParallelText",
    "Split",
    "check_lock",
    "concatenate",
    "corpora_of",
    "corpus_languages",
    "count_examples",
    "count_pairs",
    "examples_to_read",
    "lexicon_fingerprint",
    "lexicon_languages",
    "load_lexicon",
    "load_pairs",
    "locate",
    "locate_pairs",
    "locate_task",
    "pin",
    "read_lock",
    "split_words",
    "without_first",
]  # fmt: skip

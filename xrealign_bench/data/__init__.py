"""Task data, parallel text, lexicons and words. Nothing here needs torch."""

from xrealign_bench.data.labelled_texts import TextData, load_texts
from xrealign_bench.data.lexicon import Lexicon, lexicon_fingerprint, lexicon_languages, load_lexicon
from xrealign_bench.data.load import Examples, load_examples
from xrealign_bench.data.lock import check_lock, corpora_of, pin, read_lock
from xrealign_bench.data.parallel import Links, ParallelText, corpus_languages, count_pairs, load_pairs, locate_pairs
from xrealign_bench.data.plain_texts import PlainTextData, load_plain_texts
from xrealign_bench.data.questions import QuestionData, load_questions
from xrealign_bench.data.sources import DataLocation, Located, locate
from xrealign_bench.data.tagged_words import WordData, load_words
from xrealign_bench.data.task_data import (
    CHOSEN_EXAMPLES,
    NOT_LABELLED,
    Split,
    count_examples,
    examples_to_read,
    locate_task,
)
from xrealign_bench.data.translations import TranslationData, load_translations
from xrealign_bench.data.words import SEGMENTER, split_words

__all__ = [
    "CHOSEN_EXAMPLES",
    "NOT_LABELLED",
    "SEGMENTER",
    "DataLocation",
    "Examples",
    "Lexicon",
    "Links",
    "Located",
    "ParallelText",
    "PlainTextData",
    "QuestionData",
    "Split",
    "TextData",
    "TranslationData",
    "WordData",
    "check_lock",
    "corpora_of",
    "corpus_languages",
    "count_examples",
    "count_pairs",
    "examples_to_read",
    "lexicon_fingerprint",
    "lexicon_languages",
    "load_examples",
    "load_lexicon",
    "load_pairs",
    "load_plain_texts",
    "load_questions",
    "load_texts",
    "load_translations",
    "load_words",
    "locate",
    "locate_pairs",
    "locate_task",
    "pin",
    "read_lock",
    "split_words",
]  # fmt: skip

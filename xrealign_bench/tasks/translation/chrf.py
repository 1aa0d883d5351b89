"""chrF from counts of character n-grams, as sacrebleu computes it.

chrF (Popović, WMT 2015) with sacrebleu's defaults: character n-grams of orders 1 to 6 without white space, beta 2, no
word n-grams, and precision and recall averaged over the orders that occur. The counts of a corpus are the sums of its
sentences' counts, so they are stored instead of the texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.helpers import extract_all_char_ngrams

ORDERS = 6
_FACTOR = 4
"""The square of beta."""
Counts = NDArray[np.float64]


def count_ngrams(text: str) -> list[int]:
    """Return the number of character n-grams of each order.

    >>> count_ngrams("ab c")
    [3, 2, 1, 0, 0, 0]
    """
    return [found.total() for found in extract_all_char_ngrams(text, ORDERS)]


def count_answer(answer: str, reference: str) -> list[int]:
    """Return the number of n-grams of an answer, and the number of those that its reference has too, of each order.

    As in sacrebleu, an answer has no n-grams of an order of which its reference has none.

    >>> count_answer("abx", "abc")
    [3, 2, 1, 0, 0, 0, 2, 1, 0, 0, 0, 0]
    """
    pairs = list(zip(*(extract_all_char_ngrams(text, ORDERS) for text in (answer, reference)), strict=True))
    return [found.total() if gold else 0 for found, gold in pairs] + [(found & gold).total() for found, gold in pairs]


def corpus_chrf(references: Counts, answers: Counts) -> float:
    """Return the chrF of a corpus, from 0 to 1.

    Args:
        references: (sentences, 6), from `count_ngrams`.
        answers: (sentences, 12), from `count_answer`.

    >>> corpus_chrf(np.array([[3, 2, 1, 0, 0, 0]]), np.array([[3, 2, 1, 0, 0, 0, 3, 2, 1, 0, 0, 0]]))
    1.0
    """
    precision, recall, _ = _averages(references.sum(axis=0), answers.sum(axis=0))
    return _f_score(precision, recall)


def chrf_influence(references: Counts, answers: Counts) -> Counts:
    """Return the derivative (sentences,) of the corpus's chrF by each sentence's weight. It sums to 0.

    Args:
        references, answers: as for `corpus_chrf`.
    """
    gold, both = references.sum(axis=0), answers.sum(axis=0)
    precision, recall, used = _averages(gold, both)
    if not precision + recall:
        return np.zeros(len(references))
    found, matched = both[:ORDERS][used], both[ORDERS:][used]
    own_gold, own_found, own_matched = (
        part[:, used] for part in (references, answers[:, :ORDERS], answers[:, ORDERS:])
    )
    by_precision = (own_matched / found - matched * own_found / found**2).mean(axis=1)
    by_recall = (own_matched / gold[used] - matched * own_gold / gold[used] ** 2).mean(axis=1)
    scale = (1 + _FACTOR) / (_FACTOR * precision + recall) ** 2
    influence: Counts = scale * (recall**2 * by_precision + _FACTOR * precision**2 * by_recall)
    return influence


def _averages(gold: Counts, both: Counts) -> tuple[float, float, NDArray[np.bool_]]:
    """Return mean precision and mean recall, and which orders they are means over."""
    found, matched = both[:ORDERS], both[ORDERS:]
    used = (found > 0) & (gold > 0)
    if not used.any():
        return 0.0, 0.0, used
    return float(np.mean(matched[used] / found[used])), float(np.mean(matched[used] / gold[used])), used


def _f_score(precision: float, recall: float) -> float:
    if not precision + recall:
        return 0.0
    return (1 + _FACTOR) * precision * recall / (_FACTOR * precision + recall)

"""SQuAD's F1 and exact match of extracted answers, computed from hashes of their tokens.

`spans.normalisation` of a task selects how answers are normalised before they are compared:

- `squad`: the official `evaluate-v1.1.py` of SQuAD (Rajpurkar et al., 2016), for all languages alike: lower case, no
  ASCII punctuation, no words a, an, the, split at white space. XQuAD's authors use it for all their languages (README
  of google-deepmind/xquad) and XTREME for XQuAD and TyDiQA (its evaluate.py), and so do published results. In languages
  without spaces (Chinese, Thai) a token is a whole piece of text, so F1 is hardly higher than exact match.
- `mlqa`: the official `mlqa_evaluation_v1.py` of MLQA (Lewis et al., 2020), which has rules for its seven languages
  only: all punctuation of Unicode is removed, each language has its own articles, and in Chinese every character from
  U+4E00 to U+9FA5 is a token.

Predictions contain hashes of the normalised tokens and no text. The metrics need no more: both rules join tokens with a
single space, and tokens are never empty and contain no white space, so normalised texts are equal exactly if their
tokens are; F1 counts equal tokens. The chance that two of a million tokens share a hash of 64 bits is 3 in 10^8.

The code released with AlignFreeze computes another F1 where precision and recall sum to less than 1, and an exact match
of texts that are not normalised, so its results for question answering are not comparable.
"""

from __future__ import annotations

import hashlib
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from math import fsum
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import TaskMetric
from xrealign_bench.tasks.question_answering.data import QuestionData

Rule = Literal["squad", "mlqa"]

_ENGLISH = r"\b(a|an|the)\b"
_MLQA_ARTICLES: Mapping[str, str | None] = {
    "en": _ENGLISH,
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": "ال",  # anywhere in a word, as the official script does
    "zh": None,
}
_HAN = re.compile("([\u4e00-\u9fa5])")


def normalised_tokens(text: str, rule: Rule, language: str) -> list[str]:
    """Return the tokens of an answer that are compared.

    Args:
        text: the answer as it is in the context.
        rule: the rule of the module docstring.
        language: code of the language; `squad` has one rule for all.

    Raises:
        UserError: MLQA has no rule for the language.

    >>> normalised_tokens("The U.S.-led  alliance", "squad", "en")
    ['usled', 'alliance']
    >>> normalised_tokens("《红楼梦》 120 回", "mlqa", "zh")
    ['红', '楼', '梦', '120', '回']
    """
    if rule == "squad":
        bare = text.lower().translate(_deleted(string.punctuation))
        return re.sub(_ENGLISH, " ", bare).split()
    if language not in _MLQA_ARTICLES:
        raise UserError(
            f"MLQA's evaluation has no rule for '{language}', only for {', '.join(_MLQA_ARTICLES)}; "
            "use 'spans: {normalisation: squad}'"
        )
    bare = text.lower().translate(_deleted(_unicode_punctuation()))
    if (articles := _MLQA_ARTICLES[language]) is not None:
        bare = re.sub(articles, " ", bare)
    return (_HAN.sub(r" \1 ", bare) if language == "zh" else bare).split()


def hashed_tokens(text: str, rule: Rule, language: str) -> list[int]:
    """Hash the `normalised_tokens`: 8 bytes of BLAKE2b of each token's UTF-8, as a signed integer."""
    return [
        int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big", signed=True)
        for token in normalised_tokens(text, rule, language)
    ]


def f1(found: Sequence[int], gold: Sequence[int]) -> float:
    """Return the harmonic mean of precision and recall over two bags of tokens.

    It is 0 without a common token, even if both are empty, as in the official script.

    >>> f1([1, 1, 2], [1, 3])
    0.4
    """
    common = (Counter(found) & Counter(gold)).total()
    return 2 * common / (len(found) + len(gold)) if common else 0.0


def best_f1(found: Sequence[int], gold: Sequence[Sequence[int]]) -> float:
    """Return the highest F1 with any gold answer."""
    return max(f1(found, answer) for answer in gold)


def answer_scores(
    gold: Sequence[Sequence[Sequence[int]]], predicted: Sequence[Sequence[int]]
) -> dict[str, float | None]:
    """Return SQuAD's F1 and exact match, each the mean over questions of the best gold answer's, from hashed tokens.

    >>> answer_scores([[[1], [1, 2, 4, 5]], [[3]]], [[1, 2], [3]])
    {'f1': 0.8333333333333333, 'exact_match': 0.5}
    """
    pairs = list(zip(predicted, gold, strict=True))
    return {
        "f1": fsum(best_f1(found, answers) for found, answers in pairs) / len(pairs),
        "exact_match": sum(list(found) in map(list, answers) for found, answers in pairs) / len(pairs),
    }


def gold_of(task: Task, data: QuestionData) -> dict[str, Sequence[Any]]:
    """Return, for each question, its row in the data and its gold answers as hashes."""
    rule = task.spans.normalisation
    return {
        "example": data.rows,
        "gold": [[hashed_tokens(text, rule, data.language) for text, _ in answers] for answers in data.answers],
    }


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Score a language's predictions. Every question counts.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`.
    """
    return {
        "metrics": answer_scores(columns["gold"], columns["predicted"]),
        "counted": len(columns["predicted"]),
        "groups": {},
        "reason": None,
    }


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each question, its F1, and 1."""
    pairs = zip(table["predicted"].to_pylist(), table["gold"].to_pylist(), strict=True)
    return np.array([best_f1(found, gold) for found, gold in pairs], dtype=np.float64), np.ones(len(table))


@cache
def _deleted(characters: str) -> Mapping[int, None]:
    return str.maketrans("", "", characters)  # type: ignore[return-value]


@cache
def _unicode_punctuation() -> str:
    """Return MLQA's punctuation: Unicode's categories P*, and all of ASCII's punctuation."""
    every = map(chr, range(sys.maxunicode))
    return string.punctuation + "".join(c for c in every if unicodedata.category(c).startswith("P"))


METRIC = TaskMetric(
    columns={"gold": pa.list_(pa.list_(pa.int64())), "predicted": pa.list_(pa.int64())},
    given=("gold",),
    from_data=("gold",),
    gold_of=gold_of,
    score=score,
    per_example_counts=per_example_counts,
)

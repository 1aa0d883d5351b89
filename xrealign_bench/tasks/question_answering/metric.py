"""Extractive question answering: SQuAD's F1 and exact match, from answers of which only hashes are kept.

Two rules say when answers are alike (`spans.normalisation` of a task):

- `squad`: the official `evaluate-v1.1.py` of SQuAD (Rajpurkar et al., 2016), in every language alike: lower case,
  without ASCII punctuation and without the words a, an, the, split at white space. It is what XQuAD's authors use for
  all their languages (README of google-deepmind/xquad), XTREME for XQuAD and TyDiQA (its evaluate.py), and so the
  published figures. In languages without spaces (Chinese, Thai) a token is then a whole stretch of text, and F1 is
  hardly softer than exact match.
- `mlqa`: the official `mlqa_evaluation_v1.py` of MLQA (Lewis et al., 2020), which has rules for its seven languages and
  for no others: all punctuation of Unicode goes, each language has its own articles, and in Chinese every character of
  U+4E00 to U+9FA5 is a token of its own.

Predictions hold no text but hashes of the normalised tokens, and nothing is lost by that: both rules join tokens with
a single space, and no token has white space in it or is empty, so splitting the joined text gives the tokens back; two
normalised texts are equal exactly if their sequences of tokens are. F1 counts equal tokens and needs no more either.
Two tokens out of a million share a hash of 64 bits with a chance of 3 in 10^8.

The code released with AlignFreeze computed another F1 wherever precision and recall together are below 1, and an exact
match of texts that were not normalised: its figures for question answering are not these.
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

import datasets
import evaluate
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xrealign_bench.errors import UserError
from xrealign_bench.specs import Task
from xrealign_bench.tasks.metrics import TaskMetric, compute
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


class AnswerOverlap(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """SQuAD's F1 and exact match, each the mean over questions of the best of the right answers, from hashed tokens.

    Constructed rather than fetched by `evaluate.load`, and by `in_memory.compute` no file is written for the data.

    >>> metric = AnswerOverlap(keep_in_memory=True)
    >>> metric.compute(predictions=[[1, 2], [3]], references=[[[1], [1, 2, 4, 5]], [[3]]])
    {'f1': 0.8333333333333333, 'exact_match': 0.5}
    """

    def _info(self) -> Any:
        tokens = datasets.Sequence(datasets.Value("int64"))
        features = datasets.Features({"predictions": tokens, "references": datasets.Sequence(tokens)})
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=features)

    def _compute(
        self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]]
    ) -> dict[str, float]:
        pairs = list(zip(predictions, references, strict=True))
        return {
            "f1": fsum(best_f1(found, gold) for found, gold in pairs) / len(pairs),
            "exact_match": sum(list(found) in map(list, gold) for found, gold in pairs) / len(pairs),
        }


def normalised_tokens(text: str, rule: Rule, language: str) -> list[str]:
    """The tokens of an answer that count when it is compared.

    Args:
        text: as it stands in the context.
        rule: whose script, see above.
        language: its code; `squad` has the same rule for all.

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
    """`normalised_tokens` as numbers: BLAKE2b of 8 bytes of each token's UTF-8, read as a signed integer."""
    return [
        int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big", signed=True)
        for token in normalised_tokens(text, rule, language)
    ]


def f1(found: Sequence[int], gold: Sequence[int]) -> float:
    """Harmonic mean of precision and recall over two bags of tokens; without a token in common 0, even if both are
    empty, as the official script has it.

    >>> f1([1, 1, 2], [1, 3])
    0.4
    """
    common = (Counter(found) & Counter(gold)).total()
    return 2 * common / (len(found) + len(gold)) if common else 0.0


def best_f1(found: Sequence[int], gold: Sequence[Sequence[int]]) -> float:
    """F1 with the right answer that it is highest with."""
    return max(f1(found, answer) for answer in gold)


def gold_of(task: Task, data: QuestionData) -> dict[str, Sequence[Any]]:
    """Question by question: the row in the data, and its right answers as hashes."""
    rule = task.spans.normalisation
    return {
        "example": data.rows,
        "gold": [[hashed_tokens(text, rule, data.language) for text, _ in answers] for answers in data.answers],
    }


def score(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The metrics of a language's predictions; every question counts.

    Returns:
        `metrics`, `counted`, `groups` and `reason`, as in `results.records.Score`.
    """
    return {
        "metrics": compute(AnswerOverlap, predictions=columns["predicted"], references=columns["gold"]),
        "counted": len(columns["predicted"]),
        "groups": {},
        "reason": None,
    }


def per_example_counts(task: Task, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By question: its F1, and 1. Both are (rows,)."""
    pairs = zip(table["predicted"].to_pylist(), table["gold"].to_pylist(), strict=True)
    return np.array([best_f1(found, gold) for found, gold in pairs], dtype=np.float64), np.ones(len(table))


@cache
def _deleted(characters: str) -> Mapping[int, None]:
    return str.maketrans("", "", characters)  # type: ignore[return-value]


@cache
def _unicode_punctuation() -> str:
    """MLQA's: Unicode's categories P*, and the signs among ASCII's punctuation."""
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

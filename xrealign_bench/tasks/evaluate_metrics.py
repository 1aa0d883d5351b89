"""The metrics of tasks as classes of the `evaluate` library, for use outside of the harness.

Construct them; `evaluate.load` would fetch them from the network. The harness itself calls the functions that they
wrap, because importing `evaluate` imports torch and transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from xrealign_bench.tasks.label_metric import label_scores
from xrealign_bench.tasks.labels import NOT_LABELLED
from xrealign_bench.tasks.language_modelling.metric import likelihood_scores
from xrealign_bench.tasks.question_answering.metric import answer_scores
from xrealign_bench.tasks.retrieval.metric import retrieval_scores
from xrealign_bench.tasks.token_classification.entity_metric import entity_scores

Scores = dict[str, float | None]

_NUMBER = datasets.Value("int64")
_NUMBERS = datasets.Sequence(_NUMBER)
_STRINGS = datasets.Sequence(datasets.Value("string"))


class _Metric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    columns: dict[str, Any]

    def _info(self) -> Any:
        features = datasets.Features(self.columns)
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=features)


class WordTagging(_Metric):
    """Accuracy and macro F1 over words, from label numbers of each sentence. References of -100 are ignored.

    >>> metric = WordTagging(keep_in_memory=True)
    >>> metric.compute(predictions=[[0, 1], [1]], references=[[0, 0], [-100]])
    {'accuracy': 0.5, 'macro_f1': 0.6666666666666666}
    """

    columns = {"predictions": _NUMBERS, "references": _NUMBERS}

    def _compute(self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> Scores:
        found, gold = (np.array([label for row in side for label in row]) for side in (predictions, references))
        labelled = gold != NOT_LABELLED
        return label_scores(gold[labelled], found[labelled])


class EntityTagging(_Metric):
    """F1, precision and recall of entities over all sentences (micro average), by seqeval: mode strict, scheme IOB2.

    >>> metric = EntityTagging(keep_in_memory=True)
    >>> metric.compute(predictions=[["B-PER", "O", "B-LOC"]], references=[["B-PER", "I-PER", "B-LOC"]])
    {'entity_f1': 0.5, 'precision': 0.5, 'recall': 0.5}
    """

    columns = {"predictions": _STRINGS, "references": _STRINGS}

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Scores:
        return entity_scores(gold=references, predicted=predictions)


class TextClassification(_Metric):
    """Accuracy and macro F1 over texts, from one label number each.

    >>> metric = TextClassification(keep_in_memory=True)
    >>> metric.compute(predictions=[0, 1, 1], references=[0, 0, 1])
    {'accuracy': 0.6666666666666666, 'macro_f1': 0.6666666666666666}
    """

    columns = {"predictions": _NUMBER, "references": _NUMBER}

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> Scores:
        return label_scores(np.array(references), np.array(predictions))


class AnswerOverlap(_Metric):
    """SQuAD's F1 and exact match, each the mean over questions of the best gold answer's, from hashed tokens.

    >>> metric = AnswerOverlap(keep_in_memory=True)
    >>> metric.compute(predictions=[[1, 2], [3]], references=[[[1], [1, 2, 4, 5]], [[3]]])
    {'f1': 0.8333333333333333, 'exact_match': 0.5}
    """

    columns = {"predictions": _NUMBERS, "references": datasets.Sequence(_NUMBERS)}

    def _compute(self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]]) -> Scores:
        return answer_scores(gold=references, predicted=predictions)


class PairRetrieval(_Metric):
    """Accuracy of finding translations: from source to target, from target to source, and the mean of both.

    `references` are the numbers of the pairs, `forward` the targets found by the sources, `backward` the reverse.

    >>> metric = PairRetrieval(keep_in_memory=True)
    >>> metric.compute(forward=[0, 0], backward=[0, 1], references=[0, 1])
    {'accuracy': 0.75, 'accuracy_forward': 0.5, 'accuracy_backward': 1.0}
    """

    columns = {"forward": _NUMBER, "backward": _NUMBER, "references": _NUMBER}

    def _compute(self, forward: Sequence[int], backward: Sequence[int], references: Sequence[int]) -> Scores:
        return retrieval_scores(references, forward, backward)


class TextLikelihood(_Metric):
    """Compression, bits per byte and perplexity per token, from the bits that the model needs for each text.

    `predictions` are these bits, `references` the bytes of the texts, and `tokens` their tokens.

    >>> metric = TextLikelihood(keep_in_memory=True)
    >>> metric.compute(predictions=[6.0, 10.0], references=[3, 5], tokens=[2, 2])
    {'compression': 0.75, 'bits_per_byte': 2.0, 'perplexity': 16.0}
    """

    columns = {"predictions": datasets.Value("float64"), "references": _NUMBER, "tokens": _NUMBER}

    def _compute(self, predictions: Sequence[float], references: Sequence[int], tokens: Sequence[int]) -> Scores:
        return likelihood_scores(predictions, references, tokens)

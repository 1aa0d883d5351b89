"""Translate into and out of each language with a decoder, by prompt; nothing is fine-tuned.

The answer is the line that follows the prompt, decoded greedily. Its n-gram counts for chrF and its language are the
predictions; the text itself stays in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch
from transformers import PreTrainedTokenizerFast

from xrealign_bench.models.generation import generate_lines
from xrealign_bench.models.language_model import LanguageModel
from xrealign_bench.specs import Task
from xrealign_bench.tasks.likelihoods import new_model
from xrealign_bench.tasks.translation.chrf import count_answer, count_ngrams
from xrealign_bench.tasks.translation.identification import identify
from xrealign_bench.tasks.translation.metric import METRIC

__all__ = ["new_model", "predict", "train"]

train = None


def predict(
    model: LanguageModel,
    pad_id: int,
    tables: Mapping[str, pa.Table],
    task: Task,
    *,
    device: torch.device,
    tokenizer: PreTrainedTokenizerFast,
) -> pa.Table:
    """Translate every pair's sentences in both directions.

    Args:
        model: from `add_output_layer`.
        pad_id: not used; part of the interface.
        tables: test data, from `encode`.
        task: the task, for its `max_new_tokens`.
        device: where to compute.
        tokenizer: the checkpoint's.

    Returns:
        The columns of the metric, and the answers as `forward_text` and `backward_text`.
    """
    pairs = tables["pairs"].to_pydict()
    references = {"forward": pairs["target_text"], "backward": pairs["source_text"]}
    columns: dict[str, Any] = {"example": pairs["example"], "target": pairs["target"]}
    texts: dict[str, list[str]] = {}
    for direction, gold in references.items():
        prompts = tables[direction]["input_ids"].to_pylist()
        answers = generate_lines(model, tokenizer, prompts, task.max_new_tokens, device=device)
        columns[f"{direction}_reference"] = [count_ngrams(text) for text in gold]
        columns[f"{direction}_answer"] = [count_answer(*both) for both in zip(answers, gold, strict=True)]
        columns[f"{direction}_language"] = [identify(text) for text in answers]
        texts[f"{direction}_text"] = answers
    columns["reference_language"] = [identify(text) for text in references["forward"]]
    table = pa.table({name: columns[name] for name in METRIC.schema.names}, schema=METRIC.schema)
    for name, answers in texts.items():
        table = table.append_column(name, pa.array(answers, pa.string()))
    return table

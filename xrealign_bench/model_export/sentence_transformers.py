"""Files beside an encoder from which `SentenceTransformer(FOLDER)` computes the vectors of a retrieval task.

The task's vector is the mean over a text's tokens without special tokens, which no pooling of sentence-transformers
leaves out. So a module `WordWeights` gives the special tokens the weight 0 and all others 1, and `Pooling` takes the
weighted mean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

_MODULES = ("Transformer", "WordWeights", "Pooling")
"""In this order; the first lies in the folder itself, as transformers loads it."""


def write_sentence_transformers(
    folder: Path, tokenizer: PreTrainedTokenizerFast, *, width: int, max_length: int
) -> None:
    """Write the files.

    Args:
        folder: folder with the encoder and its tokenizer.
        tokenizer: the tokenizer.
        width: dimension of the vectors.
        max_length: the largest number of tokens of a text, special tokens included.
    """
    paths = ["", *(f"{number}_{name}" for number, name in enumerate(_MODULES[1:], 1))]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (name, path) in enumerate(zip(_MODULES, paths, strict=True))
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    _write_weights(folder / paths[1], tokenizer)
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "include_prompt": True}
    _write(folder / paths[2] / "config.json", pooling)


def _write_weights(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the weight of every token: 0 for those that the tokenizer adds to a text, else 1."""
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    vocabulary = [tokens.get(number, "") for number in range(max(tokens) + 1)]
    encoded = tokenizer("a", return_special_tokens_mask=True)
    added = {number for number, special in zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
             if special}  # fmt: skip
    content = {
        "vocab": vocabulary,
        "word_weights": {tokens[number]: 0.0 for number in sorted(added)},
        "unknown_word_weight": 1,
    }
    _write(folder / "config.json", content)
    weights = torch.ones(len(vocabulary), 1)
    weights[sorted(added)] = 0.0
    save_file({"emb_layer.weight": weights}, folder / "model.safetensors")


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

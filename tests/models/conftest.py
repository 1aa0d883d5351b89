"""Tiny checkpoints of several architectures, each with random weights and a tokenizer trained on a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedTokenizerFast

from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint

LINES = [
    "Der Montag, 17. März 2003, kostet zwölf Euro und fünfzig Cent.",
    "On Monday the 17th of March twelve euros and fifty cents were paid.",
    "понедельник, 17 марта 2003 года",
    "सोमवार, 17 मार्च 2003 को बारह यूरो",
    "2003年3月17日星期一",
    "வியாழன் மார்ச் மாதம்",
]
LAYERS = 5
SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
SIZES = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 24}

ARCHITECTURES: dict[str, tuple[str, str, dict[str, object]]] = {
    # name: model type, tokenizer, what its configuration sets beside the sizes
    "bert": ("bert", "wordpiece", {}),
    "xlm-roberta": ("xlm-roberta", "unigram", {}),
    "roberta": ("roberta", "bytes", {}),
    "distilbert": ("distilbert", "wordpiece", {"dim": 16, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 24}),
    "modernbert": ("modernbert", "bytes", {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "deberta-v2": (
        "deberta-v2",
        "unigram",
        {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
         "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    ),
    "deberta-v2-conv": (
        "deberta-v2",
        "unigram",
        {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
         "pos_att_type": ["p2c", "c2p"], "conv_act": "gelu"},
    ),
    "electra": ("electra", "wordpiece", {"embedding_size": 8}),
    "mpnet": ("mpnet", "wordpiece", {}),
}  # fmt: skip


def train_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the kind that mBERT (wordpiece), XLM-R (unigram) or ModernBERT (bytes) has."""
    special = list(SPECIAL.values())
    if kind == "wordpiece":
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=False)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    elif kind == "unigram":
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizers.NFKC()
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        backend = Tokenizer(models.BPE())
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    backend.train_from_iterator(LINES * 5, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[(t, backend.token_to_id(t)) for t in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **SPECIAL)


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {kind: train_tokenizer(kind) for kind in ("wordpiece", "unigram", "bytes")}


def make_config(kind: str, vocab_size: int, **settings: object) -> PreTrainedConfig:
    positions = {"max_position_embeddings": 72, "pad_token_id": 0, "vocab_size": vocab_size}
    return AutoConfig.for_model(kind, **{**SIZES, **positions, **settings})


@pytest.fixture(scope="session")
def make_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> Callable[..., Path]:
    """Write a checkpoint of an architecture as its pre-training would have left it: with a head for masked words."""

    def make(name: str, **settings: object) -> Path:
        kind, tokenizer, own = ARCHITECTURES.get(name, (name, "wordpiece", {}))
        folder = tmp_path_factory.mktemp(name)
        config = make_config(kind, len(tokenizers[tokenizer]) + 3, **{**own, **settings})
        torch.manual_seed(1)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
        tokenizers[tokenizer].save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoints(make_checkpoint: Callable[..., Path]) -> dict[str, Checkpoint]:
    return {name: resolve_checkpoint(str(make_checkpoint(name))) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def checkpoint(request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]

"""Tiny checkpoints of several architectures, each with random weights and a tokenizer trained on a few lines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder

LINES = [
    "Der Montag, 17. März 2003, kostet zwölf Euro und fünfzig Cent.",
    "On Monday the 17th of March twelve euros and fifty cents were paid.",
    "понедельник, 17 марта 2003 года",
    "सोमवार, 17 मार्च 2003 को बारह यूरो",
    "2003年3月17日星期一",
    "வியாழன் மார்ச் மாதம்",
]
LAYERS = 5
TOKENIZERS = ["wordpiece", "unigram", "bytes", "gpt", "llama", "gemma", "t5", "xglm"]
TEMPLATES = {
    "gpt": ("$A", "$A $B"),
    "llama": ("<s> $A", "<s> $A <s> $B"),
    "gemma": ("<s> $A", "<s> $A <s> $B"),
    "t5": ("$A </s>", "$A </s> $B </s>"),
    "xglm": ("</s> $A", "</s> $A </s> </s> $B"),
}
NAMED = {
    "gpt": {"eos_token": "</s>"},
    "llama": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "gemma": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
    "t5": {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
    "xglm": {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
}
SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
SIZES = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 24}

SEQ2SEQ = {
    "d_model": 16, "encoder_layers": LAYERS, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
}  # fmt: skip

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
    "xlm-roberta-xl": ("xlm-roberta-xl", "unigram", {}),
    "rembert": ("rembert", "unigram", {"input_embedding_size": 8}),
    "eurobert": ("eurobert", "bytes", {"num_key_value_heads": 1, "head_dim": 8}),
    "xmod": ("xmod", "unigram", {"languages": ["en_XX", "de_DE"], "default_language": "en_XX"}),
    "bloom": ("bloom", "gpt", {"n_layer": LAYERS, "n_head": 2}),
    "xglm": ("xglm", "xglm", {"d_model": 16, "num_layers": LAYERS, "attention_heads": 2, "ffn_dim": 24}),
    "llama": ("llama", "llama", {"num_key_value_heads": 1, "head_dim": 8}),
    "mistral": ("mistral", "llama", {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}),
    "qwen2": ("qwen2", "gpt", {"num_key_value_heads": 1}),
    "qwen3": ("qwen3", "gpt", {"num_key_value_heads": 1, "head_dim": 8}),
    "gemma": ("gemma", "gemma", {"num_key_value_heads": 1, "head_dim": 8}),
    "gemma2": ("gemma2", "gemma", {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}),
    "gemma3": ("gemma3_text", "gemma", {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}),
    "opt": ("opt", "gpt", {"ffn_dim": 24, "word_embed_proj_dim": 12}),
    "gpt2": ("gpt2", "gpt", {"n_embd": 16, "n_layer": LAYERS, "n_head": 2, "n_positions": 72}),
    "apertus": ("apertus", "gpt", {"num_key_value_heads": 1}),
    "mt5": ("mt5", "t5", {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": LAYERS, "num_heads": 2}),
    "umt5": ("umt5", "t5", {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": LAYERS, "num_heads": 2}),
    "m2m-100": ("m2m_100", "xglm", SEQ2SEQ),
}  # fmt: skip

ONLY_LOADED: dict[str, tuple[str, str, dict[str, object]]] = {
    # more of them, whose published files are read
    "camembert": ("camembert", "unigram", {}),
    "gpt-neox": ("gpt_neox", "gpt", {}),
    "gpt-neo": (
        "gpt_neo",
        "gpt",
        {"num_layers": LAYERS, "num_heads": 2, "attention_types": [[["global", "local"], 2], [["global"], 1]]},
    ),
    "phi": ("phi", "gpt", {}),
    "mbart": ("mbart", "xglm", SEQ2SEQ),
}


def train_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the kind that mBERT (wordpiece), XLM-R (unigram) or ModernBERT (bytes) has, or a decoder.

    gpt: bytes, and no token but one that ends a text (BLOOM, Qwen); llama: a token in front, none that pads, the space
    of the first word added; gemma: that space not added; t5: a token behind; xglm: one in front, which is the same.
    """
    special = list(SPECIAL.values())
    if kind == "wordpiece":
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=False)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    elif kind in ("unigram", "t5", "xglm"):
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizers.NFKC()
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    elif kind in ("llama", "gemma"):
        backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        spaces = [normalizers.Replace(" ", "▁")]
        backend.normalizer = normalizers.Sequence([*([normalizers.Prepend("▁")] if kind == "llama" else []), *spaces])
        backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # no sub-word goes over a space
        bytes_ = [f"<0x{number:02X}>" for number in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=[*special, *bytes_], show_progress=False)
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
    single, pair = TEMPLATES.get(kind, ("<s> $A </s>", "<s> $A </s> $B </s>"))
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(t, backend.token_to_id(t)) for t in ("<s>", "</s>")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **NAMED.get(kind, SPECIAL))


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {kind: train_tokenizer(kind) for kind in TOKENIZERS}


def make_config(kind: str, vocab_size: int, **settings: object) -> PreTrainedConfig:
    positions = {"max_position_embeddings": 72, "pad_token_id": 0, "vocab_size": vocab_size}
    return AutoConfig.for_model(kind, **{**SIZES, **positions, **settings})


def language_model(config: PreTrainedConfig) -> Any:
    """The class that such a model is pre-trained as."""
    if config.is_encoder_decoder:
        return AutoModelForSeq2SeqLM
    return AutoModelForMaskedLM if type(config) in MODEL_FOR_MASKED_LM_MAPPING else AutoModelForCausalLM


@pytest.fixture(scope="session")
def make_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> Callable[..., Path]:
    """Write a checkpoint of an architecture as its pre-training would have left it: with a language-model head."""

    def make(name: str, **settings: object) -> Path:
        kind, tokenizer, own = {**ARCHITECTURES, **ONLY_LOADED}.get(name, (name, "wordpiece", {}))
        folder = tmp_path_factory.mktemp(name)
        config = make_config(kind, len(tokenizers[tokenizer]) + 3, **{**own, **settings})
        torch.manual_seed(1)
        language_model(config).from_config(config).save_pretrained(folder)
        tokenizers[tokenizer].save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoints(make_checkpoint: Callable[..., Path]) -> dict[str, Checkpoint]:
    return {name: resolve_checkpoint(str(make_checkpoint(name))) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def checkpoint(request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]


_LOADED: dict[Path, Any] = {}
"""Folder of a checkpoint -> its encoder, as loaded with seed 0."""


def new_encoder(checkpoint: Checkpoint) -> Any:
    """Return a copy of the loaded encoder, in a fifth of the time that loading it again takes."""
    if checkpoint.folder not in _LOADED:
        _LOADED[checkpoint.folder] = load_encoder(checkpoint, seed=0)
    return copy.deepcopy(_LOADED[checkpoint.folder])


FEW = ("bert", "xlm-roberta", "llama", "mt5")
ALIKE = ("electra", "roberta", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "apertus", "umt5", "rembert")
"""Families with modules like those of another one that is tested: BERT's, XLM-R's, Llama's, Gemma 3's or mT5's."""
QUICK = {"few_families": FEW, "distinct_families": set(ARCHITECTURES) - set(ALIKE)}


@pytest.hookimpl(tryfirst=True)  # before slow tests are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, quick in QUICK.items():
            if item.get_closest_marker(marker) and item.callspec.params["checkpoint"] not in quick:  # type: ignore[attr-defined]
                item.add_marker(pytest.mark.slow)

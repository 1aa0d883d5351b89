"""Checkpoints as they are published: names, buffers, prefixes and vocabularies that are not what transformers would
write today. Truth: the hidden states of the same weights as transformers writes them, and the tokens without quirks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import LAYERS
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.tasks.likelihoods import encode_for_likelihood
from xrealign_bench.tasks.question_answering.encoding import tokenise
from xrealign_bench.tasks.retrieval.encoding import encode_sentences
from xrealign_bench.tasks.sequence_classification.encoding import encode_texts

Weights = dict[str, Tensor]
MASK = torch.ones(72, 72).tril()[None, None]
IDS = torch.tensor([[8, 11, 12, 13, 14, 9]])


def hidden(folder: Path) -> Tensor:
    encoder = load_encoder(resolve_checkpoint(str(folder), allow_pickle=True), seed=0)
    with torch.no_grad():
        states: Tensor = encoder(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
    return states


def copy(folder: Path, to: Path, change: Callable[[Weights], Weights]) -> Path:
    """The checkpoint with other weights."""
    shutil.copytree(folder, to)
    weights = change(load_file(folder / "model.safetensors"))
    save_file({name: t.clone() for name, t in weights.items()}, to / "model.safetensors", {"format": "pt"})
    return to


def in_blocks(name: str, value: Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name.format(number): value for number in range(LAYERS)}


def renamed(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name.replace(old, new, 1): tensor for name, tensor in weights.items()}


def legacy_norms(weights: Weights) -> Weights:
    new = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {next((n.replace(old, to) for old, to in new.items() if old in n), n): t for n, t in weights.items()}


def t5_tables(weights: Weights) -> Weights:
    table = weights["shared.weight"]
    bias = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(32, 2)}
    return weights | {"encoder.embed_tokens.weight": table, "decoder.embed_tokens.weight": table} | bias


def m2m_tables(weights: Weights) -> Weights:
    tables = {f"model.{side}.embed_tokens.weight": weights["model.shared.weight"] for side in ("encoder", "decoder")}
    return weights | tables | {"model.encoder.version": torch.tensor([3.0]), "lm_head.weight": tables.popitem()[1]}


QUIRKS: dict[str, tuple[str, Callable[[Weights], Weights]]] = {
    # what is published: the architecture, and what makes its files out of transformers' own
    "bert-base-multilingual-cased": (
        "bert",
        lambda w: legacy_norms(w)
        | {"cls.seq_relationship.weight": torch.ones(2, 16), "bert.pooler.dense.weight": torch.ones(16, 16)}
        | {"bert.embeddings.position_ids": torch.arange(72)[None]},
    ),
    "LaBSE, saved by sentence-transformers": (
        "bert",
        lambda w: {n.removeprefix("bert."): t for n, t in w.items() if n.startswith("bert.")}
        | {"embeddings.position_ids": torch.arange(72)[None], "pooler.dense.weight": torch.ones(16, 16)},
    ),
    "xlm-roberta-base": (
        "xlm-roberta",
        lambda w: w | {"roberta.embeddings.position_ids": torch.arange(72), "lm_head.decoder.bias": torch.ones(1)},
    ),
    "mdeberta-v3-base": (
        "deberta-v2",
        lambda w: w
        | {"deberta.embeddings.position_embeddings.weight": torch.ones(72, 16)}
        | {"mask_predictions.dense.weight": torch.ones(16, 16), "lm_predictions.lm_head.bias": torch.ones(9)},
    ),
    "camembert, under its own name": ("camembert", renamed("roberta.", "camembert.")),
    "gpt2": (
        "gpt2",
        lambda w: {n.removeprefix("transformer."): t for n, t in in_blocks("h.{}.attn.bias", MASK)(w).items()},
    ),
    "mGPT": (
        "gpt2",
        lambda w: in_blocks("transformer.h.{}.attn.masked_bias", torch.tensor(-1e4))(
            in_blocks("transformer.h.{}.attn.bias", MASK.half())(w)
        ),
    ),
    "gpt-neo-125m": (
        "gpt-neo",
        lambda w: in_blocks("transformer.h.{}.attn.attention.masked_bias", torch.tensor(-1e9))(
            in_blocks("transformer.h.{}.attn.attention.bias", MASK.bool())(w)
        ),
    ),
    "pythia": (
        "gpt-neox",
        lambda w: in_blocks("gpt_neox.layers.{}.attention.rotary_emb.inv_freq", torch.ones(4))(
            in_blocks("gpt_neox.layers.{}.attention.masked_bias", torch.tensor(-1e9))(
                in_blocks("gpt_neox.layers.{}.attention.bias", MASK.bool())(w)
            )
        ),
    ),
    "bloom-560m": ("bloom", renamed("transformer.", "")),
    "Llama-2": ("llama", in_blocks("model.layers.{}.self_attn.rotary_emb.inv_freq", torch.ones(4))),
    "phi-2": ("phi", in_blocks("model.layers.{}.self_attn.rotary_emb.inv_freq", torch.ones(4))),
    "opt, without a prefix": ("opt", renamed("model.", "")),
    "xglm": ("xglm", lambda w: w | {"model.embed_positions.weights": torch.ones(74, 16)}),
    "Gemma 3, the text model of a larger one": ("gemma3", lambda w: {f"language_model.{n}": t for n, t in w.items()}
    | {"vision_tower.encoder.layers.0.mlp.fc1.weight": torch.ones(3, 3)}),
    "mt5": ("mt5", t5_tables),
    "mt5, the encoder alone": ("mt5", lambda w: {n: t for n, t in w.items() if n.startswith(("shared", "encoder"))}),
    "nllb-200": ("m2m-100", m2m_tables),
    "mbart-50": ("mbart", lambda w: m2m_tables(w) | {"final_logits_bias": torch.zeros(1, 9)}),
}  # fmt: skip
PREFIXES = ["module._orig_mod.", "0.auto_model.", "model.", "encoder."]


@pytest.fixture(scope="module")
def published(make_checkpoint: Callable[..., Path]) -> Callable[[str], Path]:
    """The folder of an architecture's checkpoint as transformers writes it."""
    return cache(make_checkpoint)


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_published_file_is_read_as_the_same_model(
    published: Callable[[str], Path], tmp_path: Path, quirk: str
) -> None:
    name, change = QUIRKS[quirk]
    folder = copy(published(name), tmp_path / "it", change)
    assert torch.equal(hidden(folder), hidden(published(name)))


@pytest.mark.parametrize(
    ("prefix", "name"),
    [*((prefix, "bert") for prefix in PREFIXES), *(("_orig_mod.", name) for name in ("gpt2", "mt5", "m2m-100", "opt"))],
)
def test_a_wrapper_s_prefix_is_left_out(
    published: Callable[[str], Path], tmp_path: Path, prefix: str, name: str
) -> None:
    folder = copy(published(name), tmp_path / "it", lambda w: {prefix + n: t for n, t in w.items()})
    assert torch.equal(hidden(folder), hidden(published(name)))


def test_a_wrapper_s_prefix_before_a_pickle_s_and_a_language_model_s_weights(
    published: Callable[[str], Path], tmp_path: Path
) -> None:
    masks = in_blocks("transformer.h.{}.attn.masked_bias", torch.tensor(-1e4))
    masks_too = in_blocks("transformer.h.{}.attn.more.bias", MASK)  # whose name transformers does not know
    likelihoods = []
    for name, change in (("given", dict), ("it", lambda w: {f"_orig_mod.{n}": t for n, t in w.items()})):
        folder = copy(published("gpt2"), tmp_path / name, lambda w: change(masks_too(masks(w))))  # noqa: B023
        if name == "it":
            torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        assert torch.equal(hidden(folder), hidden(published("gpt2")))
        checkpoint = resolve_checkpoint(str(folder), allow_pickle=True)
        model = add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0)
        with torch.no_grad():
            likelihoods.append(model(IDS, torch.ones_like(IDS)))
    assert torch.equal(*likelihoods)


REFUSED: dict[str, tuple[str, Callable[[Weights], Weights], str]] = {
    # what is wrong: the architecture, what is done to its weights, and what is said
    "LoRA": (
        "bert",
        lambda w: w | {"bert.encoder.layer.0.attention.self.query.lora_A.weight": torch.zeros(2, 16)},
        "no place for its weights .*lora_A.weight; use the config.json .*, or merge them if they are an adapter's",
    ),
    "bottleneck adapters": (
        "bert",
        lambda w: w | {"bert.encoder.layer.1.output.adapters.de.adapter_down.0.weight": torch.eye(16)[:2]},
        "no place for its weights .*adapter_down",
    ),
    "one block more": (
        "gpt2",
        lambda w: w | {n.replace(".4.", ".5."): t for n, t in w.items() if ".h.4." in n},
        "no place for its weights transformer.h.5.attn.c_attn.weight",
    ),
    "a square of zeros": ("llama", in_blocks("model.layers.{}.self_attn.more", torch.zeros(8, 8)), "no place for its"),
    "a trained scalar": ("llama", in_blocks("model.layers.{}.gate", torch.tensor([1.0])), "no place for its weights"),
    "a mask that is none": ("gpt2", in_blocks("transformer.h.{}.more.bias", MASK + 0.5), "no place for its weights"),
    "another architecture": (
        "bert",
        lambda w: {n.replace("layer", "stage"): t for n, t in w.items() if "layer" in n},
        "none of its weights is one of a BertModel, which its config.json describes: they are bert.encoder.stage.0",
    ),
    "two of them": (
        "bert",
        lambda w: {side + n: t for side in ("query.", "passage.") for n, t in w.items()},
        r"are those of several models \(passage.bert.\*, query.bert.\*\); keep those of one",
    ),
    "cut short": (
        "bert",
        lambda w: {n: t for n, t in w.items() if "layer.4." not in n},
        "its weights lack encoder",
    ),
    "cut short behind a prefix": (
        "bert",
        lambda w: {f"module.{n}": t for n, t in w.items() if "layer.4." not in n},
        "its weights lack encoder.layer.4.*; get it again",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_that_may_be_of_another_model_are_refused(
    published: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    name, change, message = REFUSED[case]
    folder = copy(published(name), tmp_path / "it", change)
    with pytest.raises(UserError, match=f"checkpoint it: .*{message}"):
        hidden(folder)


def test_a_second_model_beside_the_first_is_left_out(published: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy(
        published("bert"), tmp_path / "it", lambda w: w | {f"teacher.{n}": t + 1 for n, t in w.items()}
    )  # fmt: skip
    assert torch.equal(hidden(folder), hidden(published("bert")))


def test_a_snapshot_of_links_is_read(published: Callable[[str], Path], tmp_path: Path) -> None:
    """As the Hub's cache keeps it: the files are links to others named by their content, and so may the folder be."""
    snapshot, blobs = tmp_path / "snapshots" / "0123", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(published("bert").iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs", str(number)))
    (tmp_path / "linked").symlink_to(snapshot)
    given = resolve_checkpoint(str(published("bert")))
    for folder in (snapshot, tmp_path / "linked"):
        found = resolve_checkpoint(str(folder))
        assert (found.weights_sha256, found.tokenizer_sha256) == (given.weights_sha256, given.tokenizer_sha256)
        assert torch.equal(hidden(folder), hidden(published("bert")))
        assert load_tokenizer(found).get_vocab() == load_tokenizer(given).get_vocab()


# Vocabularies


def tokenizer_of(
    folder: Path, to: Path, change: Callable[[PreTrainedTokenizerFast], object], **settings: Any
) -> Checkpoint:
    """The checkpoint with another tokenizer, and some other settings in its file."""
    shutil.copytree(folder, to)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(to)
    path = to / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return resolve_checkpoint(str(to))


def beyond(token: str, special: bool = True) -> Callable[[PreTrainedTokenizerFast], object]:
    """Add tokens until this one is beyond the three more that a model's table has."""
    fillers = [AddedToken(f"<filler{number}>", special=True) for number in range(3)]
    return lambda tokenizer: tokenizer.add_tokens([*fillers, AddedToken(token, special=special)])


IMAGE = "<image_soft_token>"
ENCODERS: dict[str, Callable[[PreTrainedTokenizerFast, str], object]] = {
    "words": lambda tokenizer, text: encode_words(tokenizer, [text.split()], 40),
    "texts": lambda tokenizer, text: encode_texts(tokenizer, [text], None, 40),
    "second texts": lambda tokenizer, text: encode_texts(tokenizer, ["a"], [text], 40),
    "passages": lambda tokenizer, text: tokenise(tokenizer, [text]),
    "likelihoods": lambda tokenizer, text: encode_for_likelihood(tokenizer, [text]),
    "sentences": lambda tokenizer, text: encode_sentences(tokenizer, [text], 40),
}


@pytest.mark.parametrize("name", ["gemma3", "xlm-roberta", "gpt2"])
def test_a_special_token_beyond_the_table_is_no_reason_to_refuse(
    published: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """Gemma 3's token for an image: the table has 262,144 rows, and the tokenizer 262,145 tokens."""
    checkpoint = tokenizer_of(published(name), tmp_path / "it", beyond(IMAGE))
    tokenizer, clean = load_tokenizer(checkpoint), load_tokenizer(resolve_checkpoint(str(published(name))))
    size = load_encoder(checkpoint, seed=0).get_input_embeddings().num_embeddings
    assert tokenizer.convert_tokens_to_ids(IMAGE) == size
    for encode in ENCODERS.values():
        assert encode(tokenizer, "On Monday <image> twelve") == encode(clean, "On Monday <image> twelve")
        with pytest.raises(UserError, match=rf"the text '.*On Monday.*holds '{IMAGE}', a token for which the"):
            encode(tokenizer, f"On Monday {IMAGE} twelve " + "euros " * 40)


def test_a_padding_token_beyond_the_table_is_not_used(published: Callable[[str], Path], tmp_path: Path) -> None:
    """Llama 2's fine-tuned kin: `[PAD]` has the number 32,000, and the table as many rows."""
    checkpoint = tokenizer_of(published("llama"), tmp_path / "it", beyond("[PAD]"), pad_token="[PAD]")
    assert load_tokenizer(checkpoint).pad_token == "</s>"
    del checkpoint
    checkpoint = tokenizer_of(
        published("llama"), tmp_path / "none", beyond("[PAD]"), pad_token="[PAD]", eos_token="[PAD]"
    )
    with pytest.raises(UserError, match="has no padding token and none that ends a text"):
        load_tokenizer(checkpoint)


def in_template(tokenizer: PreTrainedTokenizerFast) -> None:
    beyond("[BOS]")(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    number = tokenizer.convert_tokens_to_ids("[BOS]")
    state["post_processor"]["special_tokens"]["<s>"] |= {"ids": [number], "tokens": ["[BOS]"]}
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(state))


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (beyond("Donaudampfschiff", special=False), {}),
        (in_template, {}),
        (beyond("[UNK]"), {"unk_token": "[UNK]"}),
    ],
    ids=["a word that was added", "a token in front of every text", "the token for what is unknown"],
)
def test_a_token_that_text_may_be_must_have_an_embedding(
    published: Callable[[str], Path], tmp_path: Path, change: Any, settings: dict[str, str]
) -> None:
    checkpoint = tokenizer_of(published("llama"), tmp_path / "it", change, **settings)
    with pytest.raises(UserError, match=r"checkpoint it: its tokenizer gives tokens up to number \d+ \('.*'\)"):
        load_tokenizer(checkpoint)

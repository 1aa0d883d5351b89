"""Adapters as checkpoints. Truth: PEFT itself, loading the adapter onto the model that it was trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from tests.models.conftest import language_model, new_encoder
from xrealign_bench.errors import UserError
from xrealign_bench.models.adapters import add_adapter
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.config import load_config
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.language_model import add_output_layer
from xrealign_bench.models.quantisation import quantisation_options
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.specs import Adapter

IDS = torch.tensor([[8, 11, 12, 13, 14, 9]])


def trained_on(base: Path, head: bool) -> Any:
    config = AutoConfig.from_pretrained(base)
    return (language_model(config) if head else AutoModel).from_pretrained(base)


def write_adapter(base: Path, folder: Path, head: bool = True, **settings: Any) -> Path:
    """Save an adapter with random weights, with PEFT."""
    torch.manual_seed(4)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, **settings)
    get_peft_model(trained_on(base, head), config).save_pretrained(folder)
    return folder


def states(encoder: Any) -> torch.Tensor:
    with torch.no_grad():
        hidden: torch.Tensor = encoder(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
        return hidden


@pytest.mark.parametrize(
    ("name", "head"),
    [
        *((name, True) for name in ("bert", "modernbert", "llama", "gpt2", "mt5", "m2m-100")),
        *((name, False) for name in ("bert", "llama", "mt5")),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in ("xlm-roberta", "bloom")),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in ("modernbert", "gpt2", "m2m-100")),
    ],
)
def test_it_is_merged_as_peft_merges_it(
    checkpoints: dict[str, Checkpoint], name: str, head: bool, tmp_path: Path
) -> None:
    base = checkpoints[name]
    folder = write_adapter(base.folder, tmp_path / "adapter", head)
    whole = PeftModel.from_pretrained(trained_on(base.folder, head), folder).merge_and_unload().eval()
    plain = getattr(whole, whole.base_model_prefix, whole)
    expected = states(plain.get_encoder() if plain.config.is_encoder_decoder else plain)
    adapted = resolve_checkpoint(str(folder))
    assert torch.allclose(states(load_encoder(adapted, seed=0)), expected, atol=1e-6)
    assert not torch.allclose(states(new_encoder(base)), expected, atol=1e-3)
    assert (adapted.id, adapted.adapter, adapted.folder) == ("adapter", folder, base.folder)
    assert adapted.weights_sha256 != base.weights_sha256 and adapted.config_sha256 != base.config_sha256
    assert adapted.tokenizer_sha256 == base.tokenizer_sha256


LINEAR = {"target_modules": ["query", "value"]}
OTHERS = [
    LoHaConfig(r=2, init_weights=False, **LINEAR),
    LoKrConfig(r=2, init_weights=False, **LINEAR),
    IA3Config(feedforward_modules=[], init_ia3_weights=False, **LINEAR),
    VeraConfig(r=2, init_weights=False, **LINEAR),
    OFTConfig(oft_block_size=4, init_weights=False, **LINEAR),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: str(config.peft_type.value))
def test_other_kinds_are_merged_too(checkpoints: dict[str, Checkpoint], config: PeftConfig, tmp_path: Path) -> None:
    base = checkpoints["bert"]
    torch.manual_seed(4)
    get_peft_model(trained_on(base.folder, True), config).save_pretrained(tmp_path / "adapter")
    whole = PeftModel.from_pretrained(trained_on(base.folder, True), tmp_path / "adapter").merge_and_unload().eval()
    found = states(load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0))
    assert torch.allclose(found, states(getattr(whole, whole.base_model_prefix)), atol=1e-5)
    assert not torch.allclose(found, states(new_encoder(base)), atol=1e-3)


def test_a_base_model_beside_the_adapter_is_found(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(checkpoints["bert"].folder, tmp_path / "base")
    folder = write_adapter(tmp_path / "base", tmp_path / "adapter")
    change(folder, base_model_name_or_path="../base")
    assert resolve_checkpoint(str(folder)).folder == (tmp_path / "base").resolve()


def change(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


BAD: dict[str, tuple[Callable[[Path, dict[str, Checkpoint]], object], str]] = {
    "no weights": (
        lambda f, _: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
        r"has an adapter_config.json but no adapter_model.safetensors; add it \(a pickle",
    ),
    "no base": (lambda f, _: change(f, base_model_name_or_path=None), "names no base_model_name_or_path"),
    "base is gone": (
        lambda f, _: change(f, base_model_name_or_path="./nowhere"),
        "is an adapter, and its base model is not available: checkpoint ./nowhere: there is no such folder",
    ),
    "another size": (
        lambda f, c: change(f, base_model_name_or_path=str(c["electra"].folder)),
        "the adapter is for another base model: .* and .* more don't fit",
    ),
    "another architecture": (
        lambda f, c: change(f, base_model_name_or_path=str(c["llama"].folder), target_modules=["query"]),
        "the adapter is for another base model: .*query",
    ),
    "an adapter's adapter": (
        lambda f, _: change(f, base_model_name_or_path=str(shutil.copytree(f, f.parent / "first"))),
        "is an adapter of an adapter",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_adapters_that_do_not_fit(checkpoints: dict[str, Checkpoint], case: str, tmp_path: Path) -> None:
    folder = write_adapter(checkpoints["bert"].folder, tmp_path / "adapter")
    spoil, message = BAD[case]
    spoil(folder, checkpoints)
    with pytest.raises(UserError, match=message):
        load_encoder(resolve_checkpoint(str(folder)), seed=0)


def test_prompts_can_not_be_merged(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(trained_on(checkpoints["llama"].folder, True), config).save_pretrained(tmp_path / "prompt")
    with pytest.raises(UserError, match="PROMPT_TUNING adds to the text and can't be merged"):
        load_encoder(resolve_checkpoint(str(tmp_path / "prompt")), seed=0)


# --- every setting of LoRA, on the class that it was trained on ---------------------------------------------------

CLASSES = {
    None: language_model,
    "SEQ_CLS": lambda _: AutoModelForSequenceClassification,
    "TOKEN_CLS": lambda _: AutoModelForTokenClassification,
    "QUESTION_ANS": lambda _: AutoModelForQuestionAnswering,
    "FEATURE_EXTRACTION": lambda _: AutoModel,
}
LLAMA: dict[str, dict[str, Any]] = {
    "alpha by full name": {"alpha_pattern": {"model.layers.0.self_attn.q_proj": 256}},
    "alpha by suffix": {"alpha_pattern": {"layers.0.self_attn.q_proj": 256}},
    "rank by full name": {"rank_pattern": {"^model.layers.0.self_attn.q_proj": 4, "k_proj": 1}},
    "full names": {"target_modules": ["model.layers.1.self_attn.q_proj", "layers.2.mlp.up_proj"]},
    "pattern": {"target_modules": r"model\.layers\.[13]\..*(q|k)_proj"},
    "all-linear": {"target_modules": "all-linear"},
    "exclude": {"exclude_modules": r"model\.layers\.0\..*"},
    "exclude by name": {"exclude_modules": ["model.layers.0.self_attn.q_proj"]},
    "layers": {"layers_to_transform": [1, 2]},
    "layers by pattern": {"layers_to_transform": 3, "layers_pattern": ["layers"]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "output layer": {"target_modules": ["q_proj", "lm_head"]},
    "both": {"target_modules": ["embed_tokens", "lm_head"]},
    "both as one": {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True},
    "saved embeddings": {"modules_to_save": ["embed_tokens"]},
    "saved output layer": {"modules_to_save": ["lm_head"]},
    "saved both": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "saved as one": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "saved norms": {"modules_to_save": ["norm", "input_layernorm"]},
    "tokens": {"trainable_token_indices": [8, 11]},
    "tokens of both": {"trainable_token_indices": {"embed_tokens": [8, 11], "lm_head": [3, 11]}},
    "DoRA": {"use_dora": True},
    "rank-stabilised": {"use_rslora": True},
    "biases": {"bias": "all"},
    "PiSSA": {"init_lora_weights": "pissa"},
    "classifier": {"task_type": "SEQ_CLS", "alpha_pattern": {"model.layers.0.self_attn.q_proj": 256}},
    "headless": {"task_type": "FEATURE_EXTRACTION", "alpha_pattern": {"layers.0.self_attn.q_proj": 256}},
}
BERT: dict[str, dict[str, Any]] = {
    "alpha by full name": {"alpha_pattern": {"bert.encoder.layer.0.attention.self.query": 256}},
    "biases": {"bias": "lora_only", "target_modules": ["query", "dense"]},
    "all-linear": {"target_modules": "all-linear", "bias": "all"},
    "bias of LoRA": {"lora_bias": True},
    "saved": {"modules_to_save": ["word_embeddings", "LayerNorm"]},
    "layers": {"layers_to_transform": [1, 2]},
    "tokens": {"trainable_token_indices": {"word_embeddings": [8, 9]}},
    "classifier": {"task_type": "SEQ_CLS", "target_modules": ["query", "dense"]},
    "tagger": {"task_type": "TOKEN_CLS", "target_modules": r"bert\..*\.query"},
    "question answering": {"task_type": "QUESTION_ANS"},
    "headless with pooler": {"task_type": "FEATURE_EXTRACTION", "target_modules": ["dense"]},
}
OTHER: dict[str, dict[str, Any]] = {
    "gpt2": {"target_modules": ["c_attn", "wte"], "fan_in_fan_out": True},
    "opt": {"target_modules": "all-linear", "modules_to_save": ["lm_head"]},
    "mt5": {"target_modules": ["q"], "alpha_pattern": {"encoder.block.0.layer.0.SelfAttention.q": 99},
            "modules_to_save": ["shared"]},
    "modernbert": {"target_modules": ["Wqkv"], "alpha_pattern": {"model.layers.0.attn.Wqkv": 99}},
}  # fmt: skip
TIED = ["embeddings", "output layer", "both", "both as one", "saved embeddings", "saved output layer", "saved both",
        "saved as one", "tokens", "tokens of both"]  # fmt: skip
CASES = [
    *(("llama", name, settings) for name, settings in LLAMA.items() if name not in TIED),
    *(("tied", name, LLAMA[name]) for name in TIED),
    *(("bert", name, settings) for name, settings in BERT.items()),
    *((base, "", settings) for base, settings in OTHER.items()),
]
SLOW = [
    *(("llama", name) for name in ("alpha by suffix", "full names", "all-linear", "exclude by name", "layers")),
    *(("llama", name) for name in ("layers by pattern", "rank-stabilised")),
    *(("tied", name) for name in ("output layer", "saved output layer", "tokens")),
    *(("bert", name) for name in ("alpha by full name", "biases", "layers", "tagger")),
]
"""Settings of which another case has the like."""


@pytest.fixture(scope="session")
def bases(checkpoints: dict[str, Checkpoint], make_checkpoint: Callable[..., Path]) -> dict[str, Path]:
    tied = {"tied": make_checkpoint("llama", tie_word_embeddings=True)}
    return {name: checkpoint.folder for name, checkpoint in checkpoints.items()} | tied


def train_adapter(
    base: Path, folder: Path, rows: int | None = None, labels: int | None = None, **settings: Any
) -> tuple[Any, torch.Tensor]:
    """Write an adapter as training might leave it. PEFT's model as it was trained, and its hidden states."""
    torch.manual_seed(4)
    kind = settings.get("task_type")
    more = {} if labels is None else {"num_labels": labels}
    whole = CLASSES[kind](AutoConfig.from_pretrained(base)).from_pretrained(base, **more)
    if rows is not None:
        whole.resize_token_embeddings(rows)
    default = ["query"] if hasattr(whole, "bert") or base.name.startswith("bert") else ["q_proj"]
    given = {"r": 2, "lora_alpha": 8, "init_lora_weights": False, "target_modules": default, **settings}
    adapted = get_peft_model(whole, LoraConfig(**given)).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn_like(parameter)
    adapted.save_pretrained(folder)
    return adapted, states(whole.get_encoder() if whole.config.is_encoder_decoder else whole.base_model)


def likelihoods(adapted: Any) -> torch.Tensor:
    with torch.no_grad():
        logits = adapted(input_ids=IDS).logits.log_softmax(-1)
    return logits[0, :-1].gather(-1, IDS[0, 1:, None])[:, 0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "case", "settings"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[:2] in SLOW else []) for case in CASES],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_applied_as_it_was_trained(
    bases: dict[str, Path], tmp_path: Path, name: str, case: str, settings: dict[str, Any]
) -> None:
    """The hidden states are those of PEFT's model in training; of a language model, the likelihoods too."""
    adapted, expected = train_adapter(bases[name], tmp_path / "adapter", **settings)
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    encoder = load_encoder(checkpoint, seed=0)
    assert torch.allclose(states(encoder), expected, atol=1e-4)
    fresh = new_encoder(resolve_checkpoint(str(bases[name])))
    assert not torch.allclose(states(fresh), expected, atol=1e-4)
    assert fresh.state_dict().keys() == encoder.state_dict().keys()
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    if checkpoint.family == "decoder" and "task_type" not in settings:
        model = add_output_layer(checkpoint, encoder, random=False, seed=0)
        with torch.no_grad():
            found = model(IDS, torch.ones_like(IDS))[0]
        assert torch.allclose(found, likelihoods(adapted), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ["alpha by full name", "saved norms", "DoRA", "all-linear"])
@pytest.mark.parametrize("name", ["tied"])
def test_the_weights_are_those_of_pefts_merge(bases: dict[str, Path], tmp_path: Path, name: str, case: str) -> None:
    train_adapter(bases[name], tmp_path / "adapter", **LLAMA[case])
    base = AutoModelForCausalLM.from_pretrained(bases[name])
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload()
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    found = add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0).whole.state_dict()
    assert found.keys() == merged.state_dict().keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in merged.state_dict().items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("case", "stays"), [("all-linear", True), ("tokens", True), ("saved as one", True),
                                             ("embeddings", False), ("saved embeddings", False)])  # fmt: skip
def test_what_is_one_tensor_after_merging_stays_one(
    bases: dict[str, Path], tmp_path: Path, case: str, stays: bool
) -> None:
    train_adapter(bases["tied"], tmp_path / "adapter", **LLAMA[case])
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    encoder = load_encoder(checkpoint, seed=0)
    whole: Any = add_output_layer(checkpoint, encoder, random=False, seed=0).whole
    assert (whole.lm_head.weight is encoder.get_input_embeddings().weight) == stays


def test_a_head_of_another_size_is_left_out(bases: dict[str, Path], tmp_path: Path) -> None:
    _, expected = train_adapter(bases["bert"], tmp_path / "adapter", labels=9, task_type="SEQ_CLS")
    assert torch.allclose(states(load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)), expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "more", "case"),
    [("llama", 5, "saved norms"), ("llama", 5, "saved both"), ("llama", -3, "both"), ("llama", 5, "tokens"),
     ("tied", 5, "saved norms"), ("tied", 5, "saved both"), ("tied", -3, "saved norms"), ("tied", 5, "tokens")],
)  # fmt: skip
def test_embeddings_of_another_size(bases: dict[str, Path], tmp_path: Path, name: str, more: int, case: str) -> None:
    settings = LLAMA[case]
    rows = AutoConfig.from_pretrained(bases[name]).vocab_size + more
    adapted, expected = train_adapter(bases[name], tmp_path / "adapter", rows=rows, **settings)
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    encoder = load_encoder(checkpoint, seed=0)
    assert torch.allclose(states(encoder), expected, atol=1e-5)
    assert encoder.get_input_embeddings().num_embeddings == rows == load_config(checkpoint).vocab_size
    model = add_output_layer(checkpoint, encoder, random=False, seed=0)
    with torch.no_grad():
        assert torch.allclose(model(IDS, torch.ones_like(IDS))[0], likelihoods(adapted), atol=1e-4)
    random = load_encoder(checkpoint, initialisation="random", seed=0)
    assert random.get_input_embeddings().num_embeddings == rows


@pytest.mark.filterwarnings("ignore")
def test_new_tokens_without_weights_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    """PEFT does not save an untied output layer where the embeddings are a target."""
    rows = AutoConfig.from_pretrained(bases["llama"]).vocab_size + 5
    train_adapter(bases["llama"], tmp_path / "adapter", rows=rows, **LLAMA["embeddings"])
    with pytest.raises(UserError, match=r"adapter was trained with \d+ embeddings instead .* lacks those of lm_head;"):
        load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "alora_invocation_tokens": ({"alora_invocation_tokens": [4, 5]}, r"sets alora_invocation_tokens, and such an"),
    "layer_replication": ({"layer_replication": [[0, 2], [1, 5]]}, "sets layer_replication, and such an adapter"),
    "unknown": ({"use_more": {"a": 1}}, r"adapter_config.json sets use_more to \{'a': 1\}, which .* update peft"),
    "task_type": ({"task_type": "MORE"}, r"PEFT can't read .*adapter_config.json: Invalid task type: 'MORE'"),
    "peft_type": ({"peft_type": "MORE"}, r"PEFT can't read .*adapter_config.json: 'MORE'"),
    "target_modules": ({"target_modules": ["nothing"]}, r"another base model: Target modules .*nothing"),
    "modules_to_save": ({"modules_to_save": ["norm"]}, r"layernorm.weight.* don't fit; .*modules_to_save"),
    "bias": ({"bias": "all"}, r"\.bias, .* don't fit; .* or bias in its adapter_config.json"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_merged_is_refused_by_its_name(bases: dict[str, Path], tmp_path: Path, case: str) -> None:
    changes, message = REFUSED[case]
    base = bases["bert" if case == "bias" else "llama"]
    train_adapter(base, tmp_path / "adapter")
    change(tmp_path / "adapter", **changes)
    with pytest.raises(UserError, match=message):
        load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)


def test_lora_biases_of_layers_without_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    train_adapter(bases["llama"], tmp_path / "adapter", lora_bias=True)
    with pytest.raises(UserError, match=r"PEFT can't merge its adapter: .*lora_bias=True"):
        load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)


def test_fields_of_newer_versions_that_are_not_set_do_no_harm(bases: dict[str, Path], tmp_path: Path) -> None:
    _, expected = train_adapter(bases["llama"], tmp_path / "adapter")
    change(tmp_path / "adapter", use_more=None, more_config={}, inference_mode=False, peft_version="99.0")
    assert torch.allclose(states(load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0)), expected)


def test_the_tensors_names_tell_the_class_where_the_configuration_does_not(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """Trained without a head, and called a classifier; or without any class at all."""
    _, expected = train_adapter(bases["llama"], tmp_path / "adapter", task_type="FEATURE_EXTRACTION")
    for changes in ({"task_type": "SEQ_CLS"}, {"task_type": None}, {"auto_mapping": {"base_model_class": "Own"}}):
        change(tmp_path / "adapter", **changes)
        found = states(load_encoder(resolve_checkpoint(str(tmp_path / "adapter")), seed=0))
        assert torch.allclose(found, expected, atol=1e-6)


def test_a_second_adapter_does_not_replace_one_beside_quantised_weights(bases: dict[str, Path]) -> None:
    encoder = AutoModel.from_pretrained(bases["llama"])
    add_adapter(encoder, Adapter(r=2))
    with pytest.raises(UserError, match="adapter: the checkpoint is an adapter itself"):
        add_adapter(encoder, Adapter(r=2))


@pytest.mark.parametrize("case", ["alpha by full name", "saved both", "both", "tokens"])
@pytest.mark.filterwarnings("ignore")
def test_beside_quantised_weights_it_computes_what_peft_computes(
    bases: dict[str, Path], tmp_path: Path, case: str
) -> None:
    train_adapter(bases["tied"], tmp_path / "adapter", **LLAMA[case])
    bits = quantisation_options("8bit", torch.device("cpu"), "float32")
    whole = AutoModelForCausalLM.from_pretrained(bases["tied"], dtype=torch.float32, **bits)
    expected = likelihoods(PeftModel.from_pretrained(whole, tmp_path / "adapter").eval())
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    encoder = load_encoder(checkpoint, seed=0, quantisation=bits)
    model = add_output_layer(checkpoint, encoder, random=False, seed=0, quantisation=bits)
    with torch.no_grad():
        assert torch.allclose(model(IDS, torch.ones_like(IDS))[0], expected, atol=1e-4)


# --- an adapter's own tokenizer -----------------------------------------------------------------------------------


def own_tokenizer(base: Path, folder: Path, add: int = 0, **settings: Any) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens([f"<new{number}>" for number in range(add)])
    if settings:
        tokenizer.backend_tokenizer.enable_truncation(**settings)
    tokenizer.save_pretrained(folder)
    return tokenizer


def test_a_copy_of_the_base_models_tokenizer_changes_nothing(bases: dict[str, Path], tmp_path: Path) -> None:
    """Nor does a limit of length or another token that pads, which trainers leave in it."""
    train_adapter(bases["llama"], tmp_path / "adapter")
    base = resolve_checkpoint(str(bases["llama"]))
    plain = resolve_checkpoint(str(tmp_path / "adapter"))
    for settings in ({}, {"max_length": 16}):
        own_tokenizer(bases["llama"], tmp_path / "adapter", **settings)
        assert resolve_checkpoint(str(tmp_path / "adapter")) == plain
    assert plain.tokenizer is None and plain.tokenizer_sha256 == base.tokenizer_sha256


def test_added_tokens_are_read_with_the_adapters_own_embeddings(bases: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = own_tokenizer(bases["llama"], tmp_path / "adapter", add=9)
    _, _ = train_adapter(bases["llama"], tmp_path / "adapter", rows=len(tokenizer), **LLAMA["saved both"])
    checkpoint = resolve_checkpoint(str(tmp_path / "adapter"))
    assert checkpoint.tokenizer == tmp_path / "adapter"
    assert checkpoint.tokenizer_sha256 != resolve_checkpoint(str(bases["llama"])).tokenizer_sha256
    found = load_tokenizer(checkpoint)
    assert found("a <new8>")["input_ids"] == tokenizer("a <new8>")["input_ids"]
    assert len(tokenizer) - 1 in found("a <new8>")["input_ids"]


def test_added_tokens_without_embeddings_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    own_tokenizer(bases["llama"], tmp_path / "adapter", add=9)
    train_adapter(bases["llama"], tmp_path / "adapter")
    with pytest.raises(UserError, match=r"gives tokens up to number \d+ .*, but the model has only \d+ embedd"):
        load_tokenizer(resolve_checkpoint(str(tmp_path / "adapter")))


def test_a_tokenizer_that_can_not_be_read_is_not_passed_over(bases: dict[str, Path], tmp_path: Path) -> None:
    train_adapter(bases["llama"], tmp_path / "adapter")
    (tmp_path / "adapter" / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"the tokenizer in .*adapter, or that of its base model, can't be loaded"):
        resolve_checkpoint(str(tmp_path / "adapter"))

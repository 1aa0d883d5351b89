"""Loading. Truth: what was written into the checkpoint, and plain transformers."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights, save_weights


@pytest.fixture
def folder(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["bert"].folder, tmp_path / "tiny"))


def load(folder: Path) -> torch.nn.Module:
    return load_encoder(resolve_checkpoint(str(folder)), seed=0)


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_as_it_is_used(checkpoint: Checkpoint) -> None:
    encoder = load_encoder(checkpoint, seed=0)
    assert not encoder.training
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in encoder.parameters())
    assert not any("pooler" in name for name, _ in encoder.named_parameters())


def test_half_precision_weights_are_read_as_single(folder: Path) -> None:
    edit_weights(folder, lambda w: w.update({k: t.half() for k, t in w.items()}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    checkpoint = resolve_checkpoint(str(folder))
    for encoder in (load(folder), load_encoder(checkpoint, initialisation="random", seed=0)):
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    stored = load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(load(folder).get_input_embeddings().weight, stored.float())


def test_attention_is_torch_s_own(checkpoints: dict[str, Checkpoint]) -> None:
    assert load_encoder(checkpoints["bert"], seed=0).config._attn_implementation == "sdpa"


@pytest.mark.distinct_families
def test_random_weights_are_the_seed_s_alone(checkpoint: Checkpoint) -> None:
    def draw(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(99)
        state = load_encoder(checkpoint, initialisation="random", seed=seed).state_dict()
        assert torch.equal(torch.rand(1), expected)  # the generator was left alone
        return state

    torch.manual_seed(99)
    expected = torch.rand(1)
    one, again, other = draw(5), draw(5), draw(6)
    stored = load_encoder(checkpoint, seed=1).state_dict()
    name = next(n for n, t in one.items() if t.dim() == 2)
    assert all(torch.equal(one[n], again[n]) for n in one)
    assert not torch.equal(one[name], other[name]) and not torch.equal(one[name], stored[name])


@pytest.mark.distinct_families
def test_saved_weights_replace_the_checkpoint_s(checkpoint: Checkpoint, tmp_path: Path) -> None:
    encoder = load_encoder(checkpoint, seed=0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.25)
    save_weights(encoder, tmp_path / "encoder.safetensors")
    again = load_encoder(checkpoint, seed=0, weights=tmp_path / "encoder.safetensors")
    ids = torch.tensor([[2, 11, 12, 3]])
    with torch.no_grad():
        one, other = (e(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state for e in (encoder, again))
    assert torch.equal(one, other)
    assert all(torch.equal(p, q) for p, q in zip(encoder.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("embeddings.word_embeddings.weight"), "embeddings.word_embeddings.weight don't fit"),
        (lambda w: w.update(other=torch.zeros(1)), "of another model: other don't fit"),
        (lambda w: w.update({"embeddings.LayerNorm.weight": torch.zeros(3)}), "embeddings.LayerNorm.weight don't fit"),
    ],
)
def test_saved_weights_must_fit_exactly(
    checkpoints: dict[str, Checkpoint],
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], object],
    message: str,
) -> None:
    encoder = load_encoder(checkpoints["bert"], seed=0)
    state = dict(encoder.state_dict())
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        load_encoder(checkpoints["bert"], seed=0, weights=tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"xx")
    with pytest.raises(UserError, match=r"w.safetensors can't be read"):
        load_weights(encoder, tmp_path / "w.safetensors")


def test_missing_weights_are_never_random(folder: Path) -> None:
    edit_weights(folder, lambda w: [w.pop(k) for k in list(w) if ".layer.3." in k])
    with pytest.raises(UserError, match=r"weights lack encoder.layer.3.attention.*, .* and 11 more; get it again"):
        load(folder)


def test_weights_of_other_shapes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 20}))
    with pytest.raises(UserError, match=r"of its weights, encoder.layer.0.*\(24, 16\).* don't fit its config.json"):
        load(folder)


def test_blocks_that_the_configuration_leaves_out(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"config.json has no place for its weights .*encoder.layer.3.* and 27 more"):
        load(folder)


def test_a_configuration_that_transformers_refuses(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "big"}))
    with pytest.raises(UserError, match=r"checkpoint tiny: its config.json is refused"):
        load(folder)


def test_loading_says_nothing(checkpoints: dict[str, Checkpoint], capfd: pytest.CaptureFixture[str]) -> None:
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = said.append  # type: ignore[method-assign]
    library = logging.getLogger("transformers")
    library.addHandler(handler)
    try:
        AutoModel.from_pretrained(checkpoints["bert"].folder)
        assert said  # about the head that is left out
        capfd.readouterr()
        said.clear()
        before = library.level
        load_tokenizer(checkpoints["bert"])
        load_encoder(checkpoints["bert"], seed=0)
        assert said == [] and capfd.readouterr() == ("", "")
        assert library.level == before
        assert transformers.utils.logging.is_progress_bar_enabled()
    finally:
        library.removeHandler(handler)


def test_more_tokens_than_embeddings(folder: Path) -> None:
    tokenizer = load_tokenizer(resolve_checkpoint(str(folder)))
    tokenizer.add_tokens([f"new{n}" for n in range(10)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match=r"tokens up to number 209 \('new9'\), but the model has only 203 embeddings"):
        load_tokenizer(resolve_checkpoint(str(folder)))


def test_no_padding_token(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="has no padding token"):
        load_tokenizer(resolve_checkpoint(str(folder)))


def test_damaged_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="checkpoint tiny: its tokenizer can't be loaded"):
        load_tokenizer(resolve_checkpoint(str(folder)))


def test_a_vocabulary_of_another_class(folder: Path) -> None:
    """Transformers makes a tokenizer of special tokens alone where it doesn't find the file that it looks for."""
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match="its tokenizer has no vocabulary"):
        load_tokenizer(resolve_checkpoint(str(folder)))


def test_positions_bound_the_tokenizer(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 10**30}))
    assert load_tokenizer(resolve_checkpoint(str(folder))).model_max_length == 72


TEXT = "Das HAUS in Zürich 2003: 650841823 Euro, don't! 東京 मार्च"


def set_tokenizer_class(folder: Path, name: str | None, **settings: object) -> None:
    path = folder / "tokenizer_config.json"
    written = json.loads(path.read_text()) | {"tokenizer_class": name} | settings
    path.write_text(json.dumps({field: value for field, value in written.items() if value is not None}))


@pytest.mark.parametrize(
    ("name", "tokenizer_class", "settings"),
    [
        ("bert", None, {}),  # lower-cases by default
        ("qwen2", "PreTrainedTokenizerFast", {}),  # another class is taken for the type of model
        ("roberta", "BertTokenizer", {"do_lower_case": False}),
        ("xlm-roberta", "LlamaTokenizerFast", {}),
        ("bloom", "LlamaTokenizer", {}),
    ],
)
def test_text_is_split_by_the_rules_of_tokenizer_json(
    checkpoints: dict[str, Checkpoint],
    tmp_path: Path,
    name: str,
    tokenizer_class: str | None,
    settings: dict[str, object],
) -> None:
    """Whatever class is named: transformers replaces rules of the file with those of some classes."""
    folder = Path(shutil.copytree(checkpoints[name].folder, tmp_path / name))
    set_tokenizer_class(folder, tokenizer_class, **settings)
    tokenizer = load_tokenizer(resolve_checkpoint(str(folder)))
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer(TEXT)["input_ids"] == written.encode(TEXT).ids
    assert (tokenizer.pad_token, tokenizer.model_max_length) == (load_tokenizer(checkpoints[name]).pad_token, 64)


def test_a_rule_that_the_settings_name_counts(folder: Path) -> None:
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for lower in (False, True):
        set_tokenizer_class(folder, "BertTokenizer", do_lower_case=lower, strip_accents=False)
        tokenizer = load_tokenizer(resolve_checkpoint(str(folder)))
        expected = written.encode(TEXT.lower() if lower else TEXT, add_special_tokens=False).ids
        assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == expected


def test_outputs_have_names_whatever_the_configuration_says(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"return_dict": False}))
    ids = torch.tensor([[2, 11, 12, 3]])
    assert load(folder)(input_ids=ids).last_hidden_state.shape == (1, 4, 16)


def test_a_model_without_a_table_of_positions_bounds_nothing(folder: Path) -> None:
    """XLNet's configuration says -1."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": -1}))
    assert load_tokenizer(resolve_checkpoint(str(folder))).model_max_length == 64

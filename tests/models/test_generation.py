"""Greedy generation. Truth: transformers' own `generate`, a prompt at a time, and a model whose next token is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import AutoModelForCausalLM, GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.models.test_language_model import DECODERS
from xrealign_bench.errors import UserError
from xrealign_bench.models.checkpoint import Checkpoint
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.generation import generate_lines
from xrealign_bench.models.language_model import LanguageModel, add_output_layer
from xrealign_bench.models.tokenizer import load_tokenizer

QUICK = ("bloom", "gpt2", "gemma3")
"""Families that learn where a token stands in different ways: biases on attention, position embeddings, rotations."""
CPU = torch.device("cpu")
TEXTS = ["On Monday", "On the 17th of March twelve euros", "fifty", "Der Montag, 17. März 2003, kostet"]
WORDS = ["<s>", "</s>", "<unk>", "a", "b", "c", "\n", "d", "e\r\n"]
NEXT = {"a": "b", "b": "c", "c": "\n", "\n": "d", "d": "</s>", "</s>": "a", "<s>": "e\r\n", "e\r\n": "a", "<unk>": "a"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in DECODERS]
)
def test_batches_and_padding_change_no_answer(checkpoints: dict[str, Checkpoint], name: str) -> None:
    checkpoint = checkpoints[name]
    tokenizer = load_tokenizer(checkpoint)
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS]
    assert len({len(ids) for ids in prompts}) > 2
    whole = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    expected = []
    for ids in prompts:
        options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8, "pad_token_id": tokenizer.pad_token_id}
        written = whole.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(), **options)
        text = tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True)
        expected.append(text.strip().splitlines()[0].strip() if text.strip() else "")
    assert len(set(expected)) > 1
    model = add_output_layer(checkpoint, load_encoder(checkpoint, seed=0), random=False, seed=0)
    for size in (1, 10_000):
        assert generate_lines(model, tokenizer, prompts, 8, device=CPU, tokens_per_batch=size) == expected


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(tokenizer_models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


@pytest.fixture
def chain() -> LanguageModel:
    """A model without blocks that writes the word of `NEXT` behind each word."""
    size = len(WORDS)
    config = GPT2Config(
        vocab_size=size, n_embd=size, n_layer=0, n_head=1, n_positions=16, tie_word_embeddings=False,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    whole = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        whole.transformer.wte.weight.copy_(torch.eye(size))
        whole.transformer.wpe.weight.zero_()
        whole.lm_head.weight.zero_()
        for word, following in NEXT.items():
            whole.lm_head.weight[WORDS.index(following), WORDS.index(word)] = 1.0
    return LanguageModel(whole, whole.transformer)


def write(model: LanguageModel, tokenizer: Any, words: list[str], longest: int = 6) -> list[str]:
    prompts = [[WORDS.index(word) for word in text.split(" ")] for text in words]
    return generate_lines(model, tokenizer, prompts, longest, device=CPU)


def test_an_answer_ends_with_its_line_or_its_text(chain: LanguageModel, tokenizer: Any) -> None:
    assert write(chain, tokenizer, ["a", "b c a b", "c", "\n", "<s>"]) == ["b c", "c", "", "d", "e"]
    assert write(chain, tokenizer, ["a"], longest=1) == ["b"]


def test_generation_stops_when_every_line_has_ended(chain: LanguageModel, tokenizer: Any) -> None:
    """Of 15 positions 3 are used."""
    assert write(chain, tokenizer, ["b"], longest=500) == ["c"]


def test_the_checkpoints_settings_of_generation_have_no_effect(chain: LanguageModel, tokenizer: Any) -> None:
    whole: Any = chain.whole
    own = GenerationConfig(do_sample=True, temperature=9.0, num_beams=3, suppress_tokens=[WORDS.index("b")])
    whole.generation_config = own
    assert write(chain, tokenizer, ["a", "b"]) == ["b c", "c"]
    assert whole.generation_config is own


def test_tokens_that_end_a_text_are_also_the_checkpoints(chain: LanguageModel, tokenizer: Any) -> None:
    whole: Any = chain.whole
    whole.generation_config.eos_token_id = [WORDS.index("c"), WORDS.index("</s>")]
    assert write(chain, tokenizer, ["a", "\n"]) == ["b", "d"]


def test_likelihoods_that_are_not_finite_are_refused(chain: LanguageModel, tokenizer: Any) -> None:
    whole: Any = chain.whole
    with torch.no_grad():
        whole.lm_head.weight[WORDS.index("c")] = float("nan")
    with pytest.raises(UserError, match="the likelihoods of tokens that the model computes in float32 are not all"):
        write(chain, tokenizer, ["a"])

"""Pre-train three small decoders (Llama, BLOOM, XGLM), each with a tokenizer of its family, for a few minutes.

They serve to benchmark the harness with decoders on a machine without pre-trained ones. They are too small and too
little trained for any conclusion about decoders. The text is NTREX in all languages, from a data root.

    python benchmarks/make_decoders.py --data-root ./hub --output ./decoders --steps 400
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tqdm import trange
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from xrealign_bench.data import load_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.specs import Corpus, find_spec

VOCABULARY, WIDTH, BLOCKS, HEADS = 8_000, 128, 4, 4
BATCH, TOKENS = 8, 64
SIZES: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS, "max_position_embeddings": 512,
    },
    "bloom": {"hidden_size": WIDTH, "n_layer": BLOCKS, "n_head": HEADS},
    "xglm": {
        "d_model": WIDTH, "ffn_dim": 4 * WIDTH, "num_layers": BLOCKS, "attention_heads": HEADS,
        "max_position_embeddings": 512,
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    texts = read_texts(given.data_root)
    for family in SIZES:
        tokenizer = train_tokenizer(family, texts)
        torch.manual_seed(0)
        special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
        config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **special, **SIZES[family])
        model = AutoModelForCausalLM.from_config(config)
        pretrain(model, tokenizer, texts, given.steps, family)
        model.save_pretrained(given.output / family)
        tokenizer.save_pretrained(given.output / family)


def read_texts(data_root: Path) -> list[str]:
    corpus = find_spec("ntrex", Corpus)
    texts: list[str] = []
    for language in corpus.columns:
        if language != "en":
            pairs = load_pairs(corpus, "en", language, DataLocation(data_root, offline=True), limit=None)
            texts += [" ".join(words) for words in pairs.target_words]
    return texts


def train_tokenizer(family: str, texts: list[str]) -> PreTrainedTokenizerFast:
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    if family == "bloom":  # byte-level BPE, no special token at the start
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    elif family == "llama":  # BPE with byte fallback, <s> at the start
        backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        rare = [f"<0x{number:02X}>" for number in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[*special, *rare], limit_alphabet=3000, show_progress=False
        )
    else:  # SentencePiece unigram, </s> at the start
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizers.NFKC()
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    backend.train_from_iterator(texts[::3], trainer)
    first = {"bloom": "$A", "llama": "<s> $A", "xglm": "</s> $A"}[family]
    backend.post_processor = processors.TemplateProcessing(
        single=first, pair=f"{first} {first.replace('$A', '$B')}",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("<s>", "</s>")],
    )  # fmt: skip
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **named)


def pretrain(model: Any, tokenizer: PreTrainedTokenizerFast, texts: list[str], steps: int, family: str) -> None:
    """Train next-token prediction on random texts, truncated to TOKENS."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    random = torch.Generator().manual_seed(0)
    model.train()
    with trange(steps, desc=family) as bar:
        for _ in bar:
            chosen = [texts[number] for number in torch.randint(len(texts), (BATCH,), generator=random)]
            batch = tokenizer(chosen, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
            labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
            loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            bar.set_postfix(loss=f"{loss.item():.2f}")
    model.eval()


if __name__ == "__main__":
    main()

"""Pre-train the embedded demo checkpoint: a tokenizer and a BERT with whole-word masking.

The text is `xrealign_bench.demo.phrases.pretraining_lines` in every language, drawn again in every round, so lines are
not translations of each other and are hardly ever repeated. The learning rate follows the spent share of the budget and
is zero at its end. After an interruption, run the command again with the same `--work` folder to resume from the last
snapshot. With a larger budget, a finished run is trained further.

    python scripts/pretrain_demo_checkpoint.py --minutes 65 --threads 1
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import babel
import numpy as np
import torch
import torch.nn.functional as F
from babel import localedata
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tqdm import tqdm
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from xrealign_bench.demo.phrases import LANGUAGES, fingerprint, pretraining_lines

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
PAD, UNK, CLS, SEP, MASK = range(5)
CHECKPOINT = Path(__file__).resolve().parent.parent / "xrealign_bench" / "demo" / "checkpoint"
WATCHED = ("en", "de", "fi", "ru", "ar", "hi", "zh", "th", "sw", "am")
HELD_OUT_SEED = 1_000_000  # larger than the seed of any round


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of tokenizer and pre-training."""

    seed: int
    vocabulary: int
    tokenizer_lines: int
    lines_per_language: int
    batch_lines: int
    learning_rate: float
    weight_decay: float
    warmup: float
    masked: float
    dropout: float


@dataclass
class PretrainingState:
    """Progress of a run."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    round: int = 0
    batch: int = 0
    budgets: list[str] = field(default_factory=list)  # finished budgets, as options of this script


@dataclass(frozen=True)
class TokenisedLines:
    """Tokenised lines: concatenated token ids, the bounds of each line, and which tokens begin a word."""

    ids: np.ndarray
    starts: np.ndarray  # True at the first token of a word
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def lengths(self) -> np.ndarray:
        return np.diff(self.bounds)


def main() -> None:
    options = read_options()
    torch.set_num_threads(options.threads)
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    settings = Settings(
        seed=options.seed,
        vocabulary=options.vocabulary,
        tokenizer_lines=3000,
        lines_per_language=options.lines_per_language,
        batch_lines=options.batch_lines,
        learning_rate=options.learning_rate,
        weight_decay=0.01,
        warmup=0.02,
        masked=0.2,
        dropout=0.0,
    )
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer = load_or_train_tokenizer(options.work / "tokenizer.json", settings)
    model = new_model(settings, tokenizer.get_vocab_size())
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), lr=0.0, betas=(0.9, 0.98), eps=1e-6)
    state = load_snapshot(options.work, model, optimizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, from step {state.steps}", flush=True)
    train(model, optimizer, tokenizer, settings, state, options)
    state.budgets.append(f"--steps {options.steps}" if options.steps else f"--minutes {options.minutes:g}")
    save_snapshot(options.work, model, optimizer, state)
    export(model, tokenizer, settings, state, options, final=True)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=65.0, help="wall-clock budget")
    budget.add_argument("--steps", type=int, help="budget in steps instead of minutes, for reproducible weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", type=int, default=12_000)
    parser.add_argument("--lines-per-language", type=int, default=1500, help="lines drawn in each round")
    parser.add_argument("--batch-lines", type=int, default=96)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="folder of the finished checkpoint")
    parser.add_argument("--work", type=Path, default=Path("build/demo-checkpoint"), help="snapshots of this run")
    parser.add_argument("--snapshot-minutes", type=float, default=4.0)
    parser.add_argument("--early-export", action="store_true", help="export the first snapshot as well")
    return parser.parse_args()


# --- tokenizer ----------------------------------------------------------------------------------------------


def load_or_train_tokenizer(path: Path, settings: Settings) -> Tokenizer:
    if path.exists():
        return Tokenizer.from_file(str(path))
    lines = [
        line for language in tqdm(LANGUAGES, "tokenizer text", mininterval=10)
        for line in pretraining_lines(language, settings.tokenizer_lines, settings.seed)
    ]  # fmt: skip
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk_token"], max_input_chars_per_word=100))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=settings.vocabulary, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.save(str(path))
    return tokenizer


def tokenise(tokenizer: Tokenizer, lines: list[str]) -> TokenisedLines:
    ids: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    for first in range(0, len(lines), 2000):  # an encoding takes kilobytes, so keep few of them
        for encoding in tokenizer.encode_batch(lines[first : first + 2000]):
            word = np.array([-1 if at is None else at for at in encoding.word_ids])
            ids.append(np.array(encoding.ids, dtype=np.int64))
            starts.append((word != np.concatenate([[-2], word[:-1]])) & (word >= 0))
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    return TokenisedLines(np.concatenate(ids), np.concatenate(starts), bounds)


# --- batches ------------------------------------------------------------------------------------------------


def draw_round(tokenizer: Tokenizer, settings: Settings, number: int) -> TokenisedLines:
    """Draw and tokenise new lines in all languages."""
    seed = settings.seed + 1 + number
    lines = [line for language in LANGUAGES for line in pretraining_lines(language, settings.lines_per_language, seed)]
    return tokenise(tokenizer, lines)


def batches(lines: TokenisedLines, settings: Settings, rng: np.random.Generator) -> list[np.ndarray]:
    """Return batches of lines of similar length, in random order."""
    order = rng.permutation(len(lines))
    lengths = lines.lengths()
    size = settings.batch_lines
    made = []
    for pool in np.array_split(order, max(1, len(order) // (size * 50))):
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        made += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [made[at] for at in rng.permutation(len(made))]


def masked_batch(
    lines: TokenisedLines, rows: np.ndarray, settings: Settings, vocabulary: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mask whole words, at least one per line.

    Of the chosen tokens 80 % become [MASK], 10 % another token, and 10 % stay.

    Returns:
        Masked token ids, attention mask, positions to predict (flattened), and the original ids at these positions.
    """
    lengths = lines.lengths()[rows]
    width = int(lengths.max())
    column = np.arange(width)
    real = column < lengths[:, None]
    flat = np.where(real, lines.bounds[rows][:, None] + column, 0)
    ids = np.where(real, lines.ids[flat], PAD)
    starts = lines.starts[flat] & real
    words = np.cumsum(starts, axis=1)  # 1 ... n; `inside` excludes special tokens
    inside = real & (ids != CLS) & (ids != SEP)
    count = words.max(axis=1)
    draws = rng.random((len(rows), int(count.max()) + 1))
    picked = draws < settings.masked
    picked[np.arange(len(rows)), rng.integers(1, np.maximum(count, 1) + 1)] = True
    chosen = picked[np.arange(len(rows))[:, None], words] & inside
    fate = rng.random(ids.shape)
    masked = np.where(chosen & (fate < 0.8), MASK, ids)
    swapped = chosen & (fate >= 0.8) & (fate < 0.9)
    masked = np.where(swapped, rng.integers(len(SPECIAL), vocabulary, ids.shape), masked)
    return (
        torch.from_numpy(masked),
        torch.from_numpy(real.astype(np.int64)),
        torch.from_numpy(np.flatnonzero(chosen)),
        torch.from_numpy(ids[chosen]),
    )


# --- model --------------------------------------------------------------------------------------------------


def new_model(settings: Settings, vocabulary: int) -> BertForMaskedLM:
    torch.manual_seed(settings.seed)
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=128, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=512, max_position_embeddings=128, pad_token_id=PAD,
        hidden_dropout_prob=settings.dropout, attention_probs_dropout_prob=settings.dropout,
    )  # fmt: skip
    return BertForMaskedLM(config)


def parameter_groups(model: BertForMaskedLM, settings: Settings) -> list[dict[str, object]]:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def masked_loss(model: BertForMaskedLM, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the loss at the masked positions. Logits are computed only there, which saves most of the time."""
    ids, attention, positions, targets = batch
    hidden = model.bert(input_ids=ids, attention_mask=attention).last_hidden_state
    return F.cross_entropy(model.cls(hidden.flatten(0, 1)[positions]), targets)


def rate(progress: float, settings: Settings) -> float:
    """Return the learning rate: linear warm-up, then cosine decay to zero at the end of the budget."""
    if progress < settings.warmup:
        return settings.learning_rate * progress / settings.warmup
    done = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def train(
    model: BertForMaskedLM, optimizer: torch.optim.Optimizer, tokenizer: Tokenizer, settings: Settings,
    state: PretrainingState, options: argparse.Namespace,
) -> None:  # fmt: skip
    watched = {language: tokenise(tokenizer, pretraining_lines(language, 400, HELD_OUT_SEED)) for language in WATCHED}
    vocabulary = tokenizer.get_vocab_size()
    clock = time.monotonic() - state.seconds
    saved, early, recent = state.seconds, options.early_export and state.steps == 0, 0.0
    bar = tqdm(
        total=1000,
        desc="pre-training",
        mininterval=30,
        bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}",
    )
    for batch in stream(tokenizer, settings, state, vocabulary):
        progress = state.steps / options.steps if options.steps else (time.monotonic() - clock) / (60 * options.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(progress, settings)
        loss = masked_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.steps += 1
        state.tokens += int(batch[1].sum())
        state.seconds = time.monotonic() - clock
        recent = loss.item() if not recent else 0.98 * recent + 0.02 * loss.item()
        speed = state.tokens / state.seconds
        bar.set_postfix_str(f"step {state.steps}, loss {recent:.3f}, {speed:.0f} tokens/s", refresh=False)
        bar.update(int(1000 * progress) - bar.n)
        if state.seconds - saved >= 60 * options.snapshot_minutes:
            saved = state.seconds
            save_snapshot(options.work, model, optimizer, state)
            report(model, watched, settings, vocabulary, state)
            if early:
                export(model, tokenizer, settings, state, options, final=False)
                early = False
    bar.close()
    report(model, watched, settings, vocabulary, state)


def stream(
    tokenizer: Tokenizer, settings: Settings, state: PretrainingState, vocabulary: int
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield batches, starting at the round and batch of `state`."""
    while True:
        lines = draw_round(tokenizer, settings, state.round)
        made = batches(lines, settings, np.random.default_rng([settings.seed, state.round]))
        while state.batch < len(made):
            rng = np.random.default_rng([settings.seed, state.round, state.batch])
            state.batch += 1
            yield masked_batch(lines, made[state.batch - 1], settings, vocabulary, rng)
        state.round, state.batch = state.round + 1, 0


@torch.no_grad()
def report(
    model: BertForMaskedLM,
    watched: dict[str, TokenisedLines],
    settings: Settings,
    vocabulary: int,
    state: PretrainingState,
) -> None:
    """Print the loss on held-out lines, with the same masking every time."""
    model.eval()
    losses = {}
    for language, lines in watched.items():
        rng = np.random.default_rng(0)
        losses[language] = masked_loss(
            model, masked_batch(lines, np.arange(len(lines)), settings, vocabulary, rng)
        ).item()
    model.train()
    shown = "  ".join(f"{language} {loss:.2f}" for language, loss in losses.items())
    mean = sum(losses.values()) / len(losses)
    print(f"\n{state.seconds / 60:.1f} min, step {state.steps}: held-out loss {mean:.3f}  {shown}", flush=True)


# --- files --------------------------------------------------------------------------------------------------


def save_snapshot(
    work: Path, model: BertForMaskedLM, optimizer: torch.optim.Optimizer, state: PretrainingState
) -> None:
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": asdict(state)}
    torch.save(saved, work / "snapshot.part")
    os.replace(work / "snapshot.part", work / "snapshot.pt")


def load_snapshot(work: Path, model: BertForMaskedLM, optimizer: torch.optim.Optimizer) -> PretrainingState:
    if not (work / "snapshot.pt").exists():
        return PretrainingState()
    saved = torch.load(work / "snapshot.pt", weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return PretrainingState(**saved["state"])


def export(
    model: BertForMaskedLM, tokenizer: Tokenizer, settings: Settings, state: PretrainingState,
    options: argparse.Namespace, final: bool,
) -> None:  # fmt: skip
    """Write encoder, tokenizer, model card and licence to a new folder, then replace the old one by it."""
    part = options.out.with_name(options.out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    encoder = BertForMaskedLM(model.config)
    encoder.load_state_dict(model.state_dict())
    # The usual dropout for fine-tuning. Pre-training needs none, since lines are hardly ever repeated.
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.1
    encoder.bert.half().save_pretrained(part)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **SPECIAL)
    fast.save_pretrained(part)
    (part / "README.md").write_text(model_card(settings, state, options, final), encoding="utf-8")
    shutil.copyfile(
        Path(localedata.resolve_locale_filename("root")).parent / "LICENSE.unicode",
        part / "LICENSE-UNICODE.txt",
    )
    old = options.out.with_name(options.out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if options.out.exists():
        os.replace(options.out, old)
    os.replace(part, options.out)
    shutil.rmtree(old, ignore_errors=True)
    print(f"\nwrote {options.out}", flush=True)


def model_card(settings: Settings, state: PretrainingState, options: argparse.Namespace, final: bool) -> str:
    commands = "\n".join(
        f"    python scripts/pretrain_demo_checkpoint.py {budget} --threads {options.threads} --seed {settings.seed}"
        for budget in state.budgets
    )
    stage = "" if final else "\n**This is an early snapshot of a run that has not ended.**\n"
    return f"""---
license: unicode-3.0
library_name: transformers
tags: [fill-mask, multilingual, demo]
---
# The demo checkpoint of xrealign-bench
{stage}
A BERT encoder of 4 blocks x 128 units with a WordPiece vocabulary of {settings.vocabulary:,} pieces
(NFKC, lower-cased), weights in fp16. It exists so that the benchmark runs on a fresh machine without a
download. A model this small neither reproduces nor refutes any paper's result.

**Data.** Phrases and names in {len(LANGUAGES)} languages, generated from Unicode CLDR through
babel {babel.__version__} by `xrealign_bench.demo.phrases.pretraining_lines`
(generator fingerprint `{fingerprint()}`): one language per line, no translation pairs. The names
that the demo suite holds out from fine-tuning and realignment do occur here, as they would in the pre-training
text of any encoder.

**Training.** Masked words (whole words, {settings.masked:.0%}) with AdamW, {settings.batch_lines} lines
a batch, peak learning rate {settings.learning_rate:g}, cosine decay to zero over the budget of each command:
{state.steps:,} steps,
{state.tokens / 1e6:.1f} million tokens, {state.seconds / 60:.0f} minutes on {options.threads} CPU thread(s).

{commands}

With `--minutes` the number of steps depends on the machine's speed. `--steps` gives about the same run on any
machine, as the learning rate then follows the steps. All settings:

    {json.dumps(asdict(settings))}

**Licence.** The CLDR data are (c) 2004-2025 Unicode, Inc., under the Unicode License v3, in
`LICENSE-UNICODE.txt`; so is this checkpoint.
"""


if __name__ == "__main__":
    main()

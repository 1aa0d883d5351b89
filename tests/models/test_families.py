"""Every family of models, from its checkpoint to predictions. Truth: bits that must not change, and scores that no
padding may move."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from tests.models.conftest import ARCHITECTURES, TOKENIZERS, new_encoder
from xrealign_bench.data import LocatedSplit
from xrealign_bench.errors import UserError
from xrealign_bench.models.adapters import load_adapter, save_adapter
from xrealign_bench.models.blocks import find_parts
from xrealign_bench.models.checkpoint import Checkpoint, resolve_checkpoint
from xrealign_bench.models.encode_words import encode_words
from xrealign_bench.models.encoder import load_encoder
from xrealign_bench.models.family import family_of
from xrealign_bench.models.tokenizer import load_tokenizer
from xrealign_bench.models.trained_weights import load_weights, save_weights
from xrealign_bench.realignment.before import realign
from xrealign_bench.realignment.pairs import EncodedPairs, PairCorpus, pair_up
from xrealign_bench.realignment.settings import Realignment
from xrealign_bench.specs import Adapter, Finetuning, Freeze, Objective, Schedule, Task
from xrealign_bench.tasks.finetuning import FinetuningRun
from xrealign_bench.tasks.labelled_texts import TextData
from xrealign_bench.tasks.likelihoods import encode_for_likelihood
from xrealign_bench.tasks.question_answering.data import QuestionData
from xrealign_bench.tasks.question_answering.model import SpanClassifier
from xrealign_bench.tasks.registry import TASK_TYPES
from xrealign_bench.tasks.sentence_pairs import TranslationData
from xrealign_bench.tasks.sequence_classification.model import SequenceClassifier
from xrealign_bench.tasks.token_classification.data import WordData
from xrealign_bench.tasks.token_classification.model import TokenClassifier

CPU = torch.device("cpu")
PLACE = LocatedSplit("nowhere", "default", "test", None, "0" * 64, ())
ENGLISH = ["On Monday twelve euros were paid", "On the 17th of March", "fifty cents and twelve euros"]
GERMAN = ["Am Montag wurden zwölf Euro bezahlt", "Am 17. März", "fünfzig Cent und zwölf Euro"]
LENGTHS = [20, 24, 24]
"""Sub-words of a window, words, texts and questions."""

SPECS: dict[str, dict[str, Any]] = {
    "token_classification": {"columns": {"words": "w", "labels": "l"}, "labels": ["A", "B"]},
    "sequence_classification": {"columns": {"text": "a", "text_pair": "b", "label": "l"}, "labels": ["A", "B"]},
    "question_answering": {"columns": {"question": "q", "context": "c", "answers": "a"}, "metric": "f1"},
    "retrieval": {"columns": {"text": "a", "text_pair": "b"}, "text_language": "en"},
}
SAID = {"name": "said", "title": "Said", "licence": "none", "source": {"kind": "hub", "dataset": "org/said"}}
TASKS = {
    task_type: Task.model_validate({**SAID, "task_type": task_type, "configs": {"de": "de"}, **own})
    for task_type, own in SPECS.items()
}
ROWS = list(range(len(ENGLISH)))
WORDS = [text.split() for text in ENGLISH]
DATA: dict[str, Any] = {
    "token_classification": WordData("en", ROWS, WORDS, [[len(w) % 2 for w in ws] for ws in WORDS], None, {}, PLACE),
    "sequence_classification": TextData("en", ROWS, ENGLISH, GERMAN, [0, 1, 0], {}, PLACE),
    "question_answering": QuestionData(
        "en", ROWS, ["Wann?"] * 3, ENGLISH, [[(text.split()[-1], text.rindex(" ") + 1)] for text in ENGLISH], {}, PLACE
    ),
    "retrieval": TranslationData("de", ROWS, ENGLISH, GERMAN, {}, PLACE),
}  # fmt: skip


def quiet(done: int, total: int, note: str) -> None:
    pass


def outputs(encoder: Any) -> Tensor:
    ids = torch.tensor([[8, 11, 12, 13, 14, 9]])
    with torch.no_grad():
        hidden: Tensor = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return hidden


def pairs(tokenizer: PreTrainedTokenizerFast) -> EncodedPairs:
    sides = [encode_words(tokenizer, [text.split() for text in texts], 60) for texts in (ENGLISH, GERMAN)]
    links = [[(0, 0), (1, 1)] for _ in ENGLISH]
    return pair_up(*sides, links)


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def test_the_family_is_read_from_the_configuration(checkpoint: Checkpoint) -> None:
    config = json.loads((checkpoint.folder / "config.json").read_text())
    expected = "encoder"
    if checkpoint.model_type in ("mt5", "umt5", "m2m_100"):
        expected = "encoder_decoder"
    elif "ForCausalLM" in config["architectures"][0] or config["architectures"][0] == "GPT2LMHeadModel":
        expected = "decoder"
    assert family_of(config) == expected
    assert family_of(new_encoder(checkpoint).config.to_dict()) == expected


@pytest.mark.parametrize(
    "freezing",
    [
        Freeze(blocks="lower_half"),
        pytest.param(Freeze(blocks="upper_half", embeddings=True), marks=pytest.mark.few_families),
    ],
    ids=str,
)
@pytest.mark.distinct_families
def test_realignment_trains_what_is_not_frozen(checkpoint: Checkpoint, freezing: Freeze) -> None:
    tokenizer, encoder = load_tokenizer(checkpoint), new_encoder(checkpoint)
    before, parts = copied(encoder), find_parts(encoder)
    blocks = [0, 1] if freezing.blocks == "lower_half" else [2, 3, 4]
    frozen = [module for number in blocks for module in parts.blocks[number]] + parts.embeddings * freezing.embeddings
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    still = {names[id(parameter)] for module in frozen for parameter in module.parameters()}
    assert tokenizer.pad_token_id is not None
    schedule = Schedule(steps=2, learning_rate=1e-2, batch_size=3)
    corpus = PairCorpus({"de": pairs(tokenizer)}, tokenizer.pad_token_id)
    settings = Realignment("word_contrastive", Objective(projection=8), freezing, schedule)
    log = realign(encoder, corpus, settings, seed=3, device=CPU, progress=quiet)
    assert log.frozen.frozen == sum(before[name].numel() for name in still) > 0 and log.trained > 0
    moved = {name for name, parameter in encoder.named_parameters() if not torch.equal(parameter, before[name])}
    assert not moved & still
    free = [number for number in range(4) if number not in blocks]  # the loss sits below the last block
    assert all(any(n in moved for p in parts.blocks[b][0].parameters() if (n := names[id(p)])) for b in free)


@pytest.mark.few_families
@pytest.mark.parametrize("blocks", ["none", "lower_half"])
def test_a_realigned_adapter_is_a_low_rank_addition_to_linear_layers(
    checkpoint: Checkpoint, blocks: str, tmp_path: Path
) -> None:
    tokenizer, encoder = load_tokenizer(checkpoint), new_encoder(checkpoint)
    before, frozen = copied(encoder), find_parts(encoder).blocks[:2] if blocks == "lower_half" else []
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    still = {names[id(p)] for modules in frozen for module in modules for p in module.parameters()}
    corpus = PairCorpus({"de": pairs(tokenizer)}, tokenizer.pad_token_id or 0)
    schedule = Schedule(steps=2, learning_rate=1e-2, batch_size=3)
    settings = Realignment(
        "word_contrastive", Objective(projection=8), Freeze(blocks=blocks), schedule, adapter=Adapter(r=2)
    )
    log = realign(encoder, corpus, settings, seed=3, device=CPU, progress=quiet)
    adapted = log.adapter
    save_adapter(adapted, tmp_path / "adapter", checkpoint.id)
    merged = load_adapter(new_encoder(checkpoint), tmp_path / "adapter", "it")
    after = merged.state_dict()
    assert torch.allclose(outputs(adapted), outputs(merged), atol=1e-5)
    assert list(after) == list(before)
    moved = {name: after[name] - tensor for name, tensor in before.items() if not torch.equal(after[name], tensor)}
    assert moved and not moved.keys() & still
    assert {int(torch.linalg.matrix_rank(change, atol=1e-6)) for change in moved.values()} <= {1, 2}
    owners = [merged.get_submodule(name.rpartition(".")[0]) for name in moved]
    assert all(change.dim() == 2 for change in moved.values())
    assert not any(isinstance(module, nn.Embedding) for module in owners)
    assert 0 < log.trained < sum(tensor.numel() for tensor in moved.values())
    assert log.frozen.trained + log.frozen.frozen > sum(tensor.numel() for tensor in before.values())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "token_classification" else pytest.mark.few_families) for n in TASKS]
)
def test_every_kind_of_task_is_learnt_predicted_saved_and_loaded(
    checkpoint: Checkpoint, name: str, tmp_path: Path
) -> None:
    implementation, task, tokenizer = TASK_TYPES[name], TASKS[name], load_tokenizer(checkpoint)
    tables, _ = implementation.encode(task, DATA[name], tokenizer, 40)
    model = implementation.new_model(new_encoder(checkpoint), task)
    if implementation.train is not None:
        before = copied(model)
        finetuning = Finetuning(steps=2, batch_size=2, max_length=40, learning_rate={"default": 1e-2})
        log = implementation.train(model, tokenizer.pad_token_id, tables, FinetuningRun(finetuning, 1, CPU, quiet))
        assert len(log.losses) == 2
        assert not torch.equal(model.state_dict()["classifier.weight"], before["classifier.weight"])
    predicted = implementation.predict(model, tokenizer.pad_token_id, tables, task, device=CPU)
    assert predicted["example"].to_pylist() == ROWS
    save_weights(model, tmp_path / "model.safetensors")
    again = implementation.new_model(load_encoder(checkpoint, initialisation="random", seed=5), task).eval()
    load_weights(again, tmp_path / "model.safetensors")
    assert implementation.predict(again, tokenizer.pad_token_id, tables, task, device=CPU).equals(predicted)


@pytest.mark.parametrize(
    "head",
    [
        TokenClassifier,
        pytest.param(SequenceClassifier, marks=pytest.mark.few_families),
        pytest.param(SpanClassifier, marks=pytest.mark.few_families),
    ],
)
@pytest.mark.distinct_families
def test_no_padding_moves_a_score(checkpoint: Checkpoint, head: Any) -> None:
    """Whatever stands behind the text, however much of it: models that count from the left are never padded there."""
    encoder = new_encoder(checkpoint)
    model = (SpanClassifier(encoder) if head is SpanClassifier else head(encoder, 3)).eval()
    ids = torch.arange(8, 20).unsqueeze(0)
    third = torch.tensor([[0, 4, 11]]) if head is TokenClassifier else None
    with torch.no_grad():
        alone = model(ids, torch.ones_like(ids), third)
        for size, filler in ((1, 0), (3, 7), (20, 0), (20, 5)):
            padded = torch.cat([ids, torch.full((1, size), filler)], 1)
            mask = (torch.arange(padded.shape[1]) < ids.shape[1]).long().unsqueeze(0)
            scores = model(padded, mask, third)
            scores = scores[:, : ids.shape[1]] if head is SpanClassifier else scores
            assert torch.allclose(scores, alone, atol=1e-4)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_side_on_which_a_tokenizer_pads_does_not_matter(
    checkpoints: dict[str, Checkpoint], kind: str, tmp_path: Path
) -> None:
    name = next(name for name, (_, tokenizer, _) in ARCHITECTURES.items() if tokenizer == kind)
    sides = []
    for side in ("left", "right"):
        tokenizer = load_tokenizer(checkpoints[name])
        tokenizer.padding_side = side
        sides.append([TASK_TYPES[name].encode(task, DATA[name], tokenizer, 40) for name, task in TASKS.items()])
    assert sides[0] == sides[1]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_truncation_and_padding_that_a_tokenizer_was_saved_with_do_not_matter(
    checkpoints: dict[str, Checkpoint], kind: str, tmp_path: Path
) -> None:
    name = next(name for name, (_, tokenizer, _) in ARCHITECTURES.items() if tokenizer == kind)
    folder = Path(shutil.copytree(checkpoints[name].folder, tmp_path / name))
    written = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"truncation_side": "left"}))
    written["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Left"}
    written["padding"] = {
        "strategy": {"Fixed": 50}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(written))
    tables = []
    for checkpoint in (checkpoints[name], resolve_checkpoint(str(folder))):
        tokenizer = load_tokenizer(checkpoint)
        tables.append([TASK_TYPES[task].encode(TASKS[task], DATA[task], tokenizer, 24) for task in TASKS])
        if tokenizer.bos_token or tokenizer.eos_token:
            tables[-1].append(encode_for_likelihood(tokenizer, ENGLISH))
    assert tables[0] == tables[1]


def test_a_decoder_sees_the_left_alone_and_the_others_both_sides(checkpoint: Checkpoint) -> None:
    encoder = new_encoder(checkpoint)
    ids = torch.arange(8, 20).unsqueeze(0)
    other = torch.cat([ids[:, :-1], ids[:, :1]], 1)
    with torch.no_grad():
        one, two = (
            encoder(input_ids=i, attention_mask=torch.ones_like(i)).last_hidden_state[0, :6] for i in (ids, other)
        )
    assert torch.allclose(one, two, atol=1e-6) == (family_of(encoder.config.to_dict()) == "decoder")


def test_a_model_that_needs_more_than_text_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    """XMOD has an adapter for each language, and may have no default one."""
    folder = make_checkpoint("xmod", default_language=None)
    with pytest.raises(UserError, match=r"XmodModel can't read two tokens: Input language unknown.*mend its config"):
        load_encoder(resolve_checkpoint(str(folder)), seed=0)


def test_a_tokenizer_with_nothing_to_pad_with_is_refused(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    settings = checkpoints["llama"].folder / "tokenizer_config.json"
    before = settings.read_text()
    assert load_tokenizer(checkpoints["llama"]).pad_token == "</s>"
    try:
        settings.write_text(json.dumps({k: v for k, v in json.loads(before).items() if k != "eos_token"}))
        with pytest.raises(UserError, match="has no padding token and none that ends a text; name one in"):
            load_tokenizer(checkpoints["llama"])
    finally:
        settings.write_text(before)

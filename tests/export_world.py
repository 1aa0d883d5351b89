"""A suite with a task of every fine-tuned type and a retrieval task, and checkpoints of several families, to export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from datasets import Features, Value
from transformers import AutoTokenizer

from tests.data.hub_folder import write_rows
from tests.models.conftest import ARCHITECTURES, language_model, make_config, train_tokenizer
from tests.small import RECIPE, SUITE, Ran, command, write_recipe, write_suite, write_yaml
from tests.test_evaluate_questions import FEATURES
from tests.test_evaluate_questions import TASK as ASKED
from tests.test_evaluate_questions import rows as questions
from tests.test_evaluate_texts import TASK as PAIRS
from tests.test_evaluate_texts import write_pairs
from tests.test_retrieval_suite import FOUND
from xrealign_bench.demo import phrases

SEED = 3
WINDOW = 60
"""Sub-words that a model reads at once."""
LORA = RECIPE | {"name": "lora", "adapter": {"r": 2}, "schedule": {"batch_size": 4, "learning_rate": 0.01}}
ONLY_GERMAN: dict[str, Any] = {"configs": {"de": "all"}, "columns": {"text": "en", "text_pair": "de"}}
TASKS = ["phrases", "pairs-nli", "asked", "found"]


def write_data(root: Path) -> Path:
    """Write English and German data of all tasks."""
    write_pairs(root / "org/nli/en", "en", "train", 25)
    write_pairs(root / "org/nli/en", "en", "test", 13)
    write_pairs(root / "org/more/deu", "de", "test", 11)
    for code, split in (("en", "train"), ("en", "validation"), ("de", "validation")):
        file = root / "org/asked" / f"asked.{code}" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(questions(code), features=FEATURES).to_parquet(str(file))
    pairs = phrases.parallel_rows("en", "de", 20)
    texts = [{"en": " ".join(row.source_words), "de": " ".join(row.target_words)} for row in pairs]
    write_rows(root, "all", "test", texts, Features({"en": Value("string"), "de": Value("string")}))
    return root


def write_specs(folder: Path) -> None:
    """Write two suites, `linear` and `whole` (with transformers' heads), and the recipes `mine` and `lora`."""
    own = {"tasks": TASKS, "target_languages": ["de"], "seeds": [SEED]}
    finetuning = SUITE["finetuning"] | {"max_length": WINDOW}
    write_suite(folder, name="linear", finetuning=finetuning, **own)
    write_suite(folder, name="whole", finetuning=finetuning, head="transformers", **own)
    for task in (PAIRS, ASKED, FOUND | ONLY_GERMAN):
        write_yaml(folder / f"{task['name']}.yaml", task)
    write_recipe(folder)
    write_recipe(folder, **LORA)


def write_family(folder: Path, name: str, **settings: object) -> Path:
    """Write a checkpoint with random weights, as its pre-training would have left it."""
    kind, tokenizer_kind, own = ARCHITECTURES[name]
    tokenizer = train_tokenizer(tokenizer_kind)
    config = make_config(kind, len(tokenizer) + 3, **{**own, **settings})
    torch.manual_seed(1)
    language_model(config).from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def export(
    folder: Path, checkpoint: Path, suite: str, recipe: str, *more: object, output: Path, online: bool = False
) -> Ran:
    """Run the command `export` on the suite and data of a folder."""
    words = ["--suite", folder / f"{suite}.yaml", "--checkpoint", checkpoint, "--recipe", recipe]
    places = ["--store", folder / "store", "--data-root", folder / "data", "--output", output, "--device", "cpu"]
    return command("export", *words, *places, *more, online=online)


def largest_difference(exported: Path) -> float:
    """Return the largest difference to the trained model, as the export measured it."""
    value: float = json.loads((exported / "realignment.json").read_text())["largest_difference"]
    return value


TEXTS = ["On Monday twelve euros", "Am Montag wurden zwölf Euro bezahlt und fünfzig Cent", "März"]


def sentence_difference(exported: Path) -> float | None:
    """Return the largest difference of sentence-transformers' vectors to means over tokens; None: not installed."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    vectors = SentenceTransformer(str(exported), device="cpu").encode(TEXTS, convert_to_tensor=True)
    return float((vectors.cpu() - mean_vectors(exported)).abs().max())


def mean_vectors(exported: Path) -> torch.Tensor:
    """Return the mean of each text's hidden states without special tokens, by plain transformers."""
    tokenizer = AutoTokenizer.from_pretrained(exported)
    auto_class = json.loads((exported / "realignment.json").read_text())["auto_class"]
    model = getattr(transformers, auto_class).from_pretrained(exported).eval()
    rows = []
    for text in TEXTS:
        encoded = tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
        with torch.no_grad():
            hidden = model(encoded.input_ids, attention_mask=encoded.attention_mask).last_hidden_state[0]
        rows.append(hidden[encoded.special_tokens_mask[0] == 0].mean(0))
    return torch.stack(rows)

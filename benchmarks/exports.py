"""Print the table of docs/how-to/export.md: exports by family, with the largest difference to the trained model.

Tiny random models, realigned and fine-tuned for three steps each. The column sentence-transformers compares vectors of
`SentenceTransformer`, if that package is installed, with the task's own; else the encoder's outputs.

    python benchmarks/exports.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tabulate import tabulate
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the models of the tests

from tests.export_world import export, largest_difference, sentence_difference, write_data, write_family, write_specs

FAMILIES = {
    "BERT": "bert", "XLM-R": "xlm-roberta", "DistilBERT": "distilbert", "mT5 encoder": "mt5", "Llama": "llama",
    "Gemma": "gemma",
}  # fmt: skip
TARGETS: dict[str, tuple[str, str, list[str]]] = {
    # column: suite, recipe, options
    "AutoModel": ("linear", "mine.yaml", []),
    "LoRA": ("linear", "lora.yaml", []),
    "LoRA, merged": ("linear", "lora.yaml", ["--merge"]),
    "Tokens": ("linear", "mine.yaml", ["--task", "phrases"]),
    "Answers": ("linear", "mine.yaml", ["--task", "asked"]),
    "Texts": ("linear", "mine.yaml", ["--task", "pairs-nli"]),
    "Texts, own head": ("whole", "mine.yaml", ["--task", "pairs-nli"]),
    "sentence-transformers": ("linear", "mine.yaml", ["--sentence-transformers"]),
}


def main() -> None:
    rows = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_specs(folder)
        write_data(folder / "data")
        for title, family in tqdm(FAMILIES.items(), disable=None):
            checkpoint = write_family(folder / family, family)
            rows.append([title, *(cell(folder, checkpoint, column) for column in TARGETS)])
    print(tabulate(rows, ["Family", *TARGETS], tablefmt="pipe", disable_numparse=True))


def cell(folder: Path, checkpoint: Path, column: str) -> str:
    suite, recipe, options = TARGETS[column]
    output = folder / f"{checkpoint.name}-{column}"
    ran = export(folder, checkpoint, suite, str(folder / recipe), *options, output=output)
    if ran.status == 2:
        return "refused"
    assert ran.status == 0, ran.err
    compared = sentence_difference(output) if column == "sentence-transformers" else None
    return f"{largest_difference(output) if compared is None else compared:.1g}"


if __name__ == "__main__":
    main()

"""Measure how far four points of the papers' protocol move scores and gains: docs/protocols.md.

    OMP_NUM_THREADS=1 python benchmarks/protocol_points.py measure --checkpoint ./encoder --data-root ./hub \
        --work ./points
    python benchmarks/protocol_points.py table

`measure` evaluates full realignment and its baseline with one seed under each variant of a small suite, and writes
benchmarks/protocol-points.csv. If interrupted, the same command resumes. The points:

- class `_`: surface lines of multiword tokens are words of class `_`, trained on and scored. The data root's treebanks
  lack these lines; they are restored from the sentences' text, where a run of letters is several words.
- word markers: lone `▁` are deleted in realignment, fine-tuning and tests of tagging.
- repair: predicted entity tags are repaired before they are scored; the same predictions scored both ways.
- heads: transformers' own classes instead of dropout and a linear layer.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import yaml
from tabulate import tabulate

import xrealign_bench as xb
from xrealign_bench.data import DataLocation
from xrealign_bench.data.examples import locate_task, read_examples, spread_rows
from xrealign_bench.results.rescoring import split_by_language_and_seed
from xrealign_bench.results.storage import read_predictions
from xrealign_bench.tasks.registry import metric_of

OUTPUT = Path(__file__).parent / "protocol-points.csv"
FIELDS = ["point", "variant", "task", "recipe", "language", "metric", "score"]
SEED, EXAMPLES = 31, 200
RECIPE, BASELINE = "alignfreeze-full", "finetune-only"
LANGUAGES = ["ar", "de", "es", "fa", "fr", "he", "it", "ja", "ta", "th", "tr", "zh"]
TASKS = {"words": "ud-masakhapos-lite", "entities": "uner-lite", "topics": "sib200"}
STEPS = {"words": 200, "multiword": 200, "entities": 400, "topics": 100}
UNSPACED = ("ja", "th", "zh")
ENTITIES = ["da", "de", "hr", "pt", "ru", "sv", "zh", "sw", "yo", "zu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--checkpoint", required=True)
    measuring.add_argument("--data-root", type=Path, required=True)
    measuring.add_argument("--work", type=Path, required=True, help="Folder for stages, suites and results.")
    measuring.add_argument("--point", action="append", help="Only these points.")
    measuring.set_defaults(run=measure)
    commands.add_parser("table").set_defaults(run=lambda _: print_table())
    options = parser.parse_args()
    options.run(options)


def measure(options: argparse.Namespace) -> None:
    """Measure the points that are asked for, and write the scores of each as they come."""
    points = {"markers": _markers, "class": _multiword, "heads": _heads, "repair": _repair}
    for point in options.point or points:
        rows = [[point, *row] for row in points[point](options)]
        kept = [row for row in _read() if row[0] != point] if OUTPUT.is_file() else []
        with OUTPUT.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([FIELDS, *sorted(kept + rows)])


Row = list[str]


def _markers(options: argparse.Namespace) -> Iterator[Row]:
    for variant, change in (("kept", {}), ("deleted", {"lone_word_markers": "delete"})):
        yield from _scores(options, variant, "words", LANGUAGES, change)


def _heads(options: argparse.Namespace) -> Iterator[Row]:
    for variant, change in (("linear", {}), ("transformers", {"head": "transformers"})):
        yield from _scores(options, variant, "topics", LANGUAGES, change)


def _multiword(options: argparse.Namespace) -> Iterator[Row]:
    yield from _scores(options, "dropped", "words", LANGUAGES, {})
    _write_multiword_task(options)
    yield from _scores(options, "scored", "multiword", LANGUAGES, {})


def _repair(options: argparse.Namespace) -> Iterator[Row]:
    for result, folder in _evaluate(options, "strict", "entities", ENTITIES, {}):
        task = result.tasks[0]
        repaired = task.model_copy(update={"repair": "wu-dredze"})
        scoring = metric_of(task)
        for (language, _), table in split_by_language_and_seed(read_predictions(folder, result.predictions[0], task)):
            columns = {name: table[name].to_pylist() for name in ("example", *scoring.columns)}
            for variant, scored in (("strict", task), ("repaired", repaired)):
                found = scoring.score(scored, columns)["metrics"]["entity_f1"]
                yield [variant, task.name, result.recipe.name, language, "entity_f1", f"{found:.4f}"]


def _scores(
    options: argparse.Namespace, variant: str, task: str, languages: Sequence[str], change: dict[str, str]
) -> Iterator[Row]:
    for result, _ in _evaluate(options, variant, task, languages, change):
        metric = result.tasks[0].metric
        for score in result.scores:
            value = score.metrics[metric]
            yield [variant, score.task, result.recipe.name, score.language, metric, f"{value:.4f}"]


def _evaluate(
    options: argparse.Namespace, variant: str, task: str, languages: Sequence[str], change: dict[str, str]
) -> Iterator[tuple[object, Path]]:
    """Evaluate the recipe and its baseline under a variant of the small suite."""
    suite = {
        "name": f"{task}-{variant}",
        "version": "1.0",
        "title": f"{task}, {variant}",
        "source_language": "en",
        "target_languages": sorted(languages),
        "tasks": [TASKS.get(task, task)],
        "seeds": [SEED],
        "finetuning": {
            "steps": STEPS[task],
            "batch_size": 8 if task == "entities" else 16,
            "max_length": 96,
            "learning_rate": {"default": 1e-4},
        },
        "realignment_steps": 60,
        "test_examples": EXAMPLES,
        "parallel": {
            "corpus": "ntrex-first-1000",
            "additional_corpora": ["tico19-first-971"],
            "aligner": "eflomal",
        },
        **change,
    }
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / f"{suite['name']}.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    run = xb.evaluate(
        options.checkpoint,
        RECIPE,
        str(path),
        store=options.work / "store",
        output=options.work / "output",
        data_root=options.data_root,
        offline=True,
    )
    yield from zip(run.results, run.results.folders, strict=True)


def _write_multiword_task(options: argparse.Namespace) -> None:
    """Write the tagging task with restored lines of multiword tokens, and its data."""
    task, location = xb.load_task(TASKS["words"]), DataLocation(options.data_root, offline=True)
    label_names = [*task.labels, "_"]
    for split, languages in (("train", ["en"]), ("test", ["en", *LANGUAGES])):
        for language in languages:
            located = locate_task(task, language, split, location)
            rows = read_examples(task, split, None, located, ["text", "tokens", "upos"], offline=True)
            names = rows.features["upos"].feature.names
            chosen = spread_rows(len(rows.columns["text"]), None if split == "train" else EXAMPLES)
            lines = []
            for row in chosen:
                text, words, tags = (rows.columns[name][row] for name in ("text", "tokens", "upos"))
                labels = [names[tag] for tag in tags]
                if language not in UNSPACED:
                    words, labels = with_multiword_lines(text, words, labels)
                lines.append(json.dumps({"words": words, "labels": labels}, ensure_ascii=False))
            path = options.work / "multiword" / f"{language}-{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {
        "name": "multiword",
        "title": "Tagging with lines of multiword tokens",
        "licence": task.licence,
        "task_type": "token_classification",
        "source": {
            "kind": "files",
            "train": "multiword/{config}-train.jsonl",
            "test": "multiword/{config}-test.jsonl",
        },
        "columns": {"words": "words", "labels": "labels"},
        "labels": label_names,
        "configs": {language: language for language in ["en", *LANGUAGES]},
    }
    (options.work / "multiword.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


_MOST_WORDS = 4
"""Words in one token, at most."""
_LETTERS = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0590-\u05c7\u0610-\u065f\u0900-\u0dff])*")


def with_multiword_lines(text: str, words: Sequence[str], tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Put a word of class `_` in front of every two or more words that are one run of letters of the text.

    Words are found in the text from left to right. Words that are not there, such as `de` and `le` for `du`, stand for
    the letters between the words around them. If the words are not those of the text, they are returned as they are.

    >>> with_multiword_lines("Il va du lac.", ["Il", "va", "de", "le", "lac", "."], ["A", "B", "C", "D", "E", "F"])
    (['Il', 'va', 'du', 'de', 'le', 'lac', '.'], ['A', 'B', '_', 'C', 'D', 'E', 'F'])
    """
    try:
        spans = _spans(text, words)
    except ValueError:
        return list(words), list(tags)
    out_words: list[str] = []
    out_tags: list[str] = []
    number = 0
    runs = [match.span() for match in _LETTERS.finditer(text)]
    while number < len(words):
        begin = spans[number][0]
        run = next((run for run in runs if run[0] <= begin < run[1]), (begin, begin))
        after = number + 1
        while after < len(words) and spans[after][0] < run[1] and spans[after][1] <= run[1]:
            after += 1
        if after - number > 1:
            out_words.append(text[run[0] : run[1]])
            out_tags.append("_")
        out_words += words[number:after]
        out_tags += tags[number:after]
        number = after
    return out_words, out_tags


def _spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the characters of each word; words that the text lacks share those up to the next word that it has.

    Raises:
        ValueError: the words are not those of the text.
    """
    spans: list[tuple[int, int]] = []
    at = 0
    while len(spans) < len(words):
        at = _skip_spaces(text, at)
        number = len(spans)
        if text.startswith(words[number], at):
            spans.append((at, at + len(words[number])))
            at = spans[-1][1]
            continue
        run = _LETTERS.match(text, at)
        if run is None:
            raise ValueError(f"{words[number]!r} is not at {text[at : at + 20]!r}")
        following = _skip_spaces(text, run.end())
        for several in range(1, _MOST_WORDS + 1):
            end = number + several
            if end == len(words) or (end < len(words) and text.startswith(words[end], following)):
                spans += [(at, run.end())] * several
                break
        else:
            raise ValueError(f"{words[number]!r} is not at {text[at : at + 20]!r}")
        at = run.end()
    return spans


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _read() -> list[Row]:
    with OUTPUT.open(encoding="utf-8", newline="") as file:
        return [list(row.values()) for row in csv.DictReader(file)]


def print_table() -> None:
    """Print, for each point, the mean score of each variant with and without realignment, and the gain's change."""
    rows = _read()
    table = []
    for point in dict.fromkeys(row[0] for row in rows):
        of_point = [row for row in rows if row[0] == point and row[4] != "en"]
        for variant in dict.fromkeys(row[1] for row in of_point):
            means = [
                100 * fmean(float(row[6]) for row in of_point if row[1] == variant and row[3] == recipe)
                for recipe in (BASELINE, RECIPE)
            ]
            table.append([point, variant, *means, means[1] - means[0]])
    headers = ["point", "variant", "baseline", "realigned", "gain"]
    print(tabulate(table, headers=headers, floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()

"""Convert the known summaries of the low-resource study to results: means over four seeds, without scores.

    python scripts/import_lowresource_results.py CSV_FOLDER --results leaderboard/results
    xrealign-bench leaderboard build leaderboard/results

CSV_FOLDER has the transcribed figures, in percent: averages.csv (model, task, exp, avg, std_ddof1) and
per_language.csv (model, task, exp, lang, group, mean, std). Writes one result per checkpoint and experiment. The
averages can't be computed again, so boards show them separately. If the means of all languages of an average are known,
their mean is compared with it, and differences are printed.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from math import fsum
from pathlib import Path
from typing import Any, Literal

from xrealign_bench import __version__
from xrealign_bench.languages import find
from xrealign_bench.languages.published import published_lists
from xrealign_bench.results.language_records import describe_language
from xrealign_bench.results.records import CheckpointRecord, ReportedMean
from xrealign_bench.results.result import BASELINE, Result, digest_suite
from xrealign_bench.results.storage import write_result
from xrealign_bench.specs import Corpus, Recipe, Suite, Task, digest, find_spec

SUITE = "lowresource"
CITATION = (
    "Nguyen et al., Rethinking what Matters, IJCNLP-AACL 2025: means over four seeds (42, 66, 23, 17) of the study's "
    "own summaries. Averages over PoS, NER and NLI include English; those over the targets alone are given apart, "
    "where they are known. Averages over questions (whose metric and languages are not known) and AmericasNLI are "
    "without English. The std of an average has ddof 1; that of fine-tuning only is as given. The test data are the "
    "study's, not this suite's: treebanks merged by language as in XTREME-R, French and Swahili of AfriXNLI, Burmese "
    "of myXNLI; fine-tuning only was also tested on Wolof and Yoruba of UDPOS, Ghomala' and Nigerian Pidgin, French "
    "and Swahili of XNLI and English of AfriXNLI, which are in no average. Sentences realigned in 24,544 steps, "
    "averaged as the code ran. Left out: mBERT's PoS after fine-tuning only (0.3 to 10 % in African languages, from a "
    "fault in its labels' mapping). Not known: an average of mBERT's NLI after fine-tuning only, which languages were "
    "drawn at random. The language lists of most- and least-same-script-20 look swapped in the source; uriel- "
    "joshi35-9 names nine languages where others name ten."
)
CREATED = datetime(2025, 12, 20, tzinfo=UTC)
"""First day of the conference."""
CHECKPOINTS = {
    "XLM-R": ("FacebookAI/xlm-roberta-base", "xlm-roberta"),
    "mBERT": ("google-bert/bert-base-multilingual-cased", "bert"),
}
STEPS = 24_544
"""Realignment steps (section 4 of the paper)."""
SUBSETS = {"xt_afri": "lowresource-65", "xt_only": "lowresource-xtreme-r-47", "afri_only": "lowresource-african-21"}
"""Experiment -> published list of languages, for experiments whose name does not contain it."""
AMERICASNLI = ("aym", "bzd", "cni", "gn", "hch", "nah", "oto", "quy", "shp", "tar")
AVERAGES = {
    "udpos": "PoS (UDPOS, MasakhaPOS)",
    "wikiann": "NER (WikiANN, MasakhaNER 2)",
    "xnli": "NLI (XNLI, AfriXNLI, IndoNLI, myXNLI)",
    "americasnli": "AmericasNLI",
    "xquad": "XQuAD",
}
"""Task -> name of the test sets in its averages."""
TEST_SETS = {"udpos": ("UDPOS", "MasakhaPOS"), "wikiann": ("WikiANN", "MasakhaNER 2"), "xnli": ("XNLI", "AfriXNLI")}
"""Task -> its test sets: for languages with two-letter codes, and with three-letter codes."""
OTHER_TEST_SETS = {"ind": "IndoNLI", "mya": "myXNLI", **dict.fromkeys(AMERICASNLI, "AmericasNLI")}
SOURCE = "en(same)"
TARGETS_ALONE = {
    ("XLM-R", "udpos", "baseline"): (65.41, 0.74),
    ("XLM-R", "udpos", "xt_afri"): (68.63, None),
    ("XLM-R", "xnli", "baseline"): (57.80, 0.10),
    ("XLM-R", "xnli", "xt_afri"): (58.66, None),
}
"""Averages without English and their std, which are not in averages.csv."""

Key = tuple[str, str, str]
"""Model, task and experiment."""
Rows = dict[Key, list[dict[str, str]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, default=Path("leaderboard/results"))
    given = parser.parse_args()
    averages, languages = read(given.folder / "averages.csv"), read(given.folder / "per_language.csv")
    runs = dict.fromkeys((model, experiment) for model, _, experiment in (*averages, *languages))
    for model, experiment in runs:
        means = [mean for task in AVERAGES for mean in means_of((model, task, experiment), averages, languages)]
        write(given.results, model, recipe_of(experiment), means)
    print(f"{len(runs)} results in {given.results / f'{SUITE}-1.0'}")
    compared, differing = contradictions(averages, languages)
    print(f"{compared} averages compared with the means of their languages, {len(differing)} differ")
    print("".join(f"  {line}\n" for line in differing), end="")


def read(path: Path) -> Rows:
    rows: Rows = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault((row["model"], row["task"], row["exp"]), []).append(row)
    return rows


def means_of(key: Key, averages: Rows, languages: Rows) -> Iterator[ReportedMean]:
    """Yield the averages of one task, then the means of its languages."""
    _, task, _ = key
    targets = targets_of(task, languages)
    with_source = targets if targets is None or task not in TEST_SETS else [*targets, "en"]
    for row in averages.get(key, []):
        yield reported(AVERAGES[task], with_source, row["avg"], row["std_ddof1"], ddof=1)
    if key in TARGETS_ALONE:
        mean, std = TARGETS_ALONE[key]
        yield reported(AVERAGES[task], targets, mean, std)
    for row in languages.get(key, []):
        yield reported(test_set(task, row["lang"]), [code_of(row["lang"])], row["mean"], row["std"])


def reported(
    test_set: str,
    languages: list[str] | None,
    mean: str | float,
    std: str | float | None,
    ddof: Literal[1] | None = None,
) -> ReportedMean:
    """Make a reported mean from percentages."""
    share = None if std in ("", None) else round(float(std) / 100, 6)
    return ReportedMean(test_set=test_set, languages=languages, mean=round(float(mean) / 100, 6), std=share, ddof=ddof)


def targets_of(task: str, languages: Rows) -> list[str] | None:
    """Return the target languages in a task's averages; None: not known."""
    if task == "americasnli":
        return [code_of(name) for name in AMERICASNLI]
    known = languages.get(("XLM-R", task, "xt_afri"))
    return None if known is None else [code_of(row["lang"]) for row in known if row["lang"] != SOURCE]


def test_set(task: str, language: str) -> str:
    short, long = TEST_SETS[task]
    return OTHER_TEST_SETS.get(language) or (short if len(language) == 2 or language == SOURCE else long)


def code_of(language: str) -> str:
    return find("en" if language == SOURCE else language).code


def contradictions(averages: Rows, languages: Rows) -> tuple[int, list[str]]:
    """Compare averages with the means of their languages.

    Both are rounded to two decimals, so a difference of 0.01 is accepted.

    Returns:
        The number of compared averages, and a line for each that differs.
    """
    compared, differing = 0, []
    for key, rows in languages.items():
        averaged = {row["lang"] for row in languages["XLM-R", key[1], "xt_afri"]}
        values = {row["lang"]: float(row["mean"]) for row in rows if row["lang"] in averaged}
        alone = [value for language, value in values.items() if language != SOURCE]
        given = [(float(row["avg"]), list(values.values())) for row in averages.get(key, [])]
        given += [(TARGETS_ALONE[key][0], alone)] if key in TARGETS_ALONE else []
        for average, over in given:
            mean = fsum(over) / len(over)
            compared += 1
            if abs(mean - average) > 0.01:
                differing.append(f"{' '.join(key)}: {average} is given, {len(over)} languages have {mean:.2f}")
    return compared, differing


def recipe_of(experiment: str) -> Recipe:
    """Return the recipe of an experiment: sentences realigned as the code ran, in the experiment's languages."""
    if experiment == "baseline":
        return find_spec(BASELINE, Recipe)
    name, languages = languages_of(experiment)
    shipped = find_spec("sentence-as-run", Recipe)
    parallel = shipped.parallel.model_dump() | {"languages": languages}
    return Recipe.model_validate(
        shipped.model_dump()
        | {
            "name": f"sentence-{name}-published",
            "title": f"Sentence averaging, {name.replace('-', ' ')}, as published",
            "parallel": parallel,
            "schedule": shipped.schedule.model_dump() | {"steps": STEPS},
        }
    )


def languages_of(experiment: str) -> tuple[str, dict[str, Any]]:
    """Return an experiment's name in recipes, and its languages as a recipe's `languages`."""
    group, _, n = experiment.rpartition("_")
    if group == "random":  # the drawn languages are not known
        return f"random-{n}", {"select": "random", "n": int(n)}
    name = SUBSETS.get(experiment, experiment.removeprefix("abla_most_")).replace("_", "-")
    found = [
        subset for subset in published_lists() if subset in (name, f"lowresource/{name}")
        or (experiment.startswith("abla_") and subset.rpartition("-")[0] == f"lowresource/{name}")
    ]  # fmt: skip
    return found[0].removeprefix("lowresource/"), {"subset": found[0]}


@cache
def shipped_suite() -> tuple[Suite, str]:
    """Return the suite and its digest."""
    suite = find_spec(SUITE, Suite)
    tasks = [find_spec(name, Task) for name in suite.tasks]
    corpora = {name: find_spec(name, Corpus) for name in suite.parallel.corpora}
    return suite, digest_suite(suite, tasks, corpora)


def write(results: Path, model: str, recipe: Recipe, means: list[ReportedMean]) -> None:
    suite, suite_digest = shipped_suite()
    name, model_type = CHECKPOINTS[model]
    codes = dict.fromkeys(mean.languages[0] for mean in means if mean.languages and len(mean.languages) == 1)
    result = Result(
        harness_version=__version__,
        created=CREATED,
        command="scripts/import_lowresource_results.py",
        reported=CITATION,
        suite=suite,
        suite_digest=suite_digest,
        tasks=[],
        recipe=recipe,
        recipe_digest=digest(recipe),
        checkpoint=CheckpointRecord(
            id=name, revision=None, model_type=model_type, architecture=f"{model_type}, base size", parameters=None,
            config_sha256="", weights_sha256="", tokenizer_sha256="",
        ),
        seeds=suite.seeds,
        languages=[describe_language(suite, code, name) for code in codes if code != suite.source_language],
        limit=None,
        compute_settings=None,
        packages={},
        data=[],
        scores=[],
        reported_means=means,
        predictions=[],
        stages=[],
    )  # fmt: skip
    folder = (
        results / suite.id / f"{name.replace('/', '--')}--published" / recipe.name
    )  # a folder that no evaluation writes to
    folder.mkdir(parents=True, exist_ok=True)
    write_result(folder, result)


if __name__ == "__main__":
    main()

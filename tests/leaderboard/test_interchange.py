"""Exchange with other programs. Truth: the stored result.json, read as plain JSON; the Hub's own reader of model cards;
small files in the documented shapes of MTEB (`TaskResult`) and lm-eval (`save_results_aggregated`), written by hand."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from tests.small import Ran, command
from xrealign_bench.data.loaded_suite import load_suite
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.interchange import importing
from xrealign_bench.leaderboard.interchange.importing import Origin, import_reports
from xrealign_bench.results.storage import read_result

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "leaderboard" / "results" / "demo-1.1" / "xrealign-mini"
RECIPE = "alignfreeze-front"
WEIGHTS = "956dda081e5b"
LANGUAGE, CONFIG, TASK = "sw", "sw", "cldr-phrases"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe and its baseline, as stored, and a published result."""
    root = tmp_path_factory.mktemp("exchange") / "results"
    for name in (RECIPE, "finetune-only"):
        shutil.copytree(DEMO / name, root / "demo-1.1" / "xrealign-mini" / name)
    place = "alignfreeze-1.0/distilbert--distilbert-base-multilingual-cased--published"
    published = next(iter(sorted((ROOT / "leaderboard" / "results" / place).iterdir())))
    shutil.copytree(published, root / place / published.name)
    return root


def export(results: Path, file_format: str, output: Path) -> Ran:
    return command("leaderboard", "export", results, "--format", file_format, "--output", output)


def scores(language: str = LANGUAGE) -> list[float]:
    content = json.loads((DEMO / RECIPE / "result.json").read_text())
    return [s["metrics"]["accuracy"] for s in content["scores"] if s["language"] == language]


def test_mteb_files_have_the_shape_and_the_means_of_a_task_result(results: Path, tmp_path: Path) -> None:
    ran = export(results, "mteb", tmp_path / "out")
    assert ran == Ran(0, f"{tmp_path}/out\n", "4 files written\n")
    folder = tmp_path / "out" / "demo-1.1" / "results" / f"xrealign-mini--{RECIPE}" / WEIGHTS
    meta = json.loads((folder / "model_meta.json").read_text())
    assert (meta["name"], meta["revision"]) == (f"xrealign-mini--{RECIPE}", WEIGHTS)
    content = json.loads((folder / f"{TASK}.json").read_text())
    assert {name: type(content[name]) for name in ("dataset_revision", "task_name", "evaluation_time", "scores")} == {
        "dataset_revision": str, "task_name": str, "evaluation_time": float, "scores": dict,
    }  # fmt: skip
    assert content["mteb_version"] is None and content["kg_co2_emissions"] is None
    (entries,) = content["scores"].values()
    for entry in entries:
        assert isinstance(entry["hf_subset"], str) and isinstance(entry["languages"], list)
        assert all(len(code.partition("-")[2]) == 4 for code in entry["languages"])
    (entry,) = [each for each in entries if each["hf_subset"] == CONFIG]
    assert entry["languages"] == ["swh-Latn"]
    assert entry["main_score"] == entry["accuracy"] == round(fmean(scores()), 6)
    assert [each["accuracy"] for each in entry["scores_per_experiment"]] == [round(score, 6) for score in scores()]


def test_lm_eval_files_have_figures_configs_and_standard_errors(results: Path, tmp_path: Path) -> None:
    assert export(results, "lm-eval", tmp_path / "out").status == 0
    (path,) = (tmp_path / "out" / "demo-1.1" / f"xrealign-mini--{RECIPE}").iterdir()
    content, task = json.loads(path.read_text()), f"{TASK}_{LANGUAGE}"
    assert path.name.startswith("results_20") and ":" not in path.name
    figures = content["results"][task]
    assert (figures["name"], figures["alias"]) == (task, task)
    assert figures["sample_len"] == content["n-samples"][task]["effective"] > 0
    assert figures["acc,none"] == pytest.approx(fmean(scores()), abs=1e-12)
    assert figures["acc_stderr,none"] == pytest.approx(stdev(scores()) / math.sqrt(5), abs=1e-12)
    assert content["configs"][task]["dataset_name"] == CONFIG
    assert content["configs"][task]["metric_list"][0] == {
        "metric": "acc", "aggregation": "mean", "higher_is_better": True,
    }  # fmt: skip
    assert task in content["group_subtasks"][TASK] and content["n-shot"][task] == 0
    assert content["model_name_sanitized"] == f"xrealign-mini--{RECIPE}"
    for part in ("versions", "higher_is_better", "n-samples"):
        assert content[part].keys() == content["results"].keys()


def test_the_hub_reads_the_model_card(results: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    assert export(results, "hf-evals", tmp_path / "out").status == 0
    card = ModelCard.load(tmp_path / "out" / "demo-1.1" / f"xrealign-mini--{RECIPE}" / "README.md")
    assert card.data.model_name == f"xrealign-mini--{RECIPE}"
    (found,) = [each for each in card.data.eval_results or [] if each.dataset_config == CONFIG]
    assert (found.task_type, found.metric_type) == ("token-classification", "accuracy")
    assert found.metric_value == pytest.approx(fmean(scores()), abs=1e-12)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_table_has_a_row_for_each_seed_and_metric(results: Path, tmp_path: Path, file_format: str) -> None:
    import pandas as pd

    path = tmp_path / f"scores.{file_format}"
    assert export(results, file_format, path).status == 0
    frame = pd.read_csv(path) if file_format == "csv" else pd.read_parquet(path)
    contents = [json.loads(each.read_text()) for each in results.rglob("result.json")]
    assert len(frame) == sum(len(score["metrics"]) for content in contents for score in content["scores"])
    assert set(frame.trust) == {"rescored", "reported"}
    mine = frame[(frame.recipe == RECIPE) & (frame.language == LANGUAGE) & (frame.metric == "accuracy")]
    assert mine.sort_values("seed").value.tolist() == pytest.approx(
        [score for _, score in sorted(zip((31, 42, 66, 23, 17), scores(), strict=True))], abs=1e-12
    )
    assert set(mine.tier) == {"low"} and set(mine.result) == {f"demo-1.1/xrealign-mini/{RECIPE}"}


def test_a_table_is_written_into_a_folder(results: Path, tmp_path: Path) -> None:
    (tmp_path / "there.v1").mkdir()
    for folder in ("new", "there.v1"):
        ran = export(results, "csv", tmp_path / folder)
        assert ran == Ran(0, f"{tmp_path}/{folder}/scores.csv\n", "1 file written\n")
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["scores.csv"]


def test_nothing_is_overwritten(results: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    ran = export(results, "mteb", tmp_path / "full")
    assert ran == Ran(2, "", f"error: {tmp_path}/full: is not an empty folder; remove it or name another --output\n")
    (tmp_path / "scores.csv").touch()
    ran = export(results, "csv", tmp_path / "scores.csv")
    assert ran == Ran(2, "", f"error: {tmp_path}/scores.csv: exists already; remove it or name another --output\n")


def test_published_results_are_not_passed_on_as_ours(results: Path, tmp_path: Path) -> None:
    ran = export(results / "alignfreeze-1.0", "lm-eval", tmp_path / "out")
    assert ran.status == 2 and "has no computed result to export" in ran.err


# Import

EXPERIMENT = {"accuracy": 0.25, "f1": 0.125, "ap": None}
MTEB: dict[str, Any] = {
    "dataset_revision": "a74d7350ea12af010cfb1c21e34f1f81fd2e615b",
    "task_name": "SIB200Classification",
    "mteb_version": "2.2.0",
    "scores": {
        "train": [
            {"accuracy": 0.875, "main_score": 0.875, "hf_subset": "swh_Latn", "languages": ["swh-Latn"]},
        ],
        "test": [
            {
                "scores_per_experiment": [EXPERIMENT, EXPERIMENT], "accuracy": 0.25, "f1": 0.125, "ap": math.nan,
                "main_score": 0.25, "hf_subset": "swh_Latn", "languages": ["swh-Latn"], "mteb_version": "2.1.0",
            },
            {"accuracy": 0.5, "main_score": 0.5, "hf_subset": "zho_Hant", "languages": ["zho-Hant"]},
            {"accuracy": 0.75, "main_score": 0.75, "hf_subset": "zho_Hans", "languages": ["zho-Hans"]},
        ]
    },
    "evaluation_time": 12.5,
    "kg_co2_emissions": None,
    "date": 1740959572.2,
    "evaluation_phases": None,
}  # fmt: skip
"""Some keys of a file of MTEB 2 in its results repository; the split `train` and NaN are as there."""
META = {
    "name": "org/embedder", "revision": "c007d7ef6fd86656326059b28395a7a03a7c5846", "languages": ["deu-Latn"],
    "loader_kwargs": {"model_prompts": {"query": "query: "}}, "framework": ["PyTorch"], "release_date": None,
}  # fmt: skip
LM_EVAL: dict[str, Any] = {
    "results": {
        "xquad": {"alias": "xquad", "f1,none": 0.9},
        "xquad_de": {"alias": " - xquad_de", "exact_match,none": 0.1, "f1,none": 0.375, "f1_stderr,none": 0.01},
        "arc_easy": {"alias": "arc_easy", "acc,none": 0.75},
    },
    "configs": {
        "xquad_de": {
            "task": "xquad_de", "dataset_path": "xquad", "dataset_name": "xquad.de", "validation_split": "validation",
        },
        "arc_easy": {"task": "arc_easy", "dataset_path": "allenai/ai2_arc", "dataset_name": "ARC-Easy"},
    },
    "n-shot": {"xquad_de": 4, "arc_easy": 0},
    "config": {"model": "hf", "model_args": "pretrained=org/decoder,dtype=bfloat16", "model_sha": "8faed761"},
    "date": 1740959572.2,
}  # fmt: skip
"""As lm-eval up to 0.4.9 writes it."""
NEWER_LM_EVAL: dict[str, Any] = LM_EVAL | {
    "results": {
        name: {"name": name, "alias": figures["alias"].strip(" -"), "sample_len": 1190, **figures}
        for name, figures in LM_EVAL["results"].items()
    },
    "group_subtasks": {"xquad": ["xquad_de"], "arc_easy": []},
    "configs": LM_EVAL["configs"] | {"xquad_de": LM_EVAL["configs"]["xquad_de"] | {"dataset_path": "google/xquad"}},
    "n-samples": {"xquad_de": {"original": 1190, "effective": 1190}},
    "config": LM_EVAL["config"] | {"model_args": {"pretrained": "org/decoder", "dtype": "bfloat16"}},
    "lm_eval_version": "0.4.11",
    "model_source": "hf",
    "model_name": "org/decoder",
    "model_name_sanitized": "org__decoder",
    "total_evaluation_time_seconds": "812.4",
}


def lay(folder: Path, content: Any, meta: Any = META) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "foreign.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if meta is not None:
        (folder / "model_meta.json").write_text(json.dumps(meta))
    return path


def bring(path: Path, file_format: str, *more: object, suite: str = "xrealign") -> Ran:
    given = ("--source", "https://example.org/scores", "--licence", "CC BY 4.0", "--results", path.parent / "results")
    return command("leaderboard", "import", path, "--format", file_format, "--suite", suite, *given, *more)


def test_mtebs_figures_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    """NaN, which MTEB writes, is no obstacle; the split and the script of the task count, and no other."""
    path = lay(tmp_path, MTEB)
    ran = bring(path, "mteb")
    folder = tmp_path / "results" / "xrealign-2.0" / "org--embedder--published" / "mteb"
    assert (ran.status, ran.out) == (0, f"{folder}\n")
    assert ran.err.splitlines() == [
        "2 figures taken",
        "2 figures left out, on other data or in another language, split or metric than xrealign-2.0: "
        "SIB200Classification swh_Latn (train), SIB200Classification zho_Hant (test)",
        f"next: xrealign-bench leaderboard build {tmp_path}/results",
    ]
    result = read_result(folder)
    assert {tuple(mean.languages or ()): mean.mean for mean in result.reported_means} == {("sw",): 0.25, ("zh",): 0.75}
    assert (result.checkpoint.id, result.checkpoint.revision) == (META["name"], META["revision"])
    assert result.scores == [] and result.reported is not None
    for part in ("MTEB 2.2.0: https://example.org/scores", "CC BY 4.0", "sib200 (CC BY-SA 4.0)", "logistic regression"):
        assert part in result.reported
    build(tmp_path / "results", tmp_path / "boards")
    page = (tmp_path / "boards" / "xrealign-2.0" / "README.md").read_text()
    assert "### Reported by language" in page and "Averages reported" not in page
    assert "| Swahili (sw) | sib200 as SIB200Classification of MTEB 2.2.0 (test, accuracy) | 25.00 |" in page
    assert "**Source**: MTEB 2.2.0: https://example.org/scores" in page


@pytest.mark.parametrize(
    ("content", "program"), [(LM_EVAL, "lm-eval"), (NEWER_LM_EVAL, "lm-eval 0.4.11")], ids=["older", "newer"]
)
def test_lm_evals_figures_say_prompts_and_split(tmp_path: Path, content: dict[str, Any], program: str) -> None:
    ran = bring(lay(tmp_path, content, None), "lm-eval")
    assert ran.status == 0, ran.err
    assert "1 figure left out" in ran.err and "xrealign-2.0: arc_easy ARC-Easy (unknown)\n" in ran.err
    result = read_result(tmp_path / "results" / "xrealign-2.0" / "org--decoder--published" / "lm-eval")
    (mean,) = result.reported_means  # the group and the task without counterpart are left out
    assert (mean.languages, mean.mean, mean.std) == (["de"], 0.375, None)
    assert mean.test_set.endswith(f"as xquad of {program} (validation, f1)")
    assert result.checkpoint.revision == "8faed761"
    assert result.reported is not None and "not fine-tuned, prompted with 4 examples" in result.reported


def test_an_import_moves_no_other_row(results: Path, tmp_path: Path) -> None:
    before = tmp_path / "results"
    shutil.copytree(results, before)
    build(before, tmp_path / "one")
    found = {"accuracy": 0.5, "main_score": 0.5, "hf_subset": "swh-eng", "languages": ["swh-Latn", "eng-Latn"]}
    content = MTEB | {"task_name": "Tatoeba", "scores": {"test": [found]}}
    assert bring(lay(tmp_path, content), "mteb", suite="xrealign-lite-1.0").status == 0
    build(before, tmp_path / "two")
    assert (tmp_path / "one" / "demo-1.1" / "leaderboard.json").read_bytes() == (
        tmp_path / "two" / "demo-1.1" / "leaderboard.json"
    ).read_bytes()
    page = (tmp_path / "two" / "xrealign-lite-1.0" / "README.md").read_text()
    assert "| Swahili (sw) | tatoeba as Tatoeba of MTEB 2.2.0 (test, accuracy) | 50.00 |" in page


def entry(**changes: Any) -> dict[str, Any]:
    return MTEB | {"scores": {"test": [MTEB["scores"]["test"][0] | changes]}}


REFUSED: dict[str, tuple[str, Any, Any, tuple[str, ...], str]] = {
    "no JSON": ("mteb", "{", META, (), "is no JSON: Expecting property name"),
    "no object": ("mteb", [], META, (), "is a list in JSON and no object; give a file of results"),
    "another format": ("mteb", LM_EVAL, META, (), "is no result of MTEB: 'task_name' is missing or no text; check"),
    "the other way round": ("lm-eval", MTEB, None, (), "is no result of lm-eval: 'configs' is missing or no object"),
    "scores are a list": ("mteb", MTEB | {"scores": []}, META, (), "'scores' is missing or no object; check --format"),
    "an entry is a number": ("mteb", MTEB | {"scores": {"test": [1]}}, META, (), "'hf_subset' is missing or no text"),
    "an unknown task": (
        "mteb", MTEB | {"task_name": "SIB200Classificaton"}, META, (),
        "no task here has the data of 'SIB200Classificaton'; did you mean SIB200Classification? Tasks that do: SIB200",
    ),
    "above 1": ("mteb", entry(accuracy=61.0), META, (), "accuracy of SIB200Classification in swh_Latn is 61.0, "),
    "a truth value": ("mteb", entry(accuracy=True), META, (), "is True, which is no number from 0 to 1; "),
    "no model": ("mteb", MTEB, None, (), "does not name its model; name it with --checkpoint"),
    "no id": ("mteb", MTEB, META | {"name": "--evil"}, (), "its model '--evil' is no id; name it with --checkpoint"),
    "a bad revision": ("mteb", MTEB, META | {"revision": "a b"}, (), "'a b' can't be stored: "),
    "no shared language": (
        "mteb", entry(hf_subset="xx", languages=["xxx-Latn"]), META, (),
        "has no score that xrealign-2.0 can show: SIB200Classification shares no data, language and metric",
    ),
    "an unknown suite": ("mteb", MTEB, META, ("--suite", "xrealing"), "unknown suite 'xrealing'; did you mean"),
    "a licence with a line break": ("mteb", MTEB, META, ("--licence", "a\nb"), "can't be stored: String should match"),
}  # fmt: skip


@pytest.mark.parametrize(("file_format", "content", "meta", "more", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_in_one_sentence(
    tmp_path: Path, file_format: str, content: Any, meta: Any, more: tuple[str, ...], expected: str
) -> None:
    ran = bring(lay(tmp_path, content, meta), file_format, *more)
    assert (ran.status, ran.out) == (2, "") and expected in ran.err, ran
    assert ran.err.count("\n") == 1 and not (tmp_path / "results").exists()


def spoilt(content: Any, value: Any) -> Iterator[Any]:
    """Yield copies of a file's content in which one value at a time is replaced."""
    yield value
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, below in pairs:
        for other in spoilt(below, value):
            copy = deepcopy(content)
            copy[key] = other
            yield copy


@pytest.mark.parametrize("value", [None, 7, "x" * 300, [1], {"a": 1}], ids=["null", "number", "text", "list", "object"])
@pytest.mark.parametrize(("file_format", "content"), [("mteb", MTEB), ("lm-eval", LM_EVAL)], ids=["mteb", "lm-eval"])
def test_no_spoilt_value_is_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: Any, content: Any, value: Any
) -> None:
    loaded = load_suite("xrealign")
    targets = loaded.suite.model_copy(update={"target_languages": ["de", "sw", "zh"]})
    monkeypatch.setattr(importing, "load_suite", lambda _: replace(loaded, suite=targets))
    monkeypatch.setattr(importing, "write_result", lambda *_: None)
    origin, refused = Origin("here", "none"), 0
    for number, each in enumerate(spoilt(content, value)):
        path = lay(tmp_path, each)
        try:
            import_reports([path], file_format, "xrealign", tmp_path / str(number), origin, "org/mine")
        except UserError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error), error
    assert refused > 1


def test_a_second_import_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = lay(tmp_path, MTEB)
    assert bring(path, "mteb").status == 0
    ran = bring(path, "mteb")
    assert ran.status == 2 and "exists already; remove it and give all files of the checkpoint at once" in ran.err


def test_files_of_two_models_are_refused(tmp_path: Path) -> None:
    first, second = lay(tmp_path / "a", MTEB), lay(tmp_path / "b", MTEB, META | {"name": "org/other"})
    ran = bring(first, "mteb", second)
    assert ran.status == 2 and "are of org/embedder, org/other; give files of one model" in ran.err
    assert bring(first, "mteb", second, "--checkpoint", "org/mine").status == 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ran = bring(tmp_path / "absent.json", "mteb")
    assert ran == Ran(
        2, "", f"error: {tmp_path}/absent.json: can't be read: No such file or directory; name another file\n"
    )

"""The Python API. Truth: the command line on the same store, the stored files, and transformers itself."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

import xrealign_bench as xb
from tests.small import SEEDS, TARGETS, command, write_checkpoint, write_recipe, write_suite
from xrealign_bench.leaderboard.build import build
from xrealign_bench.pipeline.executor import StageEvent
from xrealign_bench.results.result import IN_MEMORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_suite(folder)
    write_recipe(folder)
    write_checkpoint(folder / "bert")
    return folder


@pytest.fixture(scope="module")
def given(folder: Path) -> dict[str, Any]:
    return {"suite": str(folder / "small.yaml"), "offline": True, "store": folder / "store", "progress": "none"}


@pytest.fixture(scope="module")
def run(folder: Path, given: dict[str, Any]) -> xb.Evaluation:
    return xb.evaluate(folder / "bert", folder / "mine.yaml", output=folder / "output", **given)


def test_importing_the_package_imports_nothing() -> None:
    code = "import sys; import xrealign_bench as xb; xb.__all__; dir(xb); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "pandas", "numpy", "pydantic", "yaml", "click", "xrealign_bench.api"}
    assert not heavy & set(ran.stdout.split())


def test_specs_and_functions_load_without_torch_and_pandas() -> None:
    code = "import sys; import xrealign_bench as xb; xb.evaluate, xb.load_recipe('finetune-only'); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pydantic" in ran.stdout.split()
    assert not {"torch", "transformers", "pandas"} & set(ran.stdout.split())


def test_the_import_takes_less_than_the_documented_time() -> None:
    """Smallest of three, since the machine may be busy."""
    code = [sys.executable, "-X", "importtime", "-c", "import xrealign_bench"]
    reports = [subprocess.run(code, capture_output=True, text=True, check=True).stderr for _ in range(3)]
    microseconds = [int(report.splitlines()[-1].split("|")[1]) for report in reports]
    assert all(report.splitlines()[-1].endswith(" xrealign_bench") for report in reports)
    assert min(microseconds) < 300_000


def test_every_public_name_is_there_and_documented() -> None:
    for name in xb.__all__:
        assert getattr(xb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        xb.evalute  # noqa: B018


def test_the_command_line_finds_everything_in_the_store(run: xb.Evaluation, folder: Path, tmp_path: Path) -> None:
    options = ["--suite", folder / "small.yaml", "--checkpoint", folder / "bert", "--recipe", folder / "mine.yaml"]
    ran = command("evaluate", *options, "--store", folder / "store", "--output", tmp_path, "--offline", "--json")
    assert "0 stages run" in ran.err
    for each, result, comparison in zip(json.loads(ran.out), run.results, run.comparisons, strict=True):
        mine = result.model_dump(mode="json")
        assert {**each["result"], "command": ""} == {**mine, "command": ""}
        assert each["comparison"] == (comparison and comparison.model_dump(mode="json"))


def test_results_are_read_from_their_folders(run: xb.Evaluation, folder: Path) -> None:
    again = xb.load_results(folder / "output" / "results")
    assert [result.recipe.name for result in run.results] == ["finetune-only", "mine"]
    assert sorted(map(str, again.folders)) == sorted(map(str, run.results.folders))
    assert {r.recipe.name: r for r in again} == {r.recipe.name: r for r in run.results}
    assert run.estimate.total.stored == 0


def test_a_frame_has_the_stored_scores(run: xb.Evaluation) -> None:
    frame = run.results.to_frame()
    stored = json.loads((run.results.folders[1] / "result.json").read_text())
    for score in stored["scores"]:
        of_cell = frame.query(
            "recipe == 'mine' and task == @score['task'] and language == @score['language'] and seed == @score['seed']"
        )
        assert dict(zip(of_cell.metric, of_cell.value, strict=True)) == score["metrics"]
        assert set(of_cell.examples) == {score["examples"]}
    assert set(frame.suite) == {"small"}
    assert set(frame.version) == {"1.0"}
    assert set(frame[frame.language == "en"].tier) == {"source"}
    assert set(frame[frame.language == "sw"].tier) == {"low"}


def test_comparisons_as_a_frame_are_those_of_the_stored_file(run: xb.Evaluation) -> None:
    frame = run.to_frame()
    stored = json.loads((run.results.folders[1] / "comparison.json").read_text())
    changes = {change["language"]: change for change in stored["tasks"][0]["languages"]}
    assert sorted(frame.language) == sorted(TARGETS)
    for row in frame.itertuples():
        change = changes[row.language]
        assert (row.recipe, row.gain, row.low, row.high) == ("mine", change["gain"], change["low"], change["high"])
        assert (row.verdict, row.p) == (change["verdict"], change["p_value"])
    pd.testing.assert_frame_equal(
        xb.compare(run.results.folders[1], run.results.folders[0]).to_frame(), frame.drop(columns="recipe")
    )


def test_an_analysis_is_a_frame(run: xb.Evaluation, folder: Path, given: dict[str, Any]) -> None:
    asked: dict[str, Any] = given | {"sentences": 100, "measures": "alignment", "output": folder / "output"}
    frame = xb.analyse(folder / "bert", folder / "mine.yaml", no_compute=True, **asked)
    assert set(frame.recipe) == {"finetune-only", "mine"}
    assert {"mexa", "word_precision"} < set(frame.measure) and "cka" not in set(frame.measure)
    (written,) = folder.glob("output/analysis/**/*.csv")
    assert len(pd.read_csv(written)) == len(frame)
    with pytest.raises(xb.UserError, match="sentences: is 20; give 100 or more"):
        xb.analyse(folder / "bert", folder / "mine.yaml", **asked | {"sentences": 20})


def test_a_second_call_reports_stored_stages(run: xb.Evaluation, folder: Path, given: dict[str, Any]) -> None:
    events: list[StageEvent] = []
    again = xb.evaluate(
        folder / "bert", folder / "mine.yaml", output=folder / "output", **given | {"progress": events.append}
    )
    assert {event.status for event in events} == {"stored"}
    assert len(events) == len(again.plan.stages) == again.estimate.total.stored
    assert list(again.results) == list(run.results)


def test_a_plan_runs_nothing(folder: Path, given: dict[str, Any], tmp_path: Path) -> None:
    options = {name: value for name, value in given.items() if name not in ("progress", "store")}
    planned = xb.plan(
        folder / "bert", "finetune-only", store=tmp_path / "store", seeds=[3], languages=["de"], **options
    )
    assert {stage.stage_type for stage in planned.stages.values()} == {"tokenise", "finetune", "predict"}
    assert not list((tmp_path / "store").rglob("*.safetensors"))


def test_realign_returns_the_stored_weights(run: xb.Evaluation, folder: Path, given: dict[str, Any]) -> None:
    model, tokenizer = xb.realign(folder / "bert", folder / "mine.yaml", seed=SEEDS[1], **given)
    assert isinstance(model, BertModel)
    assert not model.training
    ref = run.plan.runs[1].realign["phrases", SEEDS[1]]
    weights = load_file(next((folder / "store" / "realign").rglob(f"{ref.key}*/*.safetensors")))
    state = model.state_dict()
    assert weights.keys() <= state.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
    before = BertModel.from_pretrained(folder / "bert", add_pooling_layer=False).state_dict()
    name = "encoder.layer.{}.output.dense.weight"
    assert torch.equal(state[name.format(0)], before[name.format(0)])  # the lower half is frozen
    assert not torch.equal(state[name.format(2)], before[name.format(2)])
    assert tokenizer("a").input_ids == AutoTokenizer.from_pretrained(folder / "bert")("a").input_ids


def test_a_recipe_that_realigns_nothing_is_refused(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(xb.UserError, match="recipe 'finetune-only': realigns nothing before fine-tuning; choose"):
        xb.realign(folder / "bert", "finetune-only", **given)


def test_a_model_in_memory_scores_like_its_folder(
    run: xb.Evaluation, folder: Path, given: dict[str, Any], tmp_path: Path
) -> None:
    model = BertModel.from_pretrained(folder / "bert", add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(folder / "bert")
    found = xb.evaluate(model, "finetune-only", tokenizer=tokenizer, output=tmp_path, **given)
    assert found.results[0].checkpoint.id == IN_MEMORY
    assert found.results[0].scores == run.results[0].scores
    assert found.leaderboard == []
    with pytest.raises(xb.UserError, match="contains no results to show"):
        build(tmp_path / "results", tmp_path)


MISTAKES = {
    "no tokenizer": ({"checkpoint": "model"}, "checkpoint: a model in memory needs its tokenizer; pass tokenizer=..."),
    "a tokenizer for a folder": (
        {"checkpoint": "bert", "tokenizer": "tokenizer"},
        "tokenizer: is for a model in memory; save the tokenizer to the checkpoint's folder",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_is_no_checkpoint_is_told(
    arguments: dict[str, Any], message: str, folder: Path, given: dict[str, Any]
) -> None:
    if arguments["checkpoint"] == "model":
        arguments = {"checkpoint": BertModel.from_pretrained(folder / "bert")}
    if "tokenizer" in arguments:
        arguments = arguments | {"tokenizer": AutoTokenizer.from_pretrained(folder / "bert")}
    with pytest.raises(xb.UserError) as caught:
        xb.evaluate(**arguments, **given)
    assert str(caught.value) == message


def test_an_unknown_argument_is_a_type_error_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match=r"evaluate\(\) has no argument 'recipe'; did you mean recipes\? It takes") as e:
        xb.evaluate(recipe="mine")  # type: ignore[call-arg]
    assert isinstance(e.value, xb.UserError)


def test_one_value_counts_as_a_list_of_it(folder: Path, given: dict[str, Any], tmp_path: Path) -> None:
    options = {"suite": given["suite"], "offline": True, "store": tmp_path}
    one = xb.plan(folder / "bert", "finetune-only", seeds=3, languages="de", tasks="phrases", **options)
    several = xb.plan(folder / "bert", "finetune-only", seeds=[3], languages=["de"], tasks=["phrases"], **options)
    assert one.stages.keys() == several.stages.keys()


def test_realign_has_one_seed(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(xb.ArgumentError, match=r"realign\(\) has no argument 'seeds'; did you mean seed\?"):
        xb.realign(folder / "bert", folder / "mine.yaml", seeds=[7], **given)


def test_what_can_t_be_meant_is_refused(run: xb.Evaluation, folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(xb.UserError, match="limit: is 0; give 1 or more, or None for all examples"):
        xb.evaluate(folder / "bert", limit=0, **given)
    with pytest.raises(xb.ArgumentError, match=r"compare\(\) has no argument 'baseline'; It takes result, other"):
        xb.compare(run.results.folders[1], baseline="x")  # type: ignore[call-arg]
    with pytest.raises(xb.UserError, match=r"plot\.gains: 1 results and 2 comparisons; give one comparison a result"):
        xb.plot.gains(run.results[:1], run.comparisons)
    with pytest.raises(xb.UserError, match=r"plot\.distance\(\): result is of type Results; give one result"):
        xb.plot.distance(run.results, run.comparisons)  # type: ignore[arg-type]
    assert len(repr(run)) < 2000
    assert repr(run.comparisons[1]).startswith("<comparison with ../") and len(str(run.comparisons)) < 300


PLACES = {
    "mine.yaml:3: freeze.blocks: must be a list. Write one": ("mine.yaml:3: freeze.blocks", "Write one"),
    "mine.yaml:3: is not YAML; mend it": ("mine.yaml:3", "mend it"),
    "--seed 31: is given twice; give each seed once": ("--seed 31", "give each seed once"),
    "recipe 'mine': realigns nothing; choose another": ("recipe 'mine'", "choose another"),
    "unknown recipe 'a'; did you mean b? Known: b": (None, "did you mean b? Known: b"),
    "out of memory": (None, None),
}


@pytest.mark.parametrize(("message", "parts"), PLACES.items(), ids=range(len(PLACES)))
def test_errors_have_their_parts(message: str, parts: tuple[str | None, str | None]) -> None:
    error = xb.UserError(message)
    assert (error.where, error.remedy) == parts


def test_a_recipe_is_written_and_read(tmp_path: Path) -> None:
    recipe = xb.Recipe(name="mine", title="My own", method="word_contrastive", freeze={"blocks": "lower_half"})
    recipe.to_yaml(tmp_path / "mine.yaml")
    assert xb.load_recipe(tmp_path / "mine.yaml") == recipe
    for load, name in ((xb.load_suite, "demo"), (xb.load_task, "udpos-lite"), (xb.load_corpus, "ntrex")):
        spec = load(name)
        spec.to_yaml(tmp_path / f"{name}.yaml")
        assert load(tmp_path / f"{name}.yaml") == spec


FIELDS: dict[str, tuple[type, dict[str, Any], list[str]]] = {
    "misspelt": (
        xb.Recipe, {"name": "mine", "title": "Mine", "metod": "none"},
        ["recipe 'mine': metod: no such field; did you mean 'method'? allowed: name, title,"],
    ),
    "of another method": (
        xb.Recipe,
        {"name": "mine", "title": "Mine", "method": "sentence_contrastive", "objective": {"pooling": "mean"}},
        ["recipe 'mine': method 'sentence_contrastive' contrasts sentences, so objective.pooling would have no effect"],
    ),
    "two": (
        xb.Recipe, {"name": "mine", "freeze": {"blocks": "lower_hlaf"}},
        [
            "recipe 'mine': title: is required and missing",
            "recipe 'mine': freeze.blocks: 'lower_hlaf' is not a selection of blocks; write none, lower_half, ",
        ],
    ),
    "no name": (xb.Suite, {"name": 3}, ["suite: name: '3' is read as a number; put it in quotes"]),
    "objective": (xb.Objective, {"temperature": 0}, ["objective: temperature: '0' is not allowed; allowed: a number"]),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "fields", "messages"), FIELDS.values(), ids=FIELDS.keys())
def test_a_wrong_field_is_told_as_in_a_file(spec: type, fields: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        spec(**fields)
    assert isinstance(caught.value, xb.FieldError) and isinstance(caught.value, xb.UserError)
    lines = str(caught.value).splitlines()
    for message in messages:
        assert any(line.startswith(message) for line in lines), lines
    assert str(caught.value.where).startswith(messages[0].partition(":")[0])


def test_files_and_nested_specs_are_validated_by_pydantic(tmp_path: Path) -> None:
    """The folder of a file reaches its fields, and its errors have lines."""
    text = "name: mine\ntitle: Mine\nlicence: none\ntask_type: token_classification\nmetod: none\n"
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(xb.UserError, match=r"mine\.yaml:5: metod: no such field") as caught:
        xb.load_task(tmp_path / "mine.yaml")
    assert not isinstance(caught.value, xb.FieldError)
    with pytest.raises(ValidationError):
        xb.Recipe.model_validate({"name": "mine"})
    assert list(inspect.signature(xb.Recipe).parameters)[:2] == ["name", "title"]


def test_figures_show_the_gains(run: xb.Evaluation) -> None:
    figure = xb.plot.gains(run.results, run.comparisons)
    assert [axes.get_title("left") for axes in figure.axes] == ["By language: mine"]  # no tier has five languages
    comparison = run.comparisons[1]
    assert comparison is not None
    drawn = xb.plot.distance(run.results[1], comparison).axes[0].collections
    gains = sorted(round(float(y), 6) for each in drawn for _, y in each.get_offsets())
    assert gains == sorted(round(100 * change.gain, 6) for change in comparison.tasks[0].languages)
    with pytest.raises(xb.UserError, match="has no task 'other'; it has phrases"):
        xb.plot.distance(run.results[1], comparison, task="other")
    with pytest.raises(xb.UserError, match="no tier or language has a gain"):
        xb.plot.gains(run.results[:1], run.comparisons[:1])
